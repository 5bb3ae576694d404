/**
 * The checker must go red: the same rig with an algorithm that is wrong in one way each. Each is a wrapper of the rig
 * around the product's parts. Fencing is shown both ways: the product's answer first, then without it.
 */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { found } from "./checker.ts";
import { writeMany, writeOf } from "./drive.ts";
import { report } from "./figures.ts";
import { Rig } from "./rig.ts";
import { limitMs, seed } from "./sizes.ts";
import type { Variant } from "./variants.ts";
import type { RequestKind, Verdict } from "./wire.ts";

/** Loses a share of the requests of one kind or their answers. */
function losing(kind: RequestKind, share: number): (request: { kind: RequestKind }) => Verdict {
  const random = seededRandom(seed);
  return (request) => {
    if (request.kind !== kind || random.fraction() >= share) return "pass";
    return random.fraction() < 0.5 ? "lose" : "refuse";
  };
}

/** 400 writes of one lane of this variant, one after another, with a fifth of the requests or answers lost. */
async function lossyRun(variant: Variant, kind: RequestKind) {
  await using rig = await Rig.open({ verdict: losing(kind, 0.2) });
  const [lane] = await rig.startLanes(1, { variant });
  if (lane === undefined) throw new Error("Start one lane: there is none");
  await writeMany(lane, { count: 400, window: 1 });
  await Bun.sleep(300);
  const verdict = await rig.judge();
  report("control", variant, { figures: { "answers lost": rig.wire.counts.lose }, verdict });
  return found(verdict);
}

describe("the checker reports", () => {
  test(
    "what the naive algorithm doubles and puts out of order",
    async () => {
      const { doubled = 0, inversions = 0 } = await lossyRun("naive", "send");
      expect(doubled).toBeGreaterThanOrEqual(10);
      expect(inversions).toBeGreaterThanOrEqual(10);
    },
    limitMs,
  );

  test(
    "what a key per attempt doubles",
    async () => {
      const { doubled = 0 } = await lossyRun("key-per-attempt", "deliver");
      expect(doubled).toBeGreaterThanOrEqual(10);
    },
    limitMs,
  );

  test("nothing of the product in the same run", async () => {
    expect(await lossyRun("product", "deliver")).toEqual({});
  }, 60_000);

  test(
    "what is lost when a record is deleted before it is acknowledged",
    async () => {
      await using rig = await Rig.open();
      const lane = await rig.lane("lane-1", { variant: "delete-before-ack" });
      for (let run = 0; run < 5; run++) {
        const process = await lane.start();
        await writeMany(lane, { count: 8, window: 1, from: run * 8 + 1 });
        await process?.kill();
      }
      const verdict = await rig.judge();
      report("control", "delete before acknowledgement", { figures: { kills: 5 }, verdict });
      expect(verdict.lost.length).toBeGreaterThanOrEqual(5);
    },
    limitMs,
  );
});

/**
 * A request of a record stays on its way; a person takes the record out; the next one is delivered; then the request
 * arrives. `unfenced` lets it arrive under the newest lane session.
 */
async function lateRequest(unfenced: boolean) {
  const held = new Set<string>();
  await using rig = await Rig.open({
    verdict: ({ kind, records }) => {
      const first = records.find(({ body }) => body.endsWith(" 1"));
      if (kind !== "deliver" || first === undefined) return "pass";
      const again = held.has(first.key);
      held.add(first.key);
      return again ? "hole" : "hold";
    },
  });
  const [lane] = await rig.startLanes(1, { limits: { deliveryAttemptMs: 200, writeWaitMs: 50 } });
  if (lane === undefined) throw new Error("Start one lane: there is none");
  const first = await lane.agent.write(writeOf(lane, 1));
  while (rig.wire.counts.hold === 0) await Bun.sleep(5);
  await lane.ask(`/drop?messageIds=${first?.messageId}`);
  await lane.until("nothing waits", ({ depth }) => depth === 0);
  await lane.agent.look();
  await lane.agent.write(writeOf(lane, 2));
  await lane.until("nothing waits", ({ depth }) => depth === 0);
  const [status] = await rig.wire.releaseHeld(unfenced);
  const verdict = await rig.judge();
  report("control", unfenced ? "no lane fencing" : "a late request and fencing", {
    figures: { "status of the late request": status ?? 0 },
    verdict,
  });
  return { status, violations: found(verdict) };
}

describe("a request that arrives after its record was given up", () => {
  test("[P2.9] is fenced, and nothing of it takes effect", async () => {
    expect(await lateRequest(false)).toEqual({ status: 409, violations: {} });
  }, 30_000);

  test("is reported by the checker when nothing fences it", async () => {
    const { status, violations } = await lateRequest(true);
    expect(status).toBe(200);
    expect((violations.inversions ?? 0) + (violations.lies ?? 0)).toBeGreaterThanOrEqual(1);
  }, 30_000);
});
