/** Texts that were handed to the provider, until it says what became of them or the time for an answer is over. */
import type { Clock } from "../../base/clock.ts";
import type { Injection, InjectOutcome } from "../session.ts";

export type Pending = {
  /** Waits for the provider's word about a text that was handed over; `unknown` after `waitMs`. */
  wait(injection: Injection): Promise<InjectOutcome>;
  /** It is in the conversation; true when somebody waited for it, now or earlier. */
  taken(id: string): boolean;
  /** It will not be. */
  refused(id: string, reason: string): boolean;
  /** The texts nothing is known of yet. */
  readonly open: readonly Injection[];
  /** The program has ended: nothing more will be heard. */
  clear(reason: string): void;
};

/** @param waitMs how long one text is waited for before its outcome is `unknown`; it stays open after that */
export function pendingInjections(clock: Clock, waitMs: number): Pending {
  const open = new Map<string, { injection: Injection; resolve(outcome: InjectOutcome): void }>();
  const end = (id: string, outcome: InjectOutcome): boolean => {
    const entry = open.get(id);
    if (entry === undefined) return false;
    open.delete(id);
    entry.resolve(outcome);
    return true;
  };
  return {
    wait(injection) {
      return new Promise((resolve) => {
        const cancel = clock.after(waitMs, () =>
          resolve({ status: "unknown", reason: `the provider has not confirmed it within ${waitMs} ms` }),
        );
        open.set(injection.id, {
          injection,
          resolve(outcome) {
            cancel();
            resolve(outcome);
          },
        });
      });
    },
    taken: (id) => end(id, { status: "injected" }),
    refused: (id, reason) => end(id, { status: "refused", reason, final: false }),
    get open() {
      return [...open.values()].map(({ injection }) => injection);
    },
    clear(reason) {
      for (const id of [...open.keys()]) end(id, { status: "unknown", reason });
    },
  };
}
