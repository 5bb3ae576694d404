/** Delays between attempts: full jitter, so that many clients that failed together do not come back together. */
import type { Random } from "./random.ts";

export type Backoff = {
  /** Delay before the next attempt, ms. */
  next(): number;
  /** An attempt succeeded: begin again at the base. */
  reset(): void;
  /** Attempts since the last success. */
  readonly attempts: number;
};

/**
 * @param options `baseMs` is the upper end of the first delay, `capMs` of every later one
 */
export function backoff(options: { baseMs: number; capMs: number; random: Random }): Backoff {
  let attempts = 0;
  return {
    next() {
      const ceiling = Math.min(options.capMs, options.baseMs * 2 ** Math.min(attempts, 30));
      attempts += 1;
      return options.random.fraction() * ceiling;
    },
    reset() {
      attempts = 0;
    },
    get attempts() {
      return attempts;
    },
  };
}
