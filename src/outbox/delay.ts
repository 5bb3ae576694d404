/** Watches how long the oldest record waits, and says so once per step until the queue is empty again. */
import type { Clock } from "../base/clock.ts";
import type { Limits } from "../limits.ts";
import type { Entry } from "./queue.ts";

export type DelayWatch = {
  /** The queue has become empty, or is no longer. */
  look(): void;
  stop(): void;
};

/**
 * @param tell is called with the oldest record and how many steps it has passed
 */
export function delayWatch(parts: {
  clock: Clock;
  limits: Pick<Limits, "delayNoticeMs" | "delayNoticeLaterMs" | "timerStepMs">;
  oldest: () => Entry | undefined;
  tell: (oldest: Entry, step: number) => void;
}): DelayWatch {
  const { clock, limits, oldest, tell } = parts;
  const steps = [limits.delayNoticeMs, limits.delayNoticeLaterMs];
  let told = 0;
  let cancel: (() => void) | undefined;
  const look = () => {
    cancel?.();
    cancel = undefined;
    const entry = oldest();
    if (entry === undefined) {
      told = 0;
      return;
    }
    const age = clock.now() - entry.enqueuedAt;
    const passed = steps.filter((ms) => age >= ms).length;
    if (passed > told) tell(entry, passed);
    told = Math.max(told, passed);
    const next = steps[passed];
    if (next !== undefined) cancel = clock.after(Math.min(next - age, limits.timerStepMs), look);
  };
  return { look, stop: () => cancel?.() };
}
