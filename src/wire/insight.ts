/**
 * Notable events that runners report for people to look at. Each kind can be switched off at the relay, which then
 * answers `feature_disabled`: that is final, and nobody's fault.
 */
import { z } from "zod";
import { limits } from "../limits.ts";

/** What can be reported. */
export const insightTable = {
  hook_crashed: "a hook of the provider failed; the agent went on without it",
  session_analysis: "figures about a finished session of an agent",
  crash_loop: "an agent crashed again and again and is not started any more",
  token_trouble: "a runner could not renew a token",
  outbox_damaged: "an outbox was damaged and set aside",
} as const satisfies Record<string, string>;

export type InsightKind = keyof typeof insightTable;
export const insightKinds = Object.keys(insightTable) as [InsightKind, ...InsightKind[]];

/** An insight as its runner made it; `id` is a UUID so that it can be reported again, `at` is ms since 1970. */
export type Insight = { id: string; kind: InsightKind; at: number; facts: Record<string, unknown> };

/** Facts of an insight: any JSON object within the bounds. */
export const insightFacts = z
  .record(z.string().min(1).max(64), z.unknown())
  .refine((facts) => Buffer.byteLength(JSON.stringify(facts)) <= limits.insightBytesMax, {
    message: `longer than ${limits.insightBytesMax} bytes of JSON`,
  })
  .refine((facts) => isFlat(facts, limits.insightDepthMax), {
    message: `nests deeper than ${limits.insightDepthMax} levels`,
  });

export const insightSchema = z.object({
  number: z.number().int().positive(),
  id: z.uuid(),
  agent: z.string(),
  kind: z.enum(insightKinds),
  at: z.iso.datetime(),
  receivedAt: z.iso.datetime(),
  facts: z.record(z.string(), z.unknown()),
});

function isFlat(value: unknown, depthMax: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depthMax > 0 && Object.values(value).every((member) => isFlat(member, depthMax - 1));
}
