/** Counts over whole tables: asked sparingly, because a large table is read from one end to the other. */
import { limits } from "../limits.ts";
import type { StoreCounts } from "../store/store.ts";

/** The counts of a store. */
export type KeptCounts = () => Promise<StoreCounts>;

/**
 * Counts that cannot keep the store from its work: questions that come together share one answer, and one that took
 * long is kept for a multiple of what it took.
 */
export function keptCounts(ask: () => Promise<StoreCounts>, monotonic: () => number): KeptCounts {
  let asked: Promise<StoreCounts> | undefined;
  let until = Number.POSITIVE_INFINITY;
  return () => {
    if (asked !== undefined && monotonic() < until) return asked;
    const begun = monotonic();
    const asking = ask();
    asked = asking;
    until = Number.POSITIVE_INFINITY;
    const done = () => {
      const took = monotonic() - begun;
      until = took < limits.countsFastMs ? 0 : monotonic() + took * limits.countsKeptTimes;
    };
    asking.then(done, () => {
      until = 0;
    });
    return asking;
  };
}
