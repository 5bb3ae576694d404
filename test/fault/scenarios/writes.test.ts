/**
 * Failure scenarios 4 and 5: an answer is lost after the work was done, and the proxy is killed with writes in its
 * queue. The upstream keeps a ledger by key; what it ran and what it was asked are counted apart.
 */
import { describe, expect, test } from "bun:test";
import { realClock } from "../../../src/base/clock.ts";
import { createHttpClient } from "../../../src/base/http/client.ts";
import { silentLog } from "../../../src/base/log.ts";
import { realRandom } from "../../../src/base/random.ts";
import { limits } from "../../../src/limits.ts";
import { openOutbox } from "../../../src/outbox/outbox.ts";
import { upstreamDeliverer } from "../../../src/proxy/deliver.ts";
import { parsePolicy } from "../../../src/proxy/policy.ts";
import { asId } from "../../../src/wire/id.ts";
import type { Era, Told, Witness } from "../../fixtures/sdk-client.ts";
import { type ScriptedUpstream, toolNamed } from "../../fixtures/upstreams/scripted.ts";
import { eras, eventually, nothingNoticed, noticed, Stage, type UpstreamSettings } from "./stage.ts";

/** `pay` is written ahead with a key; `poke` has none. */
const policy = { tools: { pay: { buffered: true, key: { argument: "key" } } } };

type Ledger = { asked: string[]; ran: string[]; slowMs: number; refuses: (what: string) => boolean };

/** An upstream whose `pay` runs once per key and says so; every answer of `pay` and `poke` holds `marker`. */
function ledgerOf(upstream: ScriptedUpstream): Ledger {
  const ledger: Ledger = { asked: [], ran: [], slowMs: 0, refuses: () => false };
  const keys = new Set<string>();
  upstream.tools = [toolNamed("pay"), toolNamed("poke"), toolNamed("look")];
  upstream.results.set("pay", async ({ key, what }) => {
    ledger.asked.push(String(what));
    if (ledger.slowMs > 0) await Bun.sleep(ledger.slowMs);
    if (ledger.refuses(String(what))) {
      return { content: [{ type: "text", text: "no such account" }], isError: true };
    }
    if (!keys.has(String(key))) ledger.ran.push(String(what));
    keys.add(String(key));
    return { content: [{ type: "text", text: `paid-marker ${String(what)}` }] };
  });
  upstream.results.set("poke", ({ what }) => {
    ledger.asked.push(String(what));
    ledger.ran.push(String(what));
    return { content: [{ type: "text", text: `poked-marker ${String(what)}` }] };
  });
  return ledger;
}

async function connected(stage: Stage, era: Era, settings: UpstreamSettings = {}) {
  const upstream = stage.upstream(settings);
  const ledger = ledgerOf(upstream);
  const gate = await stage.gate(upstream);
  const proxy = await stage.proxy(gate.origin, { policy });
  const agent = await stage.client(proxy, era);
  await agent.toolNames();
  return { upstream, ledger, gate, proxy, agent };
}

describe("4: the answer is lost after the work was done", () => {
  const cells = eras.flatMap((era) => ["JSON", "SSE"].map((form) => [era, form] as const));
  test.concurrent.each(cells)(
    "[P2.5] 4: a keyed write takes effect once (%s, answers as %s)",
    async (era, form) => {
      await using stage = new Stage();
      const { ledger, gate, agent } = await connected(stage, era, { sse: form === "SSE" });
      gate.loseAnswersWith = "paid-marker";
      const told = agent.call("pay", { what: "rent" });
      await eventually("an answer was lost", () => gate.counts.answersLost >= 1);
      expect(ledger.ran).toEqual(["rent"]);
      gate.loseAnswersWith = undefined;
      // Within the time a call may wait the repeat brings the upstream's own answer, later it says that it is queued.
      expect(await told).toMatchObject({ isError: false });
      await eventually("it was asked again", () => ledger.asked.length >= 2);
      expect(ledger.ran).toEqual(["rent"]);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );

  test.concurrent.each(cells)(
    "[P5.3] 4: a write without a key is never sent again, and its outcome is unknown (%s, answers as %s)",
    async (era, form) => {
      await using stage = new Stage();
      const { ledger, gate, agent } = await connected(stage, era, { sse: form === "SSE" });
      gate.loseAnswersWith = "poked-marker";
      const told = await agent.call("poke", { what: "bell" });
      expect(gate.counts.answersLost).toBe(1);
      expect(told.isError).toBe(true);
      expect(told.text).toContain("Whether it ran: unknown. Check its effect before you call it again.");
      gate.loseAnswersWith = undefined;
      await agent.call("look");
      expect(ledger.asked).toEqual(["bell"]);
      expect(ledger.ran).toEqual(["bell"]);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );

  test.concurrent("[P5.3] 4: after a timeout the outcome is unknown as well, and nothing is sent again", async () => {
    await using stage = new Stage();
    const upstream = stage.upstream();
    const ledger = ledgerOf(upstream);
    upstream.results.set("poke", async ({ what }) => {
      ledger.ran.push(String(what));
      await Bun.sleep(2_500);
      return { content: [] };
    });
    const proxy = await stage.proxy(upstream.origin, { policy: { tools: { poke: { timeoutMs: 400 } } } });
    const agent = await stage.client(proxy, "modern");
    const begun = performance.now();
    const told = await agent.call("poke", { what: "bell" });
    const took = performance.now() - begun;
    console.log(`4: a call that may take 400 ms is answered after ${took.toFixed(0)} ms`);
    expect(took).toBeLessThan(1_500);
    expect(told.text).toContain("Whether it ran: unknown. Check its effect before you call it again.");
    expect(ledger.ran).toEqual(["bell"]);
  });
});

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => `${from + at}`);

async function pay(agent: Witness, which: readonly string[]): Promise<Told[]> {
  const told: Told[] = [];
  for (const what of which) told.push(await agent.call("pay", { what }));
  return told;
}

describe("5: the proxy is killed with writes in its queue", () => {
  test.concurrent("[P2.3] 5: SIGKILL while it waits, in the first delivery and in the middle: nothing lost, doubled or out of order", async () => {
    await using stage = new Stage();
    const upstream = stage.upstream();
    const ledger = ledgerOf(upstream);
    const gate = await stage.gate(upstream);
    const first = await stage.proxy(gate.origin, { policy });
    const { home } = first;
    await (await stage.client(first, "modern")).toolNames();
    await gate.shut();
    await first.kill();

    // Killed at rest: the writes of an outage.
    const second = await stage.proxy(gate.origin, { policy, home });
    const legacy = await stage.client(second, "legacy");
    const told = await pay(legacy, numbers(1, 12));
    expect(told.filter(({ text }) => !text.startsWith("queued: "))).toEqual([]);
    expect((await second.status()).outbox?.depth).toBe(12);
    await second.kill();

    // Killed at its first delivery, with the answer on the way.
    ledger.slowMs = 60;
    await gate.reopen();
    const third = await stage.proxy(gate.origin, { policy, home });
    await eventually("the first write arrives", () => ledger.asked.length >= 1);
    await third.kill();

    // Killed in the middle, twice.
    for (const reached of [4, 9]) {
      const next = await stage.proxy(gate.origin, { policy, home });
      await eventually(`write ${reached} took effect`, () => ledger.ran.length >= reached, 10_000);
      await next.kill();
    }
    ledger.slowMs = 0;
    const last = await stage.proxy(gate.origin, { policy, home });
    await eventually("all twelve took effect", () => ledger.ran.length >= 12);
    const agent = await stage.client(last, "modern");
    expect((await pay(agent, ["13"])).map(({ isError }) => isError)).toEqual([false]);
    console.log(`5: ${ledger.asked.length} attempts for ${ledger.ran.length} writes, five kills`);
    expect(ledger.asked.length).toBeGreaterThan(13);
    expect(ledger.ran).toEqual(numbers(1, 13));
  }, 40_000);

  test.concurrent("[P2.10] 5: a write that the upstream refuses comes back as a notice and does not stop the others", async () => {
    await using stage = new Stage();
    const { ledger, gate, agent } = await connected(stage, "legacy");
    ledger.refuses = (what) => what === "2";
    await gate.shut();
    const told = Promise.all(["1", "2", "3"].map((what) => agent.call("pay", { what })));
    expect((await told).map(({ text, isError }) => [isError, text.includes("queued")])).toEqual(
      Array.from({ length: 3 }, () => [false, true]),
    );
    await gate.reopen();
    await eventually("the others took effect", () => ledger.ran.length === 2, 10_000);
    expect(ledger.ran.toSorted()).toEqual(["1", "3"]);
    let seen = "";
    await eventually("the notice is told", async () => {
      seen = (await agent.call("look")).text;
      return seen.includes("notices");
    });
    expect(seen).toContain("rejected: pay");
    expect(seen).toContain("no such account");
  }, 30_000);

  test.concurrent("[P2.11] 5: a write that grows too old comes back as a notice, never in silence", async () => {
    await using stage = new Stage();
    const scaled = { ...limits, recordAgeMaxMs: 1_500, writeWaitMs: 100 };
    console.log(
      "5: the age of a record is scaled from 7 days to 1.5 s, the wait for an answer from 5 s to 0.1 s",
    );
    const upstream = stage.upstream();
    const ledger = ledgerOf(upstream);
    const gate = await stage.gate(upstream);
    const client = createHttpClient({ origin: gate.origin, clock: realClock, limits: scaled });
    const own = { client, path: "/mcp", credential: () => undefined, refresh: async () => false };
    const parsed = parsePolicy(policy);
    const outbox = await openOutbox({
      dir: `${stage.folder}/outbox`,
      relayId: "upstream",
      agentId: asId("agent"),
      limits: scaled,
      clock: realClock,
      random: realRandom,
      log: silentLog,
      deliverer: upstreamDeliverer({
        ...{ upstream: own, policy: parsed, limits: scaled, clock: realClock },
        context: () => ({ worktree: "none" }),
      }),
    });
    stage.own(() => outbox.close());
    const endpoint = await stage.endpoint(gate.origin, {
      outbox,
      policy: parsed,
      limits: scaled,
      upstream: own,
    });
    const agent = await stage.client({ url: endpoint.url, secret: "test-secret-0123456789" }, "modern");
    await agent.toolNames();
    await gate.shut();
    expect(await agent.call("pay", { what: "late" })).toMatchObject({ isError: false });
    let told = "";
    await eventually(
      "the notice is told",
      async () => {
        told = (await agent.call("look")).text;
        return told.includes("notices");
      },
      15_000,
    );
    expect(told).toContain("expired: pay");
    await gate.reopen();
    await eventually("the upstream is back", async () => !(await agent.call("look")).isError);
    expect(ledger.asked).toEqual([]);
  }, 40_000);
});
