/** Waiting for an answer only so long, without leaving it floating. */
import type { Clock } from "../base/clock.ts";

/** The value, or undefined when it takes longer than `ms` or the promise rejects; it may still end later. */
export function within<Value>(clock: Clock, ms: number, promise: Promise<Value>): Promise<Value | undefined> {
  return new Promise((resolve) => {
    const stop = clock.after(ms, () => resolve(undefined));
    promise.then(resolve, () => resolve(undefined)).finally(stop);
  });
}
