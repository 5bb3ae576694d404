/** The outages of the drill as a table, and when each begins. Pure. */

export type FaultName =
  | "killed and started again"
  | "paused (SIGSTOP)"
  | "answers 502"
  | "answers 503"
  | "answers 504"
  | "answers 404"
  | "answers 401"
  | "cuts every stream"
  | "answers late";

/** `share`: how its length compares with the others'. */
type Row = { readonly name: FaultName; readonly share: number };

const rows: readonly Row[] = [
  { name: "killed and started again", share: 2 },
  { name: "paused (SIGSTOP)", share: 2 },
  { name: "answers 502", share: 1 },
  { name: "answers 503", share: 1 },
  { name: "answers 504", share: 1 },
  { name: "answers 404", share: 1 },
  { name: "answers 401", share: 1 },
  { name: "cuts every stream", share: 1 },
  { name: "answers late", share: 1.5 },
];

/** One outage; times from the begin of the drill, ms. */
export type Fault = { readonly name: FaultName; readonly fromMs: number; readonly toMs: number };

/** A fault that was played: when the upstream was there again, and when its tools were changed after that. */
export type Played = { readonly fault: Fault; readonly backMs: number; readonly changedMs: number };

/** Part of the time in which nothing is wrong, after every fault. */
const restShare = 0.5;

/** Spreads all faults over the drill, with a rest before the first and after each. */
export function schedule(totalMs: number): Fault[] {
  const shares = rows.reduce((sum, { share }) => sum + share, 0);
  const restMs = (totalMs * restShare) / (rows.length + 1);
  const unitMs = (totalMs * (1 - restShare)) / shares;
  let at = restMs;
  return rows.map(({ name, share }) => {
    const fromMs = Math.round(at);
    const toMs = Math.round(at + share * unitMs);
    at = toMs + restMs;
    return { name, fromMs, toMs };
  });
}
