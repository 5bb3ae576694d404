/** What becomes of calls: forwarded, refused, and every way an upstream can fail on them. */
import { afterEach, describe, expect, test } from "bun:test";
import { modernMeta, post, testEndpoint, until } from "../../test/fixtures/upstreams/endpoint.ts";
import {
  eventStream,
  type Fault,
  type ScriptedUpstream,
  scriptedUpstream,
} from "../../test/fixtures/upstreams/scripted.ts";
import type { JsonObject } from "../wire/jsonrpc.ts";
import { parsePolicy } from "./policy.ts";

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function stage(
  more: Parameters<typeof testEndpoint>[1] = {},
  prepare: (upstream: ScriptedUpstream) => void = () => {},
) {
  const upstream = scriptedUpstream();
  closers.push(() => upstream.stop());
  prepare(upstream);
  const endpoint = await testEndpoint(upstream, more);
  closers.push(() => endpoint.close());
  await until("the tools are known", () => endpoint.status().visibleTools.length > 0);
  return { upstream, endpoint };
}

const call = (name: string, more: JsonObject = {}) => ({
  method: "tools/call",
  params: { name, arguments: {}, ...more },
});
const textOf = (json: JsonObject) => JSON.stringify((json.result as JsonObject).content);
const eras = ["legacy", "modern"] as const;
const onCalls =
  (answer: () => Response): Fault =>
  ({ method }) =>
    method === "tools/call" ? answer() : undefined;

describe.each(eras)("P1: a failing upstream is a tool result, %s", (era) => {
  test.each([502, 503, 504])("P1: [P1.4] [P5.3] HTTP %d", async (status) => {
    const { upstream, endpoint } = await stage();
    upstream.fault = onCalls(() => new Response("bad gateway", { status }));
    const { status: http, json } = await post(endpoint, era, { ...call("alpha"), id: "x1" });
    expect(http).toBe(200);
    expect(json).toMatchObject({ id: "x1", result: { isError: true } });
    expect(textOf(json)).toContain(
      `relay unreachable: the upstream answered HTTP ${status}. Whether it ran: unknown`,
    );
  });

  test("P5: [P5.4] gone: certainly not run", async () => {
    const { upstream, endpoint } = await stage();
    await upstream.stop();
    const { json } = await post(endpoint, era, call("alpha"));
    expect(json).toMatchObject({ result: { isError: true } });
    expect(textOf(json)).toContain("Whether it ran: no");
    expect(endpoint.status().upstream.reach).toBe("down");
  });

  test("gone for a moment: the call is tried again while nothing was sent", async () => {
    const { upstream, endpoint } = await stage();
    await upstream.stop();
    const answer = post(endpoint, era, call("alpha"));
    await Bun.sleep(40);
    upstream.start();
    expect(textOf((await answer).json)).toContain("ran alpha");
    expect(upstream.count("tools/call")).toBe(1);
  });

  test.each([404, 409])("P1: [P1.4] HTTP %d is a tool result with status and reason", async (refused) => {
    const { upstream, endpoint } = await stage();
    upstream.fault = onCalls(() => Response.json({ detail: "not you" }, { status: refused }));
    const { status, json } = await post(endpoint, era, call("alpha"));
    expect(status).toBe(200);
    expect(textOf(json)).toContain(`relay refused: HTTP ${refused} not you. It did not run.`);
  });

  test("400 -32021 and 404 -32601 pass through with the id as it was written", async () => {
    const { upstream, endpoint } = await stage();
    const error = (code: number) => ({
      jsonrpc: "2.0",
      id: null,
      error: { code, message: "m", data: { a: 1 } },
    });
    upstream.fault = onCalls(() => Response.json(error(-32021), { status: 400 }));
    expect(await post(endpoint, era, { ...call("alpha"), id: 77 })).toMatchObject({
      status: 400,
      json: { id: 77, error: { code: -32021, data: { a: 1 } } },
    });
    upstream.fault = onCalls(() => Response.json(error(-32601), { status: 404 }));
    expect(await post(endpoint, era, { ...call("alpha"), id: "q" })).toMatchObject({
      status: 404,
      json: { id: "q", error: { code: -32601 } },
    });
  });

  test("another request gets an error that says it can be repeated", async () => {
    const { upstream, endpoint } = await stage();
    await upstream.stop();
    const { status, json } = await post(endpoint, era, { method: "prompts/get", params: { name: "x" } });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      error: { code: -32603, data: { code: "relay_unreachable", retryable: true } },
    });
  });

  test.each(["ended", "cut"])(
    "P1: [P1.8] [P5.3] a stream that is %s in the middle ends with a response",
    async (how) => {
      const { upstream, endpoint } = await stage();
      const progress = {
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken: 1, progress: 1 },
      };
      upstream.fault = onCalls(() => eventStream([progress], { holdMs: how === "cut" ? 10_000 : 20 }));
      const answer = post(endpoint, era, { ...call("alpha"), id: 5 });
      await until("the call is upstream", () => upstream.count("tools/call") === 1);
      await Bun.sleep(40);
      await upstream.stop();
      const { type, text, json } = await answer;
      expect(type).toContain("text/event-stream");
      expect(text).toContain("notifications/progress");
      expect(json).toMatchObject({ id: 5, result: { isError: true } });
      expect(textOf(json)).toContain("Whether it ran: unknown");
    },
  );

  test("a silent upstream: the stream is opened early, and a late 503 becomes its result", async () => {
    const { upstream, endpoint } = await stage();
    let release = (_: Response) => {};
    upstream.fault = ({ method }) =>
      method === "tools/call"
        ? new Promise<Response>((resolve) => {
            release = resolve;
          })
        : undefined;
    const answer = post(endpoint, era, { ...call("alpha"), id: 6 });
    await Bun.sleep(300);
    release(new Response("", { status: 503 }));
    const { type, text, json } = await answer;
    expect(type).toContain("text/event-stream");
    expect(text.startsWith(": \n\n: \n\n")).toBe(true);
    expect(json).toMatchObject({ id: 6, result: { isError: true } });
  });

  test("an endpoint that closes answers every call that waits", async () => {
    const { upstream, endpoint } = await stage();
    upstream.fault = ({ method }) => (method === "tools/call" ? new Promise(() => {}) : undefined);
    const quick = post(endpoint, era, { ...call("alpha"), id: 1 });
    await Bun.sleep(200);
    upstream.fault = onCalls(() => eventStream([], { holdMs: 10_000 }));
    const streaming = post(endpoint, era, { ...call("alpha"), id: 2 });
    await until("both are upstream", () => upstream.count("tools/call") === 2);
    await Bun.sleep(20);
    await endpoint.close();
    for (const { json } of [await quick, await streaming]) {
      expect(json).toMatchObject({ result: { isError: true } });
    }
  });

  test("a garbled answer is not passed on", async () => {
    const { upstream, endpoint } = await stage();
    upstream.fault = onCalls(() => new Response("<html>hello</html>"));
    const { json } = await post(endpoint, era, call("alpha"));
    expect(textOf(json)).toContain("the upstream's answer is not JSON-RPC");
  });
});

describe("forwarding", () => {
  test("P4: [P4.3] only allowed headers leave, with the live token; the bytes are those that came", async () => {
    const { upstream, endpoint } = await stage();
    endpoint.token = "live-1";
    const body = `{ "jsonrpc":"2.0", "id": 12345678901234567890, "method":"tools/call",\n"params":{"name":"alpha","_meta":${JSON.stringify(modernMeta)}} }`;
    const got = await new Promise<string>((resolve, reject) => {
      upstream.results.set("alpha", () => ({ content: [] }));
      fetch(endpoint.url, {
        method: "POST",
        headers: {
          authorization: "Bearer test-secret-0123456789",
          cookie: "a=b",
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          "mcp-protocol-version": "2026-07-28",
          "mcp-method": "tools/call",
          "mcp-name": "alpha",
          "mcp-param-region": "eu",
          traceparent: "00-1-2-01",
          "x-other": "no",
        },
        body,
      }).then(async (response) => resolve(await response.text()), reject);
    });
    const [seen] = upstream.seen.filter(({ method }) => method === "tools/call");
    const names = [...(seen?.headers.keys() ?? [])].sort();
    expect(names).toEqual(
      [
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-name",
        "mcp-param-region",
        "mcp-protocol-version",
        "traceparent",
      ].filter((name) => names.includes(name)),
    );
    expect(seen?.headers.get("authorization")).toBe("Bearer live-1");
    expect(seen?.headers.get("mcp-param-region")).toBe("eu");
    expect(Number(seen?.headers.get("content-length"))).toBe(body.length);
    expect(got).not.toContain("live-1");
  });

  test("P1: [P1.4] [P1.6] a rotated token and a 401 are never seen by the agent", async () => {
    const { upstream, endpoint } = await stage({ nextToken: "second" }, (up) => {
      up.token = "second";
    });
    expect(endpoint.refreshed).toBe(1);
    upstream.token = "first";
    endpoint.token = "first";
    expect(textOf((await post(endpoint, "legacy", call("alpha"))).json)).toContain("ran alpha");
    upstream.token = "second";
    expect(textOf((await post(endpoint, "legacy", call("alpha"))).json)).toContain("ran alpha");
    expect(endpoint.refreshed).toBe(2);
    upstream.token = "third";
    const { status, json, text } = await post(endpoint, "legacy", call("alpha"));
    expect({ status, isError: (json.result as JsonObject).isError }).toEqual({ status: 200, isError: true });
    expect(text).not.toContain("WWW-Authenticate");
  });

  test("P1: [P1.5] an upstream that forgets its session is initialised again and the call repeated", async () => {
    const { upstream, endpoint } = await stage({}, (up) => {
      up.sessions = true;
      up.modern = false;
    });
    const opened = await post(endpoint, "legacy", {
      method: "initialize",
      params: { protocolVersion: "2025-06-18", capabilities: { elicitation: {} } },
    });
    const headers = { "mcp-session-id": opened.session ?? "", "mcp-protocol-version": "2025-06-18" };
    upstream.forgetSessions();
    const before = upstream.count("initialize");
    const answers = await Promise.all(
      [1, 2, 3].map((id) => post(endpoint, "legacy", { ...call("alpha"), id, headers })),
    );
    expect(answers.map(({ json }) => textOf(json))).toEqual(
      Array(3).fill('[{"type":"text","text":"ran alpha"}]'),
    );
    const again = upstream.seen.filter(({ method }) => method === "initialize").slice(before);
    expect(again.length).toBe(1);
    expect(again[0]?.body.params).toMatchObject({
      protocolVersion: "2025-06-18",
      capabilities: { elicitation: {} },
    });
  });

  test("an upstream stream that pauses for a poll is resumed with the upstream's own event id", async () => {
    const { upstream, endpoint } = await stage({}, (up) => {
      up.modern = false;
      up.sessions = true;
    });
    const note = { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } };
    const final = { jsonrpc: "2.0", id: 9, result: { content: [{ type: "text", text: "late" }] } };
    let resumedFrom: string | null = null;
    upstream.fault = ({ method, http, headers }) => {
      if (method === "tools/call") {
        return new Response(`id: up-0\nretry: 10\ndata: ${JSON.stringify(note)}\n\n`, {
          headers: { "content-type": "text/event-stream" },
        });
      }
      if (http !== "GET" || !headers.has("last-event-id")) return undefined;
      resumedFrom = headers.get("last-event-id");
      return eventStream([final]);
    };
    const { text, json } = await post(endpoint, "legacy", { ...call("alpha"), id: 9 });
    expect(json).toMatchObject(final);
    expect(String(resumedFrom)).toBe("up-0");
    expect(text).not.toContain("up-0");
  });

  test.each(eras)("a disconnect ends what may be ended, %s", async (era) => {
    const policy = parsePolicy({ tools: { alpha: { readOnly: true } } });
    const { upstream, endpoint } = await stage({ policy });
    let cancelled = 0;
    upstream.fault = onCalls(() => {
      const body = new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode(": wait\n\n")),
        cancel() {
          cancelled += 1;
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    });
    for (const name of ["alpha", "beta"]) {
      const stop = new AbortController();
      const answer = post(endpoint, era, { ...call(name), signal: stop.signal });
      await until("the call is upstream", () => upstream.count("tools/call") === (name === "alpha" ? 1 : 2));
      await Bun.sleep(20);
      stop.abort();
      await expect(answer).rejects.toThrow();
      if (name === "alpha") await until("the read is ended", () => cancelled === 1);
    }
    await Bun.sleep(60);
    expect(cancelled).toBe(era === "modern" ? 2 : 1);
  });
});
