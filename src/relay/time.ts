/** Bounds on how long the relay works on one request. */
import type { Clock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import { RelayError } from "../wire/error.ts";

/**
 * The value of the work, or an error when it took longer than `limits.operationMs`. The work itself goes on: what it
 * asked of the store may still take effect, which is what a sender is told (`unavailable`: send again, same key).
 * @throws RelayError unavailable
 */
export function inTime<Value>(clock: Clock, action: string, work: Promise<Value>): Promise<Value> {
  const late = () =>
    new RelayError("unavailable", `${action}: it was not done within ${limits.operationMs} ms`);
  return within(clock, { ms: limits.operationMs, late }, work);
}

/** The value of the work, or the error of `late` after `ms`. */
export function within<Value>(
  clock: Clock,
  bound: { ms: number; late(): Error },
  work: Promise<Value>,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const stop = clock.after(bound.ms, () => reject(bound.late()));
    work.then(resolve, reject).finally(stop);
  });
}
