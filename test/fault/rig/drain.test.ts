/** A long outage ends: thousands of records are delivered at once, while agents go on writing. */
import { expect, test } from "bun:test";
import { found, words } from "./checker.ts";
import { writeMany } from "./drive.ts";
import { percentile, report } from "./figures.ts";
import { Rig, type RigLane } from "./rig.ts";
import { limitMs, scale, sizeOf } from "./sizes.ts";

/** An outage in which the lanes queue so many records in all. */
async function queued(rig: Rig, lanes: readonly RigLane[], total: number): Promise<void> {
  await rig.wire.down();
  const count = Math.ceil(total / lanes.length);
  await Promise.all(lanes.map((lane) => writeMany(lane, { count, window: 16, naming: "key" })));
}

async function depth(lanes: readonly RigLane[]): Promise<number> {
  const facts = await Promise.all(lanes.map((lane) => lane.ask()));
  return facts.reduce((sum, { depth: own }) => sum + own, 0);
}

test(
  "T7: ten thousand records of eight agents are delivered within 10 s at a round trip of 20 ms",
  async () => {
    await using rig = await Rig.open({ delayMs: () => 20 }, 4);
    const lanes = await rig.startLanes(8, { limits: { outboxRecordsMax: 100_000, writeWaitMs: 50 } });
    const total = sizeOf("T7");
    await queued(rig, lanes, total);
    const waiting = await depth(lanes);
    const startedAt = performance.now();
    await rig.wire.up();
    await Promise.all(lanes.map((lane) => lane.ask("/kick")));
    while ((await depth(lanes)) > 0) await Bun.sleep(25);
    const drainMs = Math.round(performance.now() - startedAt);
    const { deliveries } = rig.wire.counts;
    const verdict = await rig.judge();
    report("T7", "a full queue is drained", {
      figures: { waiting, "drain ms": drainMs, deliveries },
      verdict,
    });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(waiting).toBeGreaterThanOrEqual(total * 0.99);
    expect(drainMs).toBeLessThanOrEqual(10_000 * Math.max(1, total / 10_000));
  },
  limitMs,
);

test(
  "T8: [P2.6] writes made while the queue drains overtake nothing",
  async () => {
    await using rig = await Rig.open({ delayMs: () => 20 });
    const lanes = await rig.startLanes(2, { limits: { writeWaitMs: 50 } });
    const before = Math.ceil(sizeOf("T8") / 2);
    await queued(rig, lanes, before);
    await rig.wire.up();
    const from = Math.ceil(before / lanes.length) + 1;
    const count = Math.ceil(sizeOf("T8") / lanes.length);
    const live = lanes.map((lane) => writeMany(lane, { count, window: 16, from }));
    const took = (await Promise.all(live)).flat();
    const verdict = await rig.judge();
    const p99 = percentile(took, 0.99);
    report("T8", "writes while the queue drains", { figures: { "answered p99 ms": p99 }, verdict });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(verdict.tried).toBeGreaterThanOrEqual(sizeOf("T8") * Math.min(1, scale));
  },
  limitMs,
);
