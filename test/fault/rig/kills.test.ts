/**
 * Real processes killed at named points, again and again, while agents write: nothing may be lost, doubled, out of
 * order, untrue or stuck. The points and how they are hit are in points.ts; how often each was hit is asserted.
 */
import { expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { found, words } from "./checker.ts";
import { killLane, killRelay, writeMany } from "./drive.ts";
import { report } from "./figures.ts";
import type { PointName } from "./points.ts";
import { Rig } from "./rig.ts";
import { limitMs, scale, seed, sizeOf } from "./sizes.ts";

/** Hits that a point must have had in a run of full size. */
const hitsMin = Math.min(20, Math.round(20 * scale));

const outboxPoints: readonly PointName[] = [
  "before-insert",
  "before-commit",
  "after-commit",
  "after-reply",
  "mid-request",
  "after-response",
  "mid-settle",
  "after-settle",
  "mid-checkpoint",
  "mid-open",
];

test(
  "T1: [P2.3] an outbox process killed at each of its points loses nothing and doubles nothing",
  async () => {
    await using rig = await Rig.open();
    const lanes = [await rig.lane("lane-1"), await rig.lane("lane-2")];
    const each = Math.ceil(sizeOf("T1") / lanes.length);
    await Promise.all(
      lanes.map((lane, index) =>
        killLane(rig, lane, { points: outboxPoints, times: each, random: seededRandom(seed + index) }),
      ),
    );
    const verdict = await rig.judge();
    const hits = rig.hits();
    report("T1", "kills of the outbox process", {
      figures: { ...(hits as Record<string, number>) },
      verdict,
    });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(outboxPoints.filter((point) => (hits[point] ?? 0) < hitsMin)).toEqual([]);
  },
  limitMs,
);

test(
  "T4: [P2.4] [P2.8] a relay killed before, in and after its commit applies every write once",
  async () => {
    await using rig = await Rig.open();
    const lanes = await rig.startLanes(2);
    const stop = new AbortController();
    const writing = lanes.map((lane) =>
      writeMany(lane, { count: 1_000_000, window: 2, signal: stop.signal }),
    );
    const points = ["relay-mid-transaction", "relay-before-commit", "relay-after-commit"] as const;
    try {
      await killRelay(rig, { points, times: sizeOf("T4"), random: seededRandom(seed) });
    } finally {
      stop.abort();
    }
    await Promise.all(writing);
    const verdict = await rig.judge();
    const hits = rig.hits();
    report("T4", "kills of the relay", { figures: { ...(hits as Record<string, number>) }, verdict });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(points.filter((point) => (hits[point] ?? 0) < hitsMin)).toEqual([]);
  },
  limitMs,
);
