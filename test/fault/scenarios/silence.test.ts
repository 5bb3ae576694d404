/**
 * Failure scenarios 11 and 12: streams that are idle for half an hour, connections that are closed under a request, and
 * peers that are gone without a word. Long waits are scaled by limits, and the scale is printed.
 */
import { describe, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { type Clock, realClock } from "../../../src/base/clock.ts";
import { createHttpClient } from "../../../src/base/http/client.ts";
import { type Limits, limits } from "../../../src/limits.ts";
import { secret, smallLimits } from "../../fixtures/upstreams/endpoint.ts";
import { toolNamed } from "../../fixtures/upstreams/scripted.ts";
import { eras, eventually, nothingNoticed, noticed, Stage } from "./stage.ts";

const root = resolve(import.meta.dir, "../../..");
const minute = 60_000;

/** An endpoint with these limits on both of its sides. */
async function scaledEndpoint(stage: Stage, origin: string, own: { limits: Limits; clock?: Clock }) {
  const { limits: scaled, clock = realClock } = own;
  const client = createHttpClient({ origin, clock, limits: scaled });
  stage.own(() => client.close());
  return stage.endpoint(origin, {
    limits: scaled,
    clock,
    upstream: { client, path: "/mcp", credential: () => undefined, refresh: async () => false },
  });
}

describe("11: idle streams", () => {
  const scale = 300;
  const idleMs = (30 * minute) / scale;
  const scaled: Limits = {
    ...smallLimits,
    streamKeepaliveMs: limits.streamKeepaliveMs / scale,
    upstreamIdleMs: limits.upstreamIdleMs / scale,
    upstreamKeepaliveMs: limits.upstreamKeepaliveMs,
  };

  test.concurrent.each([...eras])(
    "[P1.9] 11: %s: after 30 idle minutes, with the upstream's connections cut every two, a call and a change both work",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sessions: true });
      const gate = await stage.gate(upstream);
      const endpoint = await scaledEndpoint(stage, gate.origin, { limits: scaled });
      const agent = await stage.client({ url: endpoint.url, secret }, era);
      expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
      const before = agent.streams.chunks;
      const begun = performance.now();
      while (performance.now() - begun < idleMs) {
        await Bun.sleep((2 * minute) / scale);
        gate.closeAll();
      }
      const chunks = agent.streams.chunks - before;
      const silenceMs = ((performance.now() - begun) / chunks) * scale;
      console.log(
        `11 ${era}: 30 min are ${idleMs} ms, 15 s between keepalives are ${scaled.streamKeepaliveMs} ms: ` +
          `${chunks} keepalives, one every ${(silenceMs / 1_000).toFixed(1)} s, ${gate.counts.connections} connections upstream`,
      );
      expect(silenceMs).toBeLessThanOrEqual(25_000);
      // The control: connections upstream really were cut and made again.
      expect(gate.counts.connections).toBeGreaterThan(10);

      expect(await agent.call("alpha")).toMatchObject({ text: "ran alpha", isError: false });
      await eventually("the proxy follows the upstream again", () => upstream.streams > 0);
      upstream.tools = [toolNamed("alpha")];
      upstream.notify("notifications/tools/list_changed");
      await eventually("the change is told", () => agent.changes.length === 1);
      expect(agent.streams.opened).toBe(1);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    20_000,
  );

  test.concurrent.each([...eras])(
    "[P5.4] 11: %s: a kept-alive connection that is closed as the call begins costs nothing and doubles nothing",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream();
      const gate = await stage.gate(upstream);
      const proxy = await stage.proxy(gate.origin);
      const agent = await stage.client(proxy, era);
      await agent.toolNames();
      const texts: string[] = [];
      for (let round = 0; round < 40; round += 1) {
        gate.closeAll();
        texts.push((await agent.call("alpha")).text);
      }
      const ran = texts.filter((text) => text === "ran alpha").length;
      const unknown = texts.filter((text) => text.includes("Whether it ran: unknown")).length;
      console.log(`11 ${era}: of 40 calls into a closing connection ${ran} ran, ${unknown} are told unknown`);
      // Where a byte had left before the end was seen, the honest answer is unknown, and nothing is sent again.
      expect(ran + unknown).toBe(40);
      expect(ran).toBeGreaterThan(0);
      expect(upstream.count("tools/call")).toBeGreaterThanOrEqual(ran);
      expect(upstream.count("tools/call")).toBeLessThanOrEqual(40);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );

  test.concurrent.each([...eras])(
    "[P5.3] 11: %s: once a byte was written nothing is sent again",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream();
      const gate = await stage.gate(upstream);
      const proxy = await stage.proxy(gate.origin);
      const agent = await stage.client(proxy, era);
      await agent.toolNames();
      gate.loseRequestsWith = '"tools/call"';
      const told = await agent.call("alpha");
      expect(told.text).toContain("Whether it ran: unknown");
      expect(gate.counts.requestsLost).toBe(1);
      expect(upstream.count("tools/call")).toBe(0);
    },
  );
});

/** A client that opens a stream of each era and stays; `argv` are address and secret. */
const holder = `
const [url, secret] = process.argv.slice(-2);
const headers = { authorization: "Bearer " + secret, accept: "application/json, text/event-stream", "content-type": "application/json" };
const meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} };
const params = { notifications: { toolsListChanged: true }, _meta: meta };
const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "subscriptions/listen", params });
const modern = { ...headers, "mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen" };
const streams = [await fetch(url, { headers }), await fetch(url, { method: "POST", headers: modern, body })];
console.log(streams.map(({ status }) => status).join());
setInterval(() => streams, 1000);
`;

describe("12: a peer that is gone without a word", () => {
  test.concurrent("[P1.9] 12: the streams of killed clients are let go of", async () => {
    await using stage = new Stage();
    const proxy = await stage.proxy(stage.upstream().origin);
    const holders = Array.from({ length: 3 }, () =>
      Bun.spawn([join(root, "tools/bun"), "-e", holder, "--", proxy.url, proxy.secret], {
        stdout: "pipe",
        stderr: "inherit",
      }),
    );
    for (const one of holders) stage.own(() => one.kill("SIGKILL"));
    await eventually("six streams are open", async () => (await proxy.status()).endpoint.streams === 6);
    for (const one of holders) one.kill("SIGKILL");
    const begun = performance.now();
    await eventually("none is left", async () => (await proxy.status()).endpoint.streams === 0);
    console.log(
      `12: six streams of killed clients are gone after ${(performance.now() - begun).toFixed(0)} ms`,
    );
  }, 15_000);

  const cells = eras.flatMap((era) => ["JSON", "SSE"].map((form) => [era, form] as const));
  test.concurrent.each(cells)(
    "[P5.3] 12: %s: a call that hangs has an end (answers as %s)",
    async (era, form) => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sse: form === "SSE" });
      upstream.results.set("alpha", () => new Promise(() => {}));
      const scaled = { ...smallLimits, upstreamCallMs: 900 };
      const endpoint = await scaledEndpoint(stage, upstream.origin, { limits: scaled });
      const agent = await stage.client({ url: endpoint.url, secret }, era);
      const begun = performance.now();
      const told = await agent.call("alpha");
      const took = performance.now() - begun;
      console.log(
        `12 ${era}: 290 s for a call are ${scaled.upstreamCallMs} ms here; ended after ${took.toFixed(0)} ms`,
      );
      expect(told.text).toContain("Whether it ran: unknown");
      expect(took).toBeLessThan(2_000);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
  );

  /** Wall time goes on while a laptop sleeps; the monotonic time of Linux does not. */
  function sleepyClock(): Clock & { slept: number } {
    const clock = { ...realClock, slept: 0, now: () => realClock.now() + clock.slept };
    return clock;
  }
  const scale = 10;
  const scaled: Limits = {
    ...smallLimits,
    upstreamConnectMs: limits.upstreamConnectMs / scale,
    upstreamCallMs: 8_000,
    upstreamIdleMs: limits.upstreamIdleMs / scale,
    deliveryAttemptMs: limits.deliveryAttemptMs / scale,
    canaryIdleMs: limits.canaryIdleMs / scale,
  };
  const words = `12: the connect timeout of ${limits.upstreamConnectMs} ms is ${scaled.upstreamConnectMs} ms here`;

  test.concurrent.each([...eras])(
    "[P1.3] 12: %s: after a sleep in which every connection died, the first call takes no longer than a connect",
    async (era) => {
      await using stage = new Stage();
      const gate = await stage.gate(stage.upstream());
      const clock = sleepyClock();
      const endpoint = await scaledEndpoint(stage, gate.origin, { limits: scaled, clock });
      const agent = await stage.client({ url: endpoint.url, secret }, era);
      await agent.call("alpha");
      gate.freeze();
      clock.slept = 60 * minute;
      const begun = performance.now();
      const told = await agent.call("alpha");
      const took = performance.now() - begun;
      console.log(`${words}; first call after the sleep, ${era}: ${took.toFixed(0)} ms: ${told.text}`);
      // The control: there were connections to die.
      expect(gate.counts.frozen).toBeGreaterThan(0);
      expect(told).toMatchObject({ text: "ran alpha", isError: false });
      expect(took).toBeLessThanOrEqual(scaled.upstreamConnectMs + 250);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );

  test.concurrent.each([...eras])(
    "[P1.9] 12: %s: after such a sleep changes of the tools are heard again",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream();
      const gate = await stage.gate(upstream);
      const clock = sleepyClock();
      const endpoint = await scaledEndpoint(stage, gate.origin, { limits: scaled, clock });
      const agent = await stage.client({ url: endpoint.url, secret }, era);
      await agent.toolNames();
      await eventually("the proxy follows the upstream", () => upstream.streams > 0);
      gate.freeze();
      clock.slept = 60 * minute;
      await agent.call("alpha");
      upstream.tools = [toolNamed("alpha")];
      upstream.notify("notifications/tools/list_changed");
      await eventually("the change is told", () => agent.changes.length > 0, scaled.canaryIdleMs * 4);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    25_000,
  );

  test.concurrent.each([...eras])(
    "[P1.3] 12: %s: connections that died while they were idle longer than they are kept are not used",
    async (era) => {
      await using stage = new Stage();
      const gate = await stage.gate(stage.upstream());
      const short = { ...scaled, upstreamIdleMs: 300 };
      const endpoint = await scaledEndpoint(stage, gate.origin, { limits: short });
      const agent = await stage.client({ url: endpoint.url, secret }, era);
      await agent.call("alpha");
      gate.freeze();
      await Bun.sleep(short.upstreamIdleMs + 200);
      const begun = performance.now();
      expect(await agent.call("alpha")).toMatchObject({ text: "ran alpha", isError: false });
      expect(performance.now() - begun).toBeLessThanOrEqual(short.upstreamConnectMs + 250);
    },
    15_000,
  );
});
