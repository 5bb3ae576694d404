/** Rows of docs/PROTOCOL.md about the endpoint that no test of a single part shows; the row is named in the title. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Limits } from "../../src/limits.ts";
import { isObject, type JsonObject } from "../../src/wire/jsonrpc.ts";
import {
  post,
  secret,
  smallLimits,
  type TestEndpoint,
  testEndpoint,
  until,
} from "../fixtures/upstreams/endpoint.ts";
import { type ScriptedUpstream, scriptedUpstream, toolNamed } from "../fixtures/upstreams/scripted.ts";
import { askOnce, postBytes, RawConnection } from "../hostile/wire.ts";

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Stage = { upstream: ScriptedUpstream; endpoint: TestEndpoint };

async function stage(
  limits: Partial<Limits> = {},
  prepare: (upstream: ScriptedUpstream) => void = () => {},
): Promise<Stage> {
  const upstream = scriptedUpstream();
  closers.push(() => upstream.stop());
  prepare(upstream);
  const endpoint = await testEndpoint(upstream, { limits: { ...smallLimits, ...limits } });
  closers.push(() => endpoint.close());
  return { upstream, endpoint };
}

const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const headOf = ({ port }: TestEndpoint) => [
  `Host: 127.0.0.1:${port}`,
  `Authorization: Bearer ${secret}`,
  "Content-Type: application/json",
];

type Opened = { ended: boolean };

/** Opens a GET stream and reads it until it ends. */
async function openStream({ url }: TestEndpoint): Promise<Opened> {
  const response = await fetch(url, {
    headers: { authorization: `Bearer ${secret}`, accept: "text/event-stream" },
  });
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error(`Open a stream: HTTP ${response.status} has no body`);
  closers.push(() => reader.cancel().catch(() => undefined));
  const opened = { ended: false };
  const read = async () => {
    while (!(await reader.read()).done);
  };
  read().then(
    () => {
      opened.ended = true;
    },
    () => {
      opened.ended = true;
    },
  );
  return opened;
}

describe("E-6", () => {
  test("no answer has a CORS header or sets a cookie, a preflight gets nothing", async () => {
    const { endpoint } = await stage();
    const origin = `http://127.0.0.1:${endpoint.port}`;
    const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json", origin };
    const answers = [
      await fetch(endpoint.url, { method: "OPTIONS", headers }),
      await fetch(endpoint.url, { method: "POST", headers, body: ping }),
      await fetch(endpoint.url, { method: "POST", headers: { ...headers, authorization: "" }, body: ping }),
      await fetch(endpoint.url, { method: "POST", headers: { ...headers, origin: "null" }, body: ping }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([405, 200, 401, 403]);
    const names = answers.flatMap((answer) => [...answer.headers.keys()]);
    expect(names.filter((name) => /^access-control-|^set-cookie$/.test(name))).toEqual([]);
  });
});

describe("E-8", () => {
  test.each([
    ["a head", (head: string[]) => `POST /mcp HTTP/1.1\r\n${head[0]}\r\n`],
    ["a body", (head: string[]) => postBytes(head, ping).subarray(0, -5)],
  ])("%s that is not complete in time is 408", async (_, bytes) => {
    const { endpoint } = await stage({ requestReadMs: 150 });
    const { status, headers } = await askOnce(endpoint.port, bytes(headOf(endpoint)), 3_000);
    expect([status, headers.get("content-type")]).toEqual([408, "text/plain; charset=utf-8"]);
  });

  test.each([
    ["long", [`X-Long: ${"a".repeat(2_000)}`]],
    ["full", Array.from({ length: 21 }, (_, index) => `X-${index}: 1`)],
  ])("a head that is too %s is 431", async (_, more) => {
    const { endpoint } = await stage({ requestHeadBytesMax: 1_000, requestFieldsMax: 20 });
    const ask = (lines: readonly string[]) => askOnce(endpoint.port, postBytes(lines, ping), 3_000);
    expect((await ask([...headOf(endpoint), ...more])).status).toBe(431);
    expect((await ask(headOf(endpoint))).status).toBe(200);
  });
});

describe("E-9", () => {
  test("the oldest connection without the secret makes room, one with it never does", async () => {
    const { endpoint } = await stage({ serverConnectionsMax: 3 });
    const open = async () => {
      const connection = await RawConnection.open(endpoint.port);
      closers.push(() => connection.close());
      return connection;
    };
    const ask = (connection: RawConnection) => connection.ask(postBytes(headOf(endpoint), ping), 2_000);
    const agent = await open();
    expect((await ask(agent)).status).toBe(200);
    const strangers = [await open(), await open()];
    const second = await open();
    expect((await ask(second)).status).toBe(200);
    await until("the oldest stranger is gone", () => strangers[0]?.closed === true);
    expect([agent.closed, strangers[1]?.closed]).toEqual([false, false]);
    const third = await open();
    expect((await ask(third)).status).toBe(200);
    // Three that have shown the secret: nobody makes room any more.
    const fourth = await open();
    expect((await ask(fourth)).status).toBe(503);
    expect((await ask(agent)).status).toBe(200);
  });
});

describe("E-39", () => {
  const large = { content: [{ type: "text", text: "x".repeat(300_000) }] };

  test("a large answer is passed on whole", async () => {
    const { endpoint } = await stage({ sseEventBytesMax: 100_000 }, (upstream) => {
      upstream.results.set("alpha", () => large);
    });
    const { json } = await post(endpoint, "legacy", { method: "tools/call", params: { name: "alpha" } });
    expect(json.result).toEqual(large);
  });

  test("one that breaks off upstream is cut here", async () => {
    const { endpoint } = await stage({ sseEventBytesMax: 100_000 }, (upstream) => {
      upstream.fault = ({ method }) =>
        method === "tools/call" ? brokenOff(() => upstream.stop()) : undefined;
    });
    const call = () => post(endpoint, "legacy", { method: "tools/call", params: { name: "alpha" } });
    expect(await call().catch(() => "cut")).toBe("cut");
  });
});

/** A JSON answer that begins, and then `cut` is called. */
function brokenOff(cut: () => Promise<void>): Response {
  let parts = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      parts += 1;
      if (parts === 5) return cut();
      controller.enqueue(Buffer.from(`${parts === 1 ? "{" : ""}${" ".repeat(80_000)}`));
      await Bun.sleep(5);
    },
  });
  return new Response(body, { headers: { "Content-Type": "application/json" } });
}

describe("E-48", () => {
  test("one stream too many ends another one, and not the oldest", async () => {
    const { endpoint } = await stage({ streamsMax: 2 });
    const first = await openStream(endpoint);
    const second = await openStream(endpoint);
    const third = await openStream(endpoint);
    await until("one has ended", () => [first, second, third].some(({ ended }) => ended));
    expect([first, second, third].map(({ ended }) => ended)).toEqual([false, true, false]);
    expect(endpoint.status().streams).toBe(2);
  });
});

describe("E-52", () => {
  test.each(["modern", "legacy"] as const)("a cursor is not known, %s", async (era) => {
    const { endpoint } = await stage();
    const cursors = ["tools/list", "prompts/list"].map((method) =>
      post(endpoint, era, { method, params: { cursor: "2" } }),
    );
    for (const { json } of await Promise.all(cursors))
      expect(json).toMatchObject({ error: { code: -32602 } });
  });

  test("a list without an end is not read for ever, and replaces nothing", async () => {
    const { endpoint, upstream } = await stage({ listPagesMax: 5 });
    const list = async () => {
      const { json } = await post(endpoint, "legacy", { method: "tools/list" });
      const tools = isObject(json.result) ? json.result.tools : undefined;
      return (tools as { name: string }[]).map(({ name }) => name);
    };
    expect(await list()).toEqual(["alpha", "beta"]);
    upstream.fault = ({ method, body }) =>
      method === "tools/list"
        ? Response.json({
            jsonrpc: "2.0",
            id: body.id,
            result: { resultType: "complete", tools: [toolNamed("more")], nextCursor: "again" },
          })
        : undefined;
    const before = upstream.count("tools/list");
    expect(await list()).toEqual(["alpha", "beta"]);
    expect(upstream.count("tools/list") - before).toBeGreaterThanOrEqual(5);
  });
});

describe("E-56", () => {
  test("an output schema that is no object is for modern clients only", async () => {
    const { endpoint } = await stage({}, (upstream) => {
      upstream.tools = [toolNamed("alpha", { outputSchema: { type: "array" } })];
    });
    const schemas = async (era: "modern" | "legacy") => {
      const { json } = await post(endpoint, era, { method: "tools/list" });
      return (json.result as { tools: JsonObject[] }).tools.map(({ outputSchema }) => outputSchema);
    };
    expect([await schemas("modern"), await schemas("legacy")]).toEqual([[{ type: "array" }], [undefined]]);
  });
});

describe("E-60", () => {
  test("a legacy call goes to a modern-only upstream in the modern form, its result comes back in the legacy one", async () => {
    const { endpoint, upstream } = await stage({}, (script) => {
      script.legacy = false;
      script.results.set("alpha", () => ({ content: [], ttlMs: 5, cacheScope: "private" }));
    });
    const opened = await post(endpoint, "legacy", {
      method: "initialize",
      params: {
        protocolVersion: "2025-11-25",
        capabilities: { roots: {} },
        clientInfo: { name: "c", version: "1" },
      },
    });
    const headers = { "mcp-session-id": opened.session ?? "" };
    const { json } = await post(endpoint, "legacy", {
      method: "tools/call",
      params: { name: "alpha", _meta: { progressToken: 7 } },
      headers,
    });
    expect(json).toEqual({ jsonrpc: "2.0", id: 1, result: { content: [] } });
    const call = upstream.seen.findLast(({ method }) => method === "tools/call");
    expect(["mcp-protocol-version", "mcp-method", "mcp-name"].map((name) => call?.headers.get(name))).toEqual(
      ["2026-07-28", "tools/call", "alpha"],
    );
    expect(call?.body.params).toMatchObject({
      name: "alpha",
      _meta: {
        progressToken: 7,
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { roots: {} },
      },
    });
  });
});
