/**
 * What the last exchange says about the upstream: one word for people, metrics and the degraded note. Pure.
 */
import type { UpstreamAnswer } from "./upstream-call.ts";

/**
 * connecting: no exchange has ended yet. up: it answers. degraded: it takes connections and then fails, hangs or
 * answers 5xx. down: no connection can be made. auth: it refuses our token, and there is no other to be had.
 */
export type Reach = "connecting" | "up" | "degraded" | "down" | "auth";

/** The state after an answer; a refusal of one call is an answer. */
export function reachAfter(answer: UpstreamAnswer): Exclude<Reach, "connecting"> {
  if (answer.kind === "unreachable") return answer.ran === "no" ? "down" : "degraded";
  return answer.kind === "refused" && answer.status === 401 ? "auth" : "up";
}

/** True while calls are likely to fail: worth a note in results. */
export function isTroubled(reach: Reach): boolean {
  return reach === "degraded" || reach === "down" || reach === "auth";
}
