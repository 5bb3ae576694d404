/**
 * Failure scenarios 13 and 14: ten thousand sessions that nobody ends, ten thousand reconnects, and one bad event that
 * must not poison what is shared. Memory is that of the proxy's process, as the kernel counts it.
 */
import { describe, expect } from "bun:test";
import { limits } from "../../../src/limits.ts";
import type { Era } from "../../fixtures/sdk-client.ts";
import { needs } from "../../needs.ts";
import { eras, eventually, nothingNoticed, noticed, type ProxyProcess, residentKib, Stage } from "./stage.ts";

const proc = needs("proc");
const meta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

function headersOf({ secret }: ProxyProcess, more: Record<string, string> = {}): Record<string, string> {
  return {
    authorization: `Bearer ${secret}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    ...more,
  };
}

/** Runs `count` jobs, `width` at a time. */
async function inTurns(count: number, width: number, job: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await job(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

/** Opens a legacy session, as an agent would that is killed right after it. */
async function openSession(proxy: ProxyProcess): Promise<string> {
  const params = {
    protocolVersion: "2025-11-25",
    capabilities: { elicitation: { form: {} }, roots: {} },
    clientInfo: { name: "abandoned", version: "1" },
  };
  const response = await fetch(proxy.url, {
    method: "POST",
    headers: headersOf(proxy),
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }),
  });
  await response.arrayBuffer();
  return response.headers.get("mcp-session-id") ?? "";
}

describe("13: clients that never end their sessions", () => {
  proc(
    "[P1.3] 13: 10,000 abandoned sessions cost at most 20 KiB each, the upstream's are ended, and an old client goes on",
    async () => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sessions: true, modern: false });
      const proxy = await stage.proxy(upstream.origin);
      const agent = await stage.client(proxy, "legacy");
      expect(await agent.call("alpha")).toMatchObject({ isError: false });
      await inTurns(500, 24, async () => void (await openSession(proxy)));
      const before = residentKib(proxy.pid);
      const ids = new Set<string>();
      const begun = performance.now();
      await inTurns(10_000, 24, async () => void ids.add(await openSession(proxy)));
      const seconds = (performance.now() - begun) / 1_000;
      expect(ids.size).toBe(10_000);
      const growth = residentKib(proxy.pid) - before;
      console.log(
        `13: 10,000 sessions in ${seconds.toFixed(1)} s: ${before} KiB before, ${growth} KiB more, ` +
          `${(growth / 10_000).toFixed(2)} KiB each; ${upstream.live.size} sessions left at the upstream`,
      );
      expect(growth / 10_000).toBeLessThanOrEqual(20);
      await eventually(
        "the upstream's sessions are ended",
        () => upstream.live.size <= limits.sessionsMax + 1,
      );
      expect((await proxy.status()).endpoint.sessions).toBeLessThanOrEqual(limits.sessionsMax);
      expect(await agent.call("beta")).toMatchObject({ text: "ran beta", isError: false });
      expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    60_000,
  );
});

/** Opens the stream of an era, reads its first bytes, and is gone. */
async function reconnect(proxy: ProxyProcess, era: Era, session: string): Promise<void> {
  const end = new AbortController();
  const listen = {
    jsonrpc: "2.0",
    id: 1,
    method: "subscriptions/listen",
    params: { notifications: { toolsListChanged: true }, _meta: meta },
  };
  const request =
    era === "legacy"
      ? { headers: headersOf(proxy, { "mcp-session-id": session }) }
      : {
          method: "POST",
          headers: headersOf(proxy, { "mcp-protocol-version": "2026-07-28", "mcp-method": listen.method }),
          body: JSON.stringify(listen),
        };
  const response = await fetch(proxy.url, { ...request, signal: end.signal });
  expect(response.status).toBe(200);
  await response.body?.getReader().read();
  end.abort();
}

describe("14: reconnects and shared state", () => {
  proc(
    "[P1.9] 14: 10,000 reconnects leave nothing behind",
    async () => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sessions: true });
      const proxy = await stage.proxy(upstream.origin);
      const witness = await stage.client(proxy, "modern");
      const session = await openSession(proxy);
      const again = (index: number) => reconnect(proxy, index % 2 === 0 ? "legacy" : "modern", session);
      // The runtime's own memory grows to its working size first.
      await inTurns(10_000, 8, again);
      const before = residentKib(proxy.pid);
      const begun = performance.now();
      await inTurns(10_000, 8, again);
      const seconds = (performance.now() - begun) / 1_000;
      const growth = residentKib(proxy.pid) - before;
      console.log(
        `14: 10,000 reconnects in ${seconds.toFixed(1)} s: ${before} KiB before, ${growth} KiB more, ` +
          `${(growth / 10_000).toFixed(2)} KiB each`,
      );
      // What a collection has not freed yet makes ± 30 MiB from one run to the next.
      expect(growth / 10_000).toBeLessThanOrEqual(4);
      await eventually("only the witness is left", async () => (await proxy.status()).endpoint.streams === 1);
      await eventually("the upstream is left too", () => upstream.streams <= 2);
      expect(noticed(witness)).toEqual(nothingNoticed);
    },
    60_000,
  );

  for (const era of eras) {
    proc(
      `[P1.5] 14: ${era}: failing lists, lost sessions and list changes leave a long call alone`,
      async () => {
        await using stage = new Stage();
        const upstream = stage.upstream({ sessions: true });
        let finish = () => {};
        const held = new Promise<void>((resolve) => {
          finish = resolve;
        });
        upstream.results.set("beta", async () => {
          await held;
          return { content: [{ type: "text", text: "long and done" }] };
        });
        const proxy = await stage.proxy(upstream.origin);
        const agent = await stage.client(proxy, era);
        expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
        const long = agent.call("beta");
        await eventually("the long call runs", () => upstream.count("tools/call") === 1);
        let failed = 0;
        upstream.fault = ({ method }) => {
          if (method !== "tools/list") return undefined;
          failed += 1;
          return new Response("bad gateway", { status: 502 });
        };
        for (let round = 0; round < 20; round += 1) {
          upstream.notify("notifications/tools/list_changed");
          expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
        }
        upstream.forgetSessions();
        expect(await agent.call("alpha")).toMatchObject({ text: "ran alpha", isError: false });
        expect(failed).toBeGreaterThan(0);
        finish();
        expect(await long).toMatchObject({ text: "long and done", isError: false });
        expect(upstream.seen.filter(({ body }) => JSON.stringify(body).includes('"beta"'))).toHaveLength(1);
        expect(noticed(agent)).toEqual(nothingNoticed);
      },
      15_000,
    );
  }

  proc(
    "[P1.4] 14: bad answers to the proxy's own questions do not make it doubt the era, and an answer keeps the era it was asked in",
    async () => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sessions: true });
      const gate = await stage.gate(upstream);
      const proxy = await stage.proxy(gate.origin);
      const agent = await stage.client(proxy, "modern");
      expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
      await eventually("the proxy follows the upstream", () => upstream.streams > 0);
      let asked = 0;
      upstream.fault = ({ method }) => {
        if (method !== "server/discover") return undefined;
        asked += 1;
        return new Response("no such page", { status: 404 });
      };
      gate.closeAll();
      await eventually("the proxy asks again and is told 404", () => asked > 0);
      let finish = () => {};
      const held = new Promise<void>((resolve) => {
        finish = resolve;
      });
      upstream.results.set("beta", async () => {
        await held;
        return { content: [{ type: "text", text: "asked as modern" }] };
      });
      const long = agent.call("beta").catch((error: unknown) => ({ text: String(error), isError: true }));
      await eventually("the long call runs", () => upstream.count("tools/call") > 0);
      upstream.fault = () => undefined;
      // Another client's opening request makes the proxy ask again.
      await stage.client(proxy, "modern");
      expect(await agent.call("alpha")).toMatchObject({ text: "ran alpha", isError: false });
      finish();
      expect(await long).toMatchObject({ text: "asked as modern", isError: false });
      expect(upstream.count("initialize")).toBe(0);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );

  proc(
    "[P1.5] 14: a session that was opened again has the client's own capabilities, and its stream no answer of a call",
    async () => {
      await using stage = new Stage();
      const upstream = stage.upstream({ sessions: true, modern: false, sse: true });
      const proxy = await stage.proxy(upstream.origin);
      const session = await openSession(proxy);
      const stream = await fetch(proxy.url, { headers: headersOf(proxy, { "mcp-session-id": session }) });
      let heard = "";
      const read = async () => {
        const decoder = new TextDecoder();
        for await (const chunk of stream.body ?? []) heard += decoder.decode(chunk, { stream: true });
      };
      // It ends with the proxy, in the middle.
      const reading = read().catch(() => undefined);
      upstream.forgetSessions();
      const call = { jsonrpc: "2.0", id: 77, method: "tools/call", params: { name: "alpha", arguments: {} } };
      const headers = headersOf(proxy, { "mcp-session-id": session, "mcp-protocol-version": "2025-11-25" });
      const answer = await fetch(proxy.url, { method: "POST", headers, body: JSON.stringify(call) });
      expect(await answer.text()).toContain("ran alpha");
      const declared = upstream.seen
        .filter(({ method }) => method === "initialize")
        .map(({ body }) => (body.params as { capabilities: unknown }).capabilities)
        .filter((capabilities) => JSON.stringify(capabilities) !== "{}");
      expect(declared.length).toBeGreaterThanOrEqual(2);
      expect(declared.at(-1)).toEqual({ elicitation: { form: {} }, roots: {} });
      upstream.tools = [];
      // Said again and again: the way from the upstream to the stream is being opened anew meanwhile.
      await eventually("the stream lives", () => {
        upstream.notify("notifications/message");
        return heard.includes("notifications/message");
      });
      expect(heard).not.toContain("ran alpha");
      expect(heard).not.toContain('"id":77');
      await proxy.kill();
      await reading;
    },
    15_000,
  );
});
