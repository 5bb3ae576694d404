/**
 * One timer for many: callbacks that come again and again in the same time, spread over it, so that ten thousand of them
 * cost a few at a time and no timer of their own.
 */
import type { Clock } from "../base/clock.ts";

export type Wheel = {
  /** Calls back every turn from one turn from now on; the returned function ends that. The callback must not throw. */
  join(callback: () => void): () => void;
  /** Ends the timer; no callback comes any more. */
  close(): void;
};

/**
 * A wheel.
 * @param options.turnMs the time between two calls of one callback
 * @param options.slots steps of one turn: a callback comes at most one step late
 */
export function createWheel(options: { clock: Clock; turnMs: number; slots: number }): Wheel {
  const { clock, turnMs, slots } = options;
  const ring = Array.from({ length: slots }, () => new Set<() => void>());
  let at = 0;
  let count = 0;
  let closed = false;
  let stop: (() => void) | undefined;

  const step = () => {
    stop = undefined;
    at = (at + 1) % slots;
    for (const callback of [...(ring[at] ?? [])]) if (ring[at]?.has(callback) === true) callback();
    run();
  };
  // An empty wheel stands still.
  const run = () => {
    if (!closed && count > 0) stop ??= clock.after(turnMs / slots, step);
  };

  return {
    join(callback) {
      const slot = ring[at];
      // A closure of its own: the same function may join twice.
      const entry = () => callback();
      slot?.add(entry);
      count += 1;
      run();
      return () => {
        if (slot?.delete(entry) !== true) return;
        count -= 1;
        if (count > 0) return;
        stop?.();
        stop = undefined;
      };
    },
    close() {
      closed = true;
      stop?.();
    },
  };
}
