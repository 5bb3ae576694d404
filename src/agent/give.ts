/** A text that is no message, such as the person's task, given to a session as soon as it takes texts. */
import { type Clock, sleep } from "../base/clock.ts";
import type { Limits } from "../limits.ts";
import type { Injection, Session } from "./session.ts";

/**
 * Tries until the session has taken it, may have taken it, or never will; nobody is told.
 * @returns gives up trying
 */
export function giveText(
  session: Session,
  injection: Injection,
  { clock, limits, signal }: { clock: Clock; limits: Limits; signal: AbortSignal },
): () => void {
  const own = new AbortController();
  const ended = AbortSignal.any([own.signal, signal]);
  const give = async () => {
    while (session.canInject && session.status.state !== "ended" && !ended.aborted) {
      if (session.status.state !== "starting") {
        const outcome = await session.inject(injection, { urgent: false });
        if (outcome.status !== "refused" || outcome.final) return;
      }
      await sleep(clock, limits.deliveryBackoffBaseMs / 5, ended);
    }
  };
  void give();
  return () => own.abort();
}
