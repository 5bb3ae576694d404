/** What every twin of the relay's store promises about brakes, quarantine, presence and insights. */
import { expect } from "bun:test";
import { limits } from "../../src/limits.ts";
import type { Agent, WriteBatchResult } from "../../src/store/store.ts";
import type { LaneOutcome } from "../../src/wire/lane.ts";
import { defaultProfile } from "../../src/wire/scope.ts";
import { applied, type Promises, start, upTo, type World } from "./store-world.ts";

const second = 1_000;
const statuses = (result: WriteBatchResult) => applied(result).outcomes.map(({ status }) => status);
const times = (status: LaneOutcome["status"], count: number) =>
  Array<LaneOutcome["status"]>(count).fill(status);

export const brakePromises: Promises = {
  "[P2.21] what is over the rate of its sender waits, in order, and everything after it; nothing of it is lost":
    async (world) => {
      const { ada, bob } = await braked(world, { burst: 3, perMinute: 60 });
      const writes = upTo(6).map((n) => world.write({ to: "bob", body: `${n}` }));
      const first = applied(await world.store.applyWrites(world.batch(ada, writes), start));
      expect(first.outcomes.map(({ status }) => status)).toEqual([
        ...times("committed", 3),
        ...times("deferred", 3),
      ]);
      expect(first.outcomes[3]).toMatchObject({
        code: "rate_limited",
        retryAfterMs: limits.rateRetryMs,
        key: writes[3]?.key,
      });
      expect(first.outcomes[5]).toMatchObject({ code: "rate_limited", key: writes[5]?.key });
      const again = await world.store.applyWrites(world.batch(ada, writes), start + 2 * second);
      expect(statuses(again)).toEqual([...times("committed", 5), "deferred"]);
      await world.store.applyWrites(world.batch(ada, writes), start + 3 * second);
      expect((await world.inbox(bob)).map(({ body }) => body)).toEqual(["1", "2", "3", "4", "5", "6"]);
    },

  "[P2.21] what was taken of a rate is remembered when the store is opened again": async (world) => {
    const { ada } = await braked(world, { burst: 3, perMinute: 60 });
    const write = (n: number) => world.write({ to: "bob", body: `${n}` });
    await world.store.applyWrites(world.batch(ada, upTo(3).map(write)), start);
    const store = await world.reopen();
    expect(statuses(await store.applyWrites(world.batch(ada, [write(4)]), start))).toEqual(["deferred"]);
    expect(statuses(await store.applyWrites(world.batch(ada, [write(5)]), start + second))).toEqual([
      "committed",
    ]);
  },

  "a sender over its rate is in nobody's way, and what is told again takes nothing": async (world) => {
    const { ada, bob } = await braked(world, { burst: 1, perMinute: 1 });
    const write = world.write({ to: "bob", body: "1" });
    await world.apply(ada, write);
    expect(statuses(await world.apply(ada, write))).toEqual(["committed"]);
    expect(statuses(await world.apply(ada, world.write({ to: "bob", body: "2" })))).toEqual(["deferred"]);
    expect(statuses(await world.apply(bob, world.write({ to: "ada", body: "3" })))).toEqual(["committed"]);
  },

  "what is refused for good takes of the rate too": async (world) => {
    const { ada } = await braked(world, { burst: 2, perMinute: 1 });
    const bad = upTo(3).map(() => world.write({ to: "nobody", body: "x" }));
    expect(statuses(await world.apply(ada, ...bad))).toEqual(["rejected", "rejected", "deferred"]);
  },

  "a profile's recipients and forwards are bounds for its agents": async (world) => {
    const { ada, bob } = await braked(world, { fanOutMax: 1, hopsMax: 1 });
    await world.agent("eve");
    const scopes = { scopes: ["message:send", "message:broadcast"] as const };
    const all = world.batch(ada, [world.write({ to: "@all", body: "hear" })], scopes);
    expect(applied(await world.store.applyWrites(all, start)).outcomes).toMatchObject([
      { status: "rejected", code: "too_many_recipients" },
    ]);
    const told = world.write({ to: "bob", body: "news" });
    await world.apply(ada, told);
    const once = world.write({ to: "ada", body: "see below", forwardOf: told.messageId });
    const twice = world.write({ to: "bob", body: "see below", forwardOf: once.messageId });
    expect(statuses(await world.apply(bob, once))).toEqual(["committed"]);
    expect((await world.apply(ada, twice)).outcomes).toMatchObject([
      { status: "rejected", code: "hops_exceeded" },
    ]);
  },

  "[P2.22] writes of a quarantined agent are refused for good, its reading goes on, and others are not touched":
    async (world) => {
      const { ada, bob } = await braked(world, {});
      await world.apply(bob, world.write({ to: "ada", body: "hello" }));
      expect(await world.store.quarantine(ada.id, "runs wild", start)).toBe(true);
      expect(await world.store.quarantine(ada.id, "again", start + 1)).toBe(false);
      expect(await world.store.quarantines()).toEqual([
        { agentId: ada.id, name: "ada", since: start, reason: "runs wild" },
      ]);
      const write = world.write({ to: "bob", body: "x" });
      const refused = { status: "rejected", code: "quarantined" };
      const [outcome] = (await world.apply(ada, write)).outcomes;
      expect(outcome).toMatchObject(refused);
      expect(JSON.stringify(outcome)).toContain("runs wild");
      expect(await world.inbox(ada)).toHaveLength(1);
      expect(statuses(await world.apply(bob, world.write({ to: "ada", body: "still there?" })))).toEqual([
        "committed",
      ]);
      expect(await world.store.release(ada.id)).toBe(true);
      expect(await world.store.release(ada.id)).toBe(false);
      expect((await world.apply(ada, write)).outcomes).toMatchObject([refused]);
      expect(statuses(await world.apply(ada, world.write({ to: "bob", body: "x" })))).toEqual(["committed"]);
      expect((await world.inbox(bob)).map(({ body }) => body)).toEqual(["x"]);
    },
};

export const oversightPromises: Promises = {
  "a state is as old as its first report and as fresh as its last": async (world) => {
    const ada = await world.agent("ada");
    expect(await world.store.reportPresence(ada.id, "busy", start)).toBe(true);
    expect(await world.store.reportPresence(ada.id, "busy", start + second)).toBe(false);
    expect(await world.store.presences()).toEqual([
      { agentId: ada.id, state: "busy", since: start, heardAt: start + second },
    ]);
    expect(await world.store.reportPresence(ada.id, "idle", start + 2 * second)).toBe(true);
    expect(await world.store.presences()).toMatchObject([{ state: "idle", since: start + 2 * second }]);
  },

  "an insight is stored once, and looked for by kind, agent and number": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const hook = insight(world, { facts: { hook: "Stop", nested: { code: 1 } } });
    expect(await world.store.addInsight(ada.id, hook, start + 5)).toBe("stored");
    expect(await world.store.addInsight(ada.id, hook, start + 9)).toBe("known");
    await world.store.addInsight(bob.id, insight(world, { kind: "crash_loop" }), start + 6);
    const found = { number: 1, ...hook, agentName: "ada", receivedAt: start + 5 };
    expect(await world.store.listInsights({ limit: 10 })).toMatchObject([{ kind: "crash_loop" }, found]);
    expect(await world.store.listInsights({ limit: 10, before: 2 })).toEqual([found]);
    expect(await world.store.listInsights({ limit: 10, kind: "hook_crashed" })).toEqual([found]);
    expect(await world.store.listInsights({ limit: 10, agentId: bob.id })).toMatchObject([
      { agentName: "bob" },
    ]);
    expect(await world.store.listInsights({ limit: 1 })).toHaveLength(1);
  },

  "a kind that is switched off is not stored, until it is switched on again": async (world) => {
    const ada = await world.agent("ada");
    expect(await world.store.disabledInsights()).toEqual([]);
    expect(await world.store.setInsightKind("hook_crashed", false, start)).toBe(true);
    expect(await world.store.setInsightKind("hook_crashed", false, start)).toBe(false);
    expect(await world.store.disabledInsights()).toEqual(["hook_crashed"]);
    expect(await world.store.addInsight(ada.id, insight(world), start)).toBe("disabled");
    expect(await world.store.addInsight(ada.id, insight(world, { kind: "crash_loop" }), start)).toBe(
      "stored",
    );
    await world.store.setInsightKind("hook_crashed", true, start);
    expect(await world.store.addInsight(ada.id, insight(world), start)).toBe("stored");
    expect(await world.store.listInsights({ limit: 10 })).toHaveLength(2);
  },

  "only the newest insights are kept": async (world) => {
    const ada = await world.agent("ada");
    const extra = 5;
    const all = upTo(limits.insightsMax + extra).map(() => insight(world));
    await Promise.all(all.map((one) => world.store.addInsight(ada.id, one, start)));
    const oldest = await world.store.listInsights({ limit: 10, before: extra + 3 });
    expect(oldest.map(({ number }) => number)).toEqual([extra + 2, extra + 1]);
  },
};

/** Ada and bob, where profile `default` has these limits. */
async function braked(
  world: World,
  limited: Partial<typeof defaultProfile.limits>,
): Promise<{ ada: Agent; bob: Agent }> {
  const profile = { ...defaultProfile, limits: { ...defaultProfile.limits, ...limited } };
  await world.store.setProfile(profile, start);
  return { ada: await world.agent("ada"), bob: await world.agent("bob") };
}

function insight(
  world: World,
  over: { kind?: "hook_crashed" | "crash_loop"; facts?: Record<string, unknown> } = {},
) {
  return { id: world.uuid(), kind: "hook_crashed" as const, at: start, facts: {}, ...over };
}
