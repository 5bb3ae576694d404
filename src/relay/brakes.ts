/** What the brakes held back, in the audit log: the first of each minute and how often again. */
import type { ErrorCode } from "../wire/error.ts";
import type { LaneOutcome } from "../wire/lane.ts";
import type { Principal } from "./access.ts";
import type { Relay } from "./relay.ts";

/** Refusals that no correction of the write would change. */
const brakeCodes: readonly ErrorCode[] = ["quarantined", "hops_exceeded", "too_many_recipients"];

/** Notes the writes of a principal that a brake refused, and once that it wrote faster than it may. */
export function noteBraked({ refusals }: Relay, by: Principal, outcomes: readonly LaneOutcome[]): void {
  for (const outcome of outcomes) {
    if (outcome.status === "rejected" && brakeCodes.includes(outcome.code))
      refusals.note("write_refused", by, outcome.code);
  }
  const late = outcomes.some((one) => one.status === "deferred" && one.code === "rate_limited");
  if (late) refusals.note("rate_limited", by, "writes");
}
