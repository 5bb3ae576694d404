/**
 * Failure scenarios 1 to 3: the upstream restarts and has forgotten its sessions, is down when the agent starts, or
 * answers badly for a tenth of a second.
 */
import { describe, expect, test } from "bun:test";
import { type Fault, type ScriptedUpstream, toolNamed } from "../../fixtures/upstreams/scripted.ts";
import { eras, eventually, nothingNoticed, noticed, Stage } from "./stage.ts";

const rpc = (status: number, code: number, message: string): Answer => ({
  status,
  answer: (id) => Response.json({ jsonrpc: "2.0", id, error: { code, message } }, { status }),
});
const text = (status: number, words: string): Answer => ({
  status,
  answer: () => new Response(words, { status, headers: { "Content-Type": "text/plain" } }),
});
type Answer = { status: number; answer(id: unknown): Response };

/** How real servers say that they do not know a session any more. */
const lost: Record<string, Answer> = {
  "404 with -32001": rpc(404, -32001, "Session not found"),
  "404 as plain text": text(404, "Session not found"),
  "400 with -32000": rpc(400, -32000, "Bad Request: No valid session ID provided"),
  "401 with -32001": rpc(401, -32001, "Session not found"),
  "503 with -32001": rpc(503, -32001, "Session not found"),
  "200 with -32001": rpc(200, -32001, "Session not found"),
  "200 with -32600": rpc(200, -32600, "Session not found"),
};

/** Every request of a session that it does not know gets this answer. */
function forgets(upstream: ScriptedUpstream, { answer }: Answer): { told: number } {
  const counts = { told: 0 };
  upstream.fault = ({ session, body }) => {
    if (session === null || upstream.live.has(session)) return undefined;
    counts.told += 1;
    return answer(body.id ?? null);
  };
  return counts;
}

describe("1: the upstream was restarted and its sessions are gone", () => {
  test.concurrent.each(Object.keys(lost))(
    "[P1.5] 1: said by %s, the next call of the same session succeeds, and many at once open it again once",
    async (name) => {
      await using stage = new Stage();
      const upstream = stage.upstream({ modern: false, sessions: true });
      const proxy = await stage.proxy(upstream.origin);
      const agent = await stage.client(proxy, "legacy");
      expect(await agent.call("alpha")).toMatchObject({ isError: false });

      const counts = forgets(upstream, lost[name] ?? rpc(404, -32001, ""));
      upstream.forgetSessions();
      const from = upstream.seen.length;
      expect(await agent.call("alpha")).toEqual({ text: "ran alpha", isError: false, meta: undefined });
      // The handshake and one more call is all that it takes; what other sessions do meanwhile is not counted.
      const own = upstream.seen.slice(from).filter(({ method }) => method !== "undefined");
      const steps = own.map(({ method }) => method).filter((method) => method !== "tools/list");
      expect(steps.filter((step) => step === "tools/call")).toHaveLength(2);
      expect(counts.told).toBeGreaterThanOrEqual(1);

      upstream.forgetSessions();
      const declared = { elicitation: { form: {} }, roots: { listChanged: true } };
      const before = opened(upstream, declared);
      const told = await Promise.all(Array.from({ length: 24 }, () => agent.call("beta")));
      expect(told.filter(({ isError }) => isError)).toEqual([]);
      expect(opened(upstream, declared) - before).toBe(1);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );
});

/** How often a session with these capabilities was opened: the proxy's own session declares none. */
function opened(upstream: ScriptedUpstream, capabilities: unknown): number {
  const wanted = JSON.stringify(capabilities);
  return upstream.seen.filter(
    ({ method, body }) =>
      method === "initialize" &&
      JSON.stringify((body.params as { capabilities: unknown }).capabilities) === wanted,
  ).length;
}

describe("2: the upstream is down when the agent starts", () => {
  test.concurrent.each([...eras])(
    "[P1.1] 2: %s: opened within 50 ms, the last-known list, and what changed is told when the upstream returns",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sessions: true });
      const gate = await stage.gate(upstream);
      const first = await stage.proxy(gate.origin);
      expect(await (await stage.client(first, era)).toolNames()).toEqual(["alpha", "beta"]);
      await first.kill();
      await gate.shut();

      const proxy = await stage.proxy(gate.origin, { home: first.home });
      const took: number[] = [];
      for (let round = 0; round < 7; round += 1) took.push(await openingMs(proxy, era));
      const median = took.sort((a, b) => a - b)[3];
      console.log(
        `2 ${era}: the opening request is answered in ${took.map((ms) => ms.toFixed(1)).join(", ")} ms`,
      );
      expect(median).toBeLessThan(50);

      const agent = await stage.client(proxy, era);
      expect(agent.client.getServerCapabilities()?.tools).toEqual({ listChanged: true });
      expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
      upstream.tools = [...upstream.tools, toolNamed("gamma")];
      const changes = agent.changes.length;
      await gate.reopen();
      await eventually("the change is told", () => agent.changes.length > changes, 8_000);
      expect(await agent.toolNames()).toEqual(["alpha", "beta", "gamma"]);
      expect(await agent.call("gamma")).toMatchObject({ text: "ran gamma", isError: false });
      expect(agent.streams.opened).toBe(1);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    20_000,
  );
});

/** The time of one opening request, ms. */
async function openingMs(proxy: { url: string; secret: string }, era: "legacy" | "modern"): Promise<number> {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const [method, params] =
    era === "modern"
      ? ["server/discover", { _meta: meta }]
      : [
          "initialize",
          { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "a", version: "1" } },
        ];
  const begun = performance.now();
  const response = await fetch(proxy.url, {
    method: "POST",
    headers: {
      authorization: `Bearer ${proxy.secret}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(era === "modern" ? { "mcp-protocol-version": "2026-07-28", "mcp-method": "server/discover" } : {}),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result } = (await response.json()) as { result: unknown };
  const took = performance.now() - begun;
  expect(result).toMatchObject({ capabilities: { tools: { listChanged: true } } });
  return took;
}

const bad: Record<string, Fault> = {
  "404": () => new Response("no such page", { status: 404 }),
  "502": () => new Response("bad gateway", { status: 502 }),
  "503": () => new Response("unavailable", { status: 503 }),
};

describe("3: one transient bad answer", () => {
  test.concurrent.each(Object.keys(bad).flatMap((status) => eras.map((era) => [status, era] as const)))(
    "[P1.4] 3: %s for 100 ms, %s: never seen as such, and the session goes on",
    async (status, era) => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sessions: true });
      const proxy = await stage.proxy(upstream.origin);
      const agent = await stage.client(proxy, era);
      expect(await agent.toolNames()).toEqual(["alpha", "beta"]);

      let answered = 0;
      upstream.fault = async (seen) => {
        answered += 1;
        return bad[status]?.(seen);
      };
      const heal = Bun.sleep(100).then(() => {
        upstream.fault = () => undefined;
      });
      const during = await Promise.all([agent.call("alpha"), agent.call("beta"), agent.toolNames()]);
      await heal;
      expect(answered).toBeGreaterThan(0);
      // An answer that was given cannot be called "not sent": such a call is told as what it is, never thrown.
      expect(during[2]).toEqual(["alpha", "beta"]);
      expect(await agent.call("alpha")).toMatchObject({ text: "ran alpha", isError: false });
      expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );

  test.concurrent.each([...eras])(
    "[P5.4] 3: nobody listens for 100 ms, %s: calls are sent when somebody does, within 2 s and once each",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sessions: true });
      const gate = await stage.gate(upstream);
      const proxy = await stage.proxy(gate.origin);
      const agent = await stage.client(proxy, era);
      await agent.call("alpha");

      await gate.shut();
      const before = upstream.count("tools/call");
      const begun = performance.now();
      const calls = Promise.all([agent.call("alpha"), agent.call("beta")]);
      await Bun.sleep(100);
      await gate.reopen();
      expect(await calls).toMatchObject([
        { text: "ran alpha", isError: false },
        { text: "ran beta", isError: false },
      ]);
      expect(performance.now() - begun).toBeLessThan(2_000);
      expect(upstream.count("tools/call") - before).toBe(2);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );
});
