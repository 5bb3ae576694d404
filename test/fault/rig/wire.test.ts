/**
 * Faults of the network between outbox and relay, with a verdict per request: answers lost, answers that become
 * errors of a gateway, a relay that refuses, comes and goes, is slow or silent.
 */
import { expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { found, words } from "./checker.ts";
import { writeMany } from "./drive.ts";
import { percentile, report } from "./figures.ts";
import { Rig, scaled } from "./rig.ts";
import { limitMs, scale, seed, sizeOf, type TestId } from "./sizes.ts";
import type { Verdict, WireRequest } from "./wire.ts";

/** A share of the deliveries gets one of these verdicts. */
function sometimes(share: number, verdicts: readonly Verdict[]): (request: WireRequest) => Verdict {
  const random = seededRandom(seed);
  return ({ kind }) => {
    if (kind !== "deliver" || random.fraction() >= share) return "pass";
    return verdicts[Math.floor(random.fraction() * verdicts.length)] ?? "pass";
  };
}

/** Four lanes write against such a wire; the figures and what the checker found. */
async function lossy(
  id: TestId,
  { share, verdicts, window }: { share: number; verdicts: readonly Verdict[]; window: number },
) {
  await using rig = await Rig.open({ verdict: sometimes(share, verdicts) });
  const lanes = await rig.startLanes(4);
  const count = Math.ceil(sizeOf(id) / lanes.length);
  await Promise.all(lanes.map((lane) => writeMany(lane, { count, window })));
  const { counts } = rig.wire;
  const hit = Object.fromEntries(verdicts.map((verdict) => [verdict, counts[verdict]]));
  const most = Math.max(...counts.attempts.values());
  const { ambiguous, deliveries } = counts;
  const verdict = await rig.judge();
  const figures: Record<string, number> = {
    ...hit,
    deliveries,
    "ambiguous outcomes": ambiguous,
    "most attempts": most,
  };
  return { verdict, ambiguous, figures };
}

test(
  "T2 T3: [P2.5] answers lost, cut, or turned into 502, 503 and 504 after the relay has committed",
  async () => {
    const lost = await lossy("T2", { share: 0.1, verdicts: ["lose"], window: 8 });
    report("T2", "answers lost after the commit", lost);
    const turned: readonly Verdict[] = ["lose-502", "lose-503", "lose-504", "cut"];
    const faulty = await lossy("T3", { share: 0.4, verdicts: turned, window: 8 });
    report("T3", "answers turned into faults after the commit", faulty);
    expect([...words(lost.verdict), ...words(faulty.verdict)]).toEqual([]);
    expect([found(lost.verdict), found(faulty.verdict)]).toEqual([{}, {}]);
    expect(lost.ambiguous + faulty.ambiguous).toBeGreaterThanOrEqual(1_000 * Math.min(1, scale));
    expect(turned.filter((kind) => (faulty.figures[kind] ?? 0) < 20 * Math.min(1, scale))).toEqual([]);
  },
  limitMs,
);

test(
  "T5: [P2.6] a relay that comes and goes: nothing is lost, and no record is tried again and again",
  async () => {
    await using rig = await Rig.open();
    const lanes = await rig.startLanes(3);
    const random = seededRandom(seed);
    const stop = new AbortController();
    const writing = lanes.map((lane) => writeMany(lane, { count: 1e6, window: 2, signal: stop.signal }));
    const end = performance.now() + sizeOf("T5") * 1_000;
    // Times up and down are exponential around 150 ms; the product's waits are scaled by about the same factor.
    const pause = () => Bun.sleep(Math.min(2_000, -150 * Math.log(1 - random.fraction())));
    let flaps = 0;
    while (performance.now() < end) {
      await rig.wire.down();
      await pause();
      await rig.wire.up();
      await pause();
      flaps += 1;
    }
    stop.abort();
    await Promise.all(writing);
    const attempts = [...rig.wire.counts.attempts.values()];
    const verdict = await rig.judge();
    const figures = { flaps, "most attempts": Math.max(...attempts) };
    report("T5", "a relay that comes and goes", { figures, verdict });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(flaps).toBeGreaterThanOrEqual(10 * Math.min(1, scale));
    expect(Math.max(...attempts)).toBeLessThanOrEqual(10);
  },
  limitMs,
);

test(
  "T6: a slow or silent relay: the agent is answered in time, and what it was told is true",
  async () => {
    const random = seededRandom(seed);
    const silent = (): Verdict =>
      (["swallow", "hole", "pass"] as const)[Math.floor(random.fraction() * 3)] ?? "pass";
    await using rig = await Rig.open({
      verdict: ({ kind }) => (kind === "deliver" ? silent() : "pass"),
      delayMs: ({ kind }) =>
        kind === "deliver" ? random.fraction() * 2 * (scaled.deliveryAttemptMs ?? 0) : 0,
    });
    const lanes = await rig.startLanes(4);
    const count = Math.ceil(sizeOf("T6") / lanes.length);
    const took = (await Promise.all(lanes.map((lane) => writeMany(lane, { count, window: 8 })))).flat();
    const { swallow, hole } = rig.wire.counts;
    const verdict = await rig.judge();
    const slowest = Math.max(...took);
    const figures = { swallow, hole, "answered p99 ms": percentile(took, 0.99), "slowest ms": slowest };
    report("T6", "a slow or silent relay", { figures, verdict });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    // The product's bound is the wait for the relay's own result; half a second more is the machine's.
    expect(slowest).toBeLessThanOrEqual((scaled.writeWaitMs ?? 0) + 500);
  },
  limitMs,
);
