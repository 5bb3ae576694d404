/** What the load is asked for, what it answers, and the loop that measures closed clients. */
import { z } from "zod";
import { agentSchema, type BenchAgent } from "./world.ts";

export const orderSchema = z.object({
  part: z.enum(["batches", "calls", "latency", "feeds"]),
  url: z.string(),
  agents: z.array(agentSchema),
  warmupMs: z.number().nonnegative(),
  measureMs: z.number().positive(),
  /** Bytes of one message body. */
  bodyBytes: z.number().int().positive().default(256),
  /** Records of one batch. */
  batch: z.number().int().positive().default(200),
  era: z.enum(["modern", "legacy"]).default("modern"),
  /** Connections that call at the same time; each takes its turn with its share of the agents. */
  connections: z.number().int().positive().default(32),
  /** Messages a second that are sent whatever the answers do. */
  perSecond: z.number().positive().default(500),
});
export type Order = z.infer<typeof orderSchema>;

export const measuredSchema = z.object({
  /** Messages, calls or feeds. */
  count: z.number(),
  perSecond: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  maxMs: z.number(),
});
export type Measured = z.infer<typeof measuredSchema>;

/** The figures of what took so long each. @param units what was done in all */
export function measured(times: readonly number[], units: number, measureMs: number): Measured {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  const perSecond = (units / measureMs) * 1000;
  return { count: units, perSecond, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: sorted.at(-1) ?? Number.NaN };
}

type Took = (ms: number, units: number) => void;
type Prepare = (agent: BenchAgent, index: number, took: Took) => Promise<() => Promise<void>>;

/** Every agent does the next thing when its last was answered; counted is what ends in the measured time. */
export async function timed(order: Order, prepare: Prepare): Promise<Measured> {
  const times: number[] = [];
  let units = 0;
  let begin = Number.POSITIVE_INFINITY;
  let end = Number.POSITIVE_INFINITY;
  const took: Took = (ms, done) => {
    const now = performance.now();
    if (now < begin || now > end) return;
    times.push(ms);
    units += done;
  };
  const steps = await Promise.all(order.agents.map((agent, index) => prepare(agent, index, took)));
  begin = performance.now() + order.warmupMs;
  end = begin + order.measureMs;
  await Promise.all(
    steps.map(async (step) => {
      while (performance.now() < end) await step();
    }),
  );
  return measured(times, units, order.measureMs);
}
