/** Call ids of the writes that are being answered, by session: equal calls at once are told apart by them. */
import type { WriteCall } from "../wire/write.ts";

export class InFlight {
  readonly #bySession = new Map<string, string[]>();

  /** A write begins; the call ids that are in flight in its session besides its own. */
  begin({ session, callId }: WriteCall): string[] {
    const others = this.#bySession.get(session) ?? [];
    if (callId !== undefined) this.#bySession.set(session, [...others, callId]);
    return others;
  }

  /** A write was answered. */
  end({ session, callId }: WriteCall): void {
    const calls = this.#bySession.get(session);
    if (calls === undefined || callId === undefined) return;
    // A call id may be there twice when the client asked again.
    const left = calls.toSpliced(calls.indexOf(callId), 1);
    if (left.length === 0) this.#bySession.delete(session);
    else this.#bySession.set(session, left);
  }
}
