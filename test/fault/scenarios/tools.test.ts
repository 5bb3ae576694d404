/**
 * Failure scenarios 6 and 8 to 10: a failing upstream and the list of tools, narrowing in every state, a hidden tool
 * called by name, and a client that takes no notice of list changes.
 */
import { describe, expect, test } from "bun:test";
import { realClock } from "../../../src/base/clock.ts";
import { createHttpClient } from "../../../src/base/http/client.ts";
import { parsePolicy, relayPolicy } from "../../../src/proxy/policy.ts";
import { scopesOf } from "../../../src/wire/scope.ts";
import { toolDefinitions } from "../../../src/wire/tools.ts";
import { runningRelay } from "../../fixtures/running-relay.ts";
import type { Era } from "../../fixtures/sdk-client.ts";
import { mapMemory, secret, smallLimits } from "../../fixtures/upstreams/endpoint.ts";
import { openGate } from "../../fixtures/upstreams/gate.ts";
import { eventStream, type Fault, toolNamed } from "../../fixtures/upstreams/scripted.ts";
import { eras, eventually, nothingNoticed, noticed, Stage } from "./stage.ts";

const onLists =
  (answer: (body: Record<string, unknown>) => Response): Fault =>
  ({ method, body }) =>
    method === "tools/list" ? answer(body) : undefined;
const result = (body: Record<string, unknown>, value: unknown, status = 200) =>
  Response.json({ jsonrpc: "2.0", id: body.id, result: value }, { status });

const backendAway = onLists(({ id }) =>
  Response.json({ jsonrpc: "2.0", id, error: { code: -32603, message: "backend away" } }),
);

/** Ways in which a failing upstream answers the question for its tools. */
const failing: Record<string, Fault> = {
  "HTTP 502": onLists(() => new Response("bad gateway", { status: 502 })),
  "HTTP 503 with an empty list": onLists((body) => result(body, { tools: [] }, 503)),
  "HTTP 404": onLists(() => new Response("not here", { status: 404 })),
  "a JSON-RPC error": backendAway,
  "a result without tools": onLists((body) => result(body, {})),
  "no JSON": onLists(() => new Response("<html>", { headers: { "Content-Type": "text/html" } })),
  "a stream that ends early": onLists(() => eventStream([])),
  "a second page that fails": onLists((body) =>
    (body.params as { cursor?: string } | undefined)?.cursor === undefined
      ? result(body, { tools: [], nextCursor: "2", resultType: "complete" })
      : new Response("bad gateway", { status: 502 }),
  ),
};

describe("6: an outage makes tools/list fail or empty", () => {
  test.concurrent.each(Object.keys(failing))(
    "[P3.3] 6: %s replaces nothing, also not across a restart; a healthy empty list does",
    async (name) => {
      await using stage = new Stage();
      const upstream = stage.upstream();
      const first = await stage.proxy(upstream.origin);
      const agents = [await stage.client(first, "legacy"), await stage.client(first, "modern")];
      for (const agent of agents) expect(await agent.toolNames()).toEqual(["alpha", "beta"]);

      let failed = 0;
      upstream.fault = (seen) => {
        failed += seen.method === "tools/list" ? 1 : 0;
        return failing[name]?.(seen);
      };
      upstream.notify("notifications/tools/list_changed");
      for (const agent of agents) expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
      expect(await agents[0]?.call("alpha")).toMatchObject({ isError: false });
      expect(failed).toBeGreaterThan(0);
      expect(agents.map(({ changes }) => changes.length)).toEqual([0, 0]);
      for (const agent of agents) expect(noticed(agent)).toEqual(nothingNoticed);
      await first.kill();

      const second = await stage.proxy(upstream.origin, { home: first.home });
      const agent = await stage.client(second, "modern");
      expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
      upstream.tools = [];
      upstream.fault = () => undefined;
      upstream.notify("notifications/tools/list_changed");
      await eventually("the empty list is told", () => agent.changes.length > 0, 8_000);
      expect(await agent.toolNames()).toEqual([]);
    },
    20_000,
  );
});

const all = toolDefinitions(scopesOf("agent")).map(({ name }) => name);
const few = ["relay_list_channels", "relay_list_agents"];
type Step = { relay: "up" | "down"; token: "agent" | "runner"; shown: string[] };
const steps: readonly Step[] = [
  { relay: "up", token: "agent", shown: all },
  { relay: "down", token: "agent", shown: all },
  { relay: "down", token: "runner", shown: few },
  { relay: "up", token: "runner", shown: few },
  { relay: "up", token: "agent", shown: all },
  { relay: "up", token: "runner", shown: few },
  { relay: "down", token: "runner", shown: few },
  { relay: "down", token: "agent", shown: all },
];

/** An endpoint before a real relay, with the tokens of an agent (all scopes) and its runner (of those, two). */
async function relayed(stage: Stage) {
  const relay = await runningRelay();
  stage.own(() => relay[Symbol.asyncDispose]());
  const { token, runnerToken } = await relay.enrol("alice");
  const gate = await openGate(relay.server.url);
  stage.own(() => gate.shut());
  const tokens = { agent: token, runner: runnerToken };
  const memory = mapMemory();
  const state = { token: "agent" as keyof typeof tokens };
  const authorization = () => ({
    relay: relay.server.relayId,
    principal: "alice",
    profile: "default",
    scopes: scopesOf(state.token),
  });
  const open = () =>
    stage.endpoint(gate.origin, {
      policy: relayPolicy(),
      memory,
      authorization,
      builtin: () => toolDefinitions(scopesOf(state.token)),
      upstream: {
        client: createHttpClient({ origin: gate.origin, clock: realClock, limits: smallLimits }),
        path: "/api/mcp",
        credential: () => tokens[state.token],
        refresh: async () => false,
      },
    });
  return { gate, state, open };
}

describe("8: scopes shrink while the list that is remembered is wider", () => {
  test.concurrent.each([...eras])(
    "[P3.5] 8: %s: shown is within the scopes of this moment, up, down and after a restart",
    async (era) => {
      await using stage = new Stage();
      const { gate, state, open } = await relayed(stage);
      const endpoint = await open();
      const agent = await stage.client({ url: endpoint.url, secret }, era);
      // Asks once and never again: it has to be told of every change, and of nothing else.
      const watcher = await stage.client({ url: endpoint.url, secret }, era);
      expect(await watcher.toolNames()).toEqual(all);
      for (const { relay, token, shown } of steps) {
        await gate.set(relay);
        const before = watcher.changes.length;
        const turns = state.token === token ? 0 : 1;
        state.token = token;
        endpoint.authorizationChanged();
        // Nothing is waited for: what is shown must be narrow from the first moment on.
        expect((await agent.toolNames()).filter((name) => !shown.includes(name))).toEqual([]);
        await eventually(`${token} sees what it may`, async () => {
          const names = await agent.toolNames();
          return names.length === shown.length && names.every((name) => shown.includes(name));
        });
        await eventually("the change is told", () => watcher.changes.length - before >= turns);
        expect(watcher.changes.length - before).toBe(turns);
      }
      await gate.shut();
      state.token = "runner";
      const again = await open();
      const other = await stage.client({ url: again.url, secret }, era);
      expect(await other.toolNames()).toEqual(few);
      const refused = await Promise.allSettled([other.call("relay_check_messages")]);
      expect(
        JSON.stringify(refused.map((one) => (one.status === "rejected" ? String(one.reason) : one.value))),
      ).toMatch(/Unknown tool: relay_check_messages|refused/);
      expect([agent, watcher].map(noticed)).toEqual([nothingNoticed, nothingNoticed]);
    },
    20_000,
  );

  test.concurrent("[P3.5] 8: what a foreign upstream showed to one token is not shown under another", async () => {
    await using stage = new Stage();
    const upstream = stage.upstream({ token: "wide" });
    const gate = await stage.gate(upstream);
    const tokenFile = stage.tokenFile("wide");
    const first = await stage.proxy(gate.origin, { tokenFile });
    expect(await (await stage.client(first, "modern")).toolNames()).toEqual(["alpha", "beta"]);
    await first.kill();
    // The new token may do less, and nobody can be asked: what the old one saw says nothing about it.
    await gate.shut();
    upstream.token = "narrow";
    upstream.tools = [toolNamed("alpha")];
    stage.tokenFile("narrow");
    const second = await stage.proxy(gate.origin, { tokenFile, home: first.home });
    const agent = await stage.client(second, "modern");
    expect((await agent.toolNames()).filter((name) => name !== "alpha")).toEqual([]);
    await gate.reopen();
    await eventually("its own tools are shown", async () => (await agent.toolNames()).length === 1, 8_000);
  }, 20_000);
});

const hiding = { tools: { beta: { shownWhen: "isolated-worktree" } } };

describe("9: a hidden tool is called by name", () => {
  test.concurrent.each([...eras])(
    "[P3.2] 9: %s: refused with the reason, written to the log, and the upstream is not asked to run it",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream();
      const gate = await stage.gate(upstream);
      const proxy = await stage.proxy(gate.origin, { policy: hiding, logLevel: "info" });
      const agent = await stage.client(proxy, era);
      expect(await agent.toolNames()).toEqual(["alpha"]);
      const refused = await agent.call("beta");
      expect(refused).toMatchObject({ isError: true });
      expect(refused.text).toContain("beta is not available now: it needs an isolated worktree");
      expect(refused.text).toContain("It did not run.");
      await gate.shut();
      expect((await agent.call("beta")).text).toContain("beta is not available now");
      await gate.reopen();
      expect(upstream.count("tools/call")).toBe(0);
      expect(await agent.call("alpha")).toMatchObject({ isError: false });
      expect(upstream.count("tools/call")).toBe(1);
      expect(proxy.log()).toMatch(/"tool":"beta".*a hidden tool was called/);
    },
    15_000,
  );

  test.concurrent("[P3.2] 9: a queued write whose tool was hidden meanwhile is not sent at replay and comes back", async () => {
    await using stage = new Stage();
    const buffered = { buffered: true, key: { argument: "key" } };
    const upstream = stage.upstream();
    const gate = await stage.gate(upstream);
    const first = await stage.proxy(gate.origin, { policy: { tools: { beta: buffered } } });
    const writer = await stage.client(first, "modern");
    expect(await writer.toolNames()).toEqual(["alpha", "beta"]);
    await gate.shut();
    expect((await writer.call("beta", { what: "late" })).text).toStartWith("queued");
    await first.kill();

    const hidden = { tools: { beta: { ...buffered, shownWhen: "isolated-worktree" } } };
    const second = await stage.proxy(gate.origin, { policy: hidden, home: first.home });
    await gate.reopen();
    await eventually("the queue is empty", async () => (await second.status()).outbox?.depth === 0, 8_000);
    expect(upstream.count("tools/call")).toBe(0);
    const agent = await stage.client(second, "modern");
    // Whether a byte had left before the kill decides between the two words.
    const told = /(?:rejected|unknown): beta/;
    await eventually("the write comes back", async () => told.test((await agent.call("alpha")).text), 5_000);
  }, 20_000);
});

test("[P3.12] that the tools become known is no change for a client that subscribed before it asked for them", async () => {
  await using stage = new Stage();
  const upstream = stage.upstream();
  const held = Promise.withResolvers<undefined>();
  upstream.fault = ({ method }) => (method === "tools/list" ? held.promise : undefined);
  const endpoint = await stage.endpoint(upstream.origin);
  const agent = await stage.client({ url: endpoint.url, secret }, "modern");
  await eventually("it listens", () => agent.streams.chunks > 0);
  held.resolve(undefined);
  await eventually("the tools are known", () => endpoint.status().visibleTools.length === 2);
  await Bun.sleep(50);
  expect(agent.changes).toEqual([]);
  upstream.tools = [toolNamed("alpha")];
  endpoint.upstreamListChanged();
  await eventually("the change was told", () => agent.changes.length > 0);
  expect(await agent.toolNames()).toEqual(["alpha"]);
  expect(agent.changes).toHaveLength(1);
});

test.concurrent.each([...eras])(
  "[P3.12] 6: %s: whoever was given an error for its first list is told when there are tools",
  async (era) => {
    await using stage = new Stage();
    const upstream = stage.upstream();
    upstream.fault = backendAway;
    const endpoint = await stage.endpoint(upstream.origin);
    const agent = await stage.client({ url: endpoint.url, secret }, era);
    await eventually("it listens", () => agent.streams.chunks > 0);
    await expect(agent.toolNames()).rejects.toThrow("backend away");
    upstream.fault = () => undefined;
    endpoint.upstreamListChanged();
    await eventually("the tools were told of", () => agent.changes.length > 0);
    expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
    expect(agent.changes).toHaveLength(1);
  },
);

describe("10: a client takes no notice of list changes", () => {
  const policy = parsePolicy(hiding);

  async function stale(stage: Stage, era: Era, staticList: boolean) {
    const upstream = stage.upstream();
    let worktree: "isolated" | "none" = "isolated";
    const context = () => ({ worktree });
    const endpoint = await stage.endpoint(upstream.origin, { policy, staticList, context });
    const agent = await stage.client({ url: endpoint.url, secret }, era);
    expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
    expect(await agent.call("beta")).toMatchObject({ text: "ran beta", isError: false });
    worktree = "none";
    endpoint.contextChanged();
    return { upstream, agent };
  }

  const cells = eras.flatMap((era) => ["narrowed", "static"].map((list) => [era, list] as const));
  test.concurrent.each(cells)(
    "[P3.2] 10: %s, %s list: its old list makes nothing unsafe or stuck; the refusal says what is available",
    async (era, list) => {
      await using stage = new Stage();
      const { upstream, agent } = await stale(stage, era, list === "static");
      const before = upstream.count("tools/call");
      const refused = await Promise.all(Array.from({ length: 5 }, () => agent.call("beta")));
      expect(refused.filter(({ isError }) => !isError)).toEqual([]);
      expect(upstream.count("tools/call")).toBe(before);
      expect(await agent.call("alpha")).toMatchObject({ text: "ran alpha", isError: false });
      expect(noticed(agent)).toEqual(nothingNoticed);
      expect(refused[0]?.text).toContain("beta is not available now");
      expect(refused[0]?.text).toContain("alpha");
    },
    15_000,
  );

  test.concurrent.each([...eras])(
    "[P3.2] 10: %s: a tool that is gone altogether",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream();
      const proxy = await stage.proxy(upstream.origin);
      const agent = await stage.client(proxy, era);
      expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
      await eventually("the proxy follows the upstream", () => upstream.streams > 0);
      upstream.tools = [toolNamed("alpha")];
      upstream.notify("notifications/tools/list_changed");
      await eventually("the change was told", () => agent.changes.length > 0);
      const [refused] = await Promise.allSettled([agent.call("beta")]);
      expect(upstream.count("tools/call")).toBe(0);
      expect(await agent.call("alpha")).toMatchObject({ isError: false });
      const words = refused?.status === "rejected" ? String(refused.reason) : refused?.value.text;
      expect(words).toContain("beta");
      expect(words).toContain("alpha");
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );
});
