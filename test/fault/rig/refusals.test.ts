/**
 * What the relay refuses for good after an outage, what it fails on for ever, and the ends of a token: each comes
 * back to the agent as one notice, and nothing behind it is held up.
 */
import { describe, expect, test } from "bun:test";
import { realRandom } from "../../../src/base/random.ts";
import { tokenHash, tokenText } from "../../../src/wire/token.ts";
import { found, words } from "./checker.ts";
import { writeMany, writeOf } from "./drive.ts";
import { report } from "./figures.ts";
import { linesOf, readLedger } from "./ledger.ts";
import { Rig, type RigLane } from "./rig.ts";
import { limitMs, sizeOf } from "./sizes.ts";

async function depthOf(lane: RigLane): Promise<number> {
  return (await lane.ask()).depth;
}

test(
  "T19: poison records are given up within the bound, the others go on, and the agent is told",
  async () => {
    const count = sizeOf("T19");
    const isPoison = (body: string) => Number(body.split(" ")[2]) % 3 === 0;
    await using rig = await Rig.open({
      verdict: ({ kind, records }) =>
        kind === "deliver" && records.some(({ body }) => isPoison(body)) ? "status-500" : "pass",
    });
    const limits = { poisonAttemptsMax: 4, poisonSpanMs: 100, deliveryBackoffCapMs: 60, writeWaitMs: 20 };
    const [lane, other] = await rig.startLanes(2, { limits });
    if (lane === undefined || other === undefined) throw new Error("Start two lanes: there are fewer");
    await writeMany(lane, { count: 3 * count, window: 8, naming: "key" });
    const startedAt = performance.now();
    await lane.until("nothing waits", ({ depth }) => depth === 0);
    const perPoisonMs = Math.round((performance.now() - startedAt) / count);
    await writeMany(other, { count: 2, window: 1 });
    await lane.settle(10_000);
    const notices = linesOf(readLedger(lane.ledgerFile), "notice").filter(
      ({ reason }) => reason !== "delayed",
    );
    const verdict = await rig.judge();
    report("T19", "poison records", { figures: { poison: count, "ms for each": perPoisonMs }, verdict });
    expect(words(verdict)).toEqual([]);
    expect(new Set(notices.map(({ messageId }) => messageId)).size).toBe(count);
    // Four attempts with pauses of at most 60 ms and the span of 100 ms; the rest is the machine's.
    expect(perPoisonMs).toBeLessThanOrEqual(1_500);
  },
  limitMs,
);

test(
  "T20: [P2.10] each write that is refused after an outage is one notice, in the very next result, also after a kill",
  async () => {
    const count = sizeOf("T20");
    await using rig = await Rig.open();
    const [lane] = await rig.startLanes(1, { limits: { writeWaitMs: 20 } });
    if (lane === undefined) throw new Error("Start one lane: there is none");
    await rig.wire.down();
    const refused = Math.ceil(count / 2);
    for (let n = 1; n <= count; n++)
      await lane.agent.write(writeOf(lane, n, { to: n % 2 === 0 ? "sink-1" : "nobody" }));
    await rig.wire.up();
    await lane.ask("/kick");
    await lane.until("nothing waits", ({ depth }) => depth === 0);
    const before = linesOf(readLedger(lane.ledgerFile), "notice").length;
    await lane.process?.kill();
    await lane.start();
    await lane.agent.look();
    const first = linesOf(readLedger(lane.ledgerFile), "notice").length - before;
    await lane.settle(20_000);
    const notices = linesOf(readLedger(lane.ledgerFile), "notice").filter(
      ({ reason }) => reason === "rejected",
    );
    const verdict = await rig.judge();
    report("T20", "writes refused after an outage", {
      figures: { refused, "in the next result": first },
      verdict,
    });
    expect(words(verdict)).toEqual([]);
    expect(first).toBe(Math.min(20, refused));
    expect(new Set(notices.map(({ messageId }) => messageId)).size).toBe(refused);
    expect(verdict.committed).toBe(count - refused);
  },
  limitMs,
);

describe("T15: a token that ends in an outage", () => {
  /** Queues in an outage, lets the token end so, comes back. */
  async function outage(end: (rig: Rig, lane: RigLane) => Promise<void>) {
    const rig = await Rig.open();
    const [lane] = await rig.startLanes(1, { limits: { writeWaitMs: 20 } });
    if (lane === undefined) throw new Error("Start one lane: there is none");
    await lane.agent.write(writeOf(lane, 1));
    await lane.until("nothing waits", ({ depth }) => depth === 0);
    await rig.wire.down();
    await writeMany(lane, { count: sizeOf("T15"), window: 4, from: 2 });
    await end(rig, lane);
    await rig.wire.up();
    await lane.ask("/kick");
    return { rig, lane };
  }

  async function runnerTokenOf(rig: Rig, lane: RigLane): Promise<string> {
    const { tokens } = await rig.operator.listTokens({});
    const own = tokens.find(({ kind, agent, revokedAt }) => {
      return kind === "runner" && agent === lane.name && revokedAt === undefined;
    });
    return own?.id ?? "";
  }

  test(
    "revoked: it pauses, refuses new writes, and delivers nothing under another identity; a new token delivers all",
    async () => {
      const { rig, lane } = await outage(async (world, own) => {
        await world.operator.revokeToken({ id: await runnerTokenOf(world, own) });
      });
      await using world = rig;
      await lane.until("it has paused", ({ state }) => state === "paused");
      const waiting = await depthOf(lane);
      const told = await lane.agent.tryWrite(writeOf(lane, 1_000_000));
      const committed = (
        await world.client(world.readers[0]?.runnerToken ?? "").readInbox({ agent: "sink-1" })
      ).messages;
      await lane.process?.stop();
      Object.assign(lane.who, await world.enrolAgain(lane.name));
      await lane.start();
      const verdict = await world.judge();
      report("T15", "token revoked in an outage", { figures: { waiting }, verdict });
      expect([told?.delivery, told?.reason?.split(":")[0]]).toEqual(["refused", "token_revoked"]);
      expect(waiting).toBe(sizeOf("T15"));
      expect(committed).toHaveLength(1);
      expect(found(verdict)).toEqual({});
      expect(verdict.committed).toBe(1 + sizeOf("T15"));
    },
    limitMs,
  );

  test(
    "[P2.23] rotated: what waits goes out under the old secret in its grace, what comes later under the new one",
    async () => {
      const successor = tokenText("runner", realRandom.bytes(32));
      const { rig, lane } = await outage(async (world, own) => {
        const secret = own.who.runnerToken;
        await world.client(secret).renewToken({ secret, successorHash: tokenHash(successor) });
      });
      await using world = rig;
      await lane.until("nothing waits", ({ depth }) => depth === 0);
      await lane.process?.stop();
      Object.assign(lane.who, { runnerToken: successor });
      await lane.start();
      await lane.agent.write(writeOf(lane, 2_000_000));
      const verdict = await world.judge();
      report("T15", "token rotated in an outage", { figures: {}, verdict });
      expect(found(verdict)).toEqual({});
      expect(verdict.committed).toBe(2 + sizeOf("T15"));
    },
    limitMs,
  );

  test(
    "[P2.23] its agent's scopes reduced: each write that waits comes back as one notice, and none takes effect",
    async () => {
      const { rig, lane } = await outage(async (world, own) => {
        await world.operator.setProfile({ name: "quiet", scopes: ["message:read", "agent:read"] });
        await world.operator.assignProfile({ agent: own.name, profile: "quiet" });
      });
      await using world = rig;
      await lane.until("nothing waits", ({ depth }) => depth === 0);
      await lane.settle(20_000);
      const notices = linesOf(readLedger(lane.ledgerFile), "notice").filter(
        ({ reason }) => reason === "rejected",
      );
      const verdict = await world.judge();
      report("T15", "scopes reduced in an outage", { figures: { refused: notices.length }, verdict });
      expect(words(verdict)).toEqual([]);
      expect(new Set(notices.map(({ messageId }) => messageId)).size).toBe(sizeOf("T15"));
      expect(verdict.committed).toBe(1);
    },
    limitMs,
  );

  test(
    "unknown to the gateway for a while: it waits, and delivers when it is accepted again",
    async () => {
      const { rig, lane } = await outage(async (world) => {
        let refusals = 5;
        world.wire.options.verdict = ({ kind }) =>
          (kind === "open" || kind === "deliver") && refusals-- > 0 ? "status-401" : "pass";
      });
      await using world = rig;
      await lane.until("nothing waits", ({ depth }) => depth === 0);
      const verdict = await world.judge();
      report("T15", "token not accepted for a while", { figures: {}, verdict });
      expect(found(verdict)).toEqual({});
      expect(verdict.committed).toBe(1 + sizeOf("T15"));
    },
    limitMs,
  );
});
