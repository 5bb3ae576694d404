/** What a test of the rig reports: one line for people, and one for the night run, which makes the table of them. */
import { appendFileSync } from "node:fs";
import { z } from "zod";
import { found, type Verdict } from "./checker.ts";
import { seed, type TestId, tier } from "./sizes.ts";

export const figureSchema = z.object({
  id: z.string(),
  what: z.string(),
  tier: z.string(),
  seed: z.number(),
  figures: z.record(z.string(), z.union([z.number(), z.string()])),
  violations: z.record(z.string(), z.number()),
});
export type Figure = z.infer<typeof figureSchema>;

/** Variable that names the file for the night run. */
export const figuresVariable = "AGENT_RELAY_RIG_FIGURES";

/** Prints and keeps the figures of a test. */
export function report(
  id: TestId | "control",
  what: string,
  { figures, verdict }: { figures: Figure["figures"]; verdict?: Verdict },
): void {
  const own: Figure["figures"] =
    verdict === undefined
      ? {}
      : {
          tried: verdict.tried,
          ...verdict.told,
          committed: verdict.committed,
          read: verdict.read,
          notices: verdict.notices,
        };
  const violations = verdict === undefined ? {} : (found(verdict) as Record<string, number>);
  const figure: Figure = { id, what, tier, seed, figures: { ...own, ...figures }, violations };
  const text = Object.entries(figure.figures).map(([name, value]) => `${name} ${value}`);
  const bad = Object.entries(violations).map(([name, value]) => `${name} ${value}`);
  console.log(
    `figures ${id} ${what}: ${text.join(", ")}; violations: ${bad.join(", ") || "0"}; seed ${seed}`,
  );
  const file = process.env[figuresVariable];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(figure)}\n`);
}

/** The value below which this share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}
