/**
 * The time of replies that are owed. The store says when the next step of one comes, and the relay keeps a single timer
 * for the nearest; what agents see is read from the store, so a hint that is lost costs time and nothing else.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { limits } from "../limits.ts";
import type { ObligationMove, RelayStore } from "../store/store.ts";
import type { Audit } from "./audit.ts";
import type { Hub } from "./hub.ts";

export type ObligationTimer = {
  /** An obligation was opened whose next step is at this time, ms since 1970. */
  opened(nextAt: number): void;
  /** Ends the timer, and resolves when no step is under way. */
  close(): Promise<void>;
};

type TimerParts = { store: RelayStore; hub: Hub; audit: Audit; clock: Clock; log: Log };

/** Keeps the time of all obligations of a store, from what is due now on. */
export function keepObligations(parts: TimerParts): ObligationTimer {
  const { store, clock, log } = parts;
  let armed: { at: number; cancel: () => void } | undefined;
  let running = Promise.resolve();
  let closed = false;

  const arm = (at: number) => {
    if (closed || (armed !== undefined && armed.at <= at)) return;
    armed?.cancel();
    const wait = Math.min(Math.max(0, at - clock.now()), limits.timerStepMs);
    armed = { at, cancel: clock.after(wait, look) };
  };
  const look = () => {
    armed = undefined;
    running = running.then(step).catch((error: unknown) => {
      log.error("Replies that are owed were not looked after; trying again", { error });
      arm(clock.now() + limits.obligationRetryMs);
    });
  };
  const step = async () => {
    for (let nextAt: number | undefined = 0; nextAt !== undefined && !closed; ) {
      if (nextAt > clock.now()) return arm(nextAt);
      const found = await store.stepObligations(clock.now());
      await tell(parts, found.moves);
      nextAt = found.nextAt;
    }
  };
  look();
  return {
    opened: arm,
    async close() {
      closed = true;
      armed?.cancel();
      await running;
    },
  };
}

/** The debtor hears of every step, the creditor when the reply is overdue. */
async function tell({ hub, audit }: TimerParts, moves: readonly ObligationMove[]): Promise<void> {
  for (const { messageId, debtorId, debtorName, creditorId, creditorName, step } of moves) {
    hub.hint(debtorId, "obligations");
    if (step < 3) continue;
    hub.hint(creditorId, "obligations");
    const facts = { debtor: debtorName, creditor: creditorName };
    await audit({ kind: "obligation_overdue", by: "relay", subject: messageId, facts });
  }
}
