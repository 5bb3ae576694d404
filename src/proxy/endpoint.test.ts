/** The guards of the endpoint in their order, the rule about ids in error bodies, and legacy sessions. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { guess, standingClock } from "../../test/fixtures/guesses.ts";
import {
  modernMeta,
  post,
  secret,
  smallLimits,
  type TestEndpoint,
  testEndpoint,
  until,
} from "../../test/fixtures/upstreams/endpoint.ts";
import { type ScriptedUpstream, scriptedUpstream } from "../../test/fixtures/upstreams/scripted.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { PortTaken } from "./options.ts";
import { newSessionUid, sealer } from "./session.ts";

let upstream: ScriptedUpstream;
let endpoint: TestEndpoint;
const closers: (() => Promise<unknown> | unknown)[] = [];
const bodyMax = 200_000;
beforeAll(async () => {
  upstream = scriptedUpstream();
  endpoint = await testEndpoint(upstream, { limits: { ...smallLimits, requestBodyBytesMax: bodyMax } });
});
afterAll(async () => {
  await endpoint.close();
  await upstream.stop();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const good = {
  authorization: `Bearer ${secret}`,
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
};
const ping = (id: string) => `{"jsonrpc":"2.0","id":${id},"method":"ping"}`;

/** One request as bytes, so that a Host header and a body can be anything. */
async function raw(head: string, body = ""): Promise<{ status: number; text: string }> {
  let text = "";
  await new Promise<void>((resolve, reject) => {
    Bun.connect({
      hostname: "127.0.0.1",
      port: endpoint.port,
      socket: {
        open: (socket) =>
          void socket.write(`${head}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`),
        data(_, chunk) {
          text += chunk.toString();
        },
        close: () => resolve(),
        error: (_, error) => reject(error),
      },
    }).catch(reject);
  });
  return { status: Number(text.slice(9, 12)), text };
}

const request = async (init: RequestInit & { path?: string }) => {
  const response = await fetch(new URL(init.path ?? "/mcp", endpoint.url), init);
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    text: await response.text(),
    headers: response.headers,
  };
};

describe("guards", () => {
  const auth = `Authorization: Bearer ${secret}\r\nContent-Type: application/json`;
  test.each([
    ["evil.example", 403],
    ["127.0.0.1", 403],
    ["127.0.0.1:1", 403],
    ["127.1:PORT", 403],
    ["127.0.0.1:PORT, evil.example", 403],
    ["127.0.0.1:PORT", 200],
    ["localhost:PORT", 200],
    ["[::1]:PORT", 200],
  ])("Host %s", async (host, status) => {
    const name = host.replace("PORT", String(endpoint.port));
    expect((await raw(`POST /mcp HTTP/1.1\r\nHost: ${name}\r\n${auth}`, ping("1"))).status).toBe(status);
  });

  test.each([
    ["null", 403],
    ["http://evil.example", 403],
    ["https://127.0.0.1:PORT", 403],
    ["http://127.0.0.1:PORT", 200],
  ])("Origin %s", async (origin, status) => {
    const headers = { ...good, origin: origin.replace("PORT", String(endpoint.port)) };
    expect((await request({ method: "POST", headers, body: ping("1") })).status).toBe(status);
  });

  test("the order: a foreign Host is told nothing about path or secret", async () => {
    expect((await raw("POST /nowhere HTTP/1.1\r\nHost: evil")).status).toBe(403);
    expect((await request({ path: "/nowhere", method: "PUT" })).status).toBe(404);
    expect((await request({ method: "PUT" })).status).toBe(405);
    expect(
      (await request({ method: "POST", headers: { "content-type": "text/plain" }, body: "x" })).status,
    ).toBe(401);
  });

  test("an unknown path is 404 with a JSON body", async () => {
    const { type, text } = await request({ path: "/.well-known/oauth-protected-resource" });
    expect(type).toBe("application/json");
    expect(JSON.parse(text)).toEqual({ error: "not_found", message: "The endpoint is /mcp" });
  });

  test.each([
    ["no type", { "content-type": "" }],
    ["text", { "content-type": "text/plain" }],
    ["nearly JSON", { "content-type": "application/jsonp" }],
  ])("415 for %s", async (_name, wrong) => {
    expect((await request({ method: "POST", headers: { ...good, ...wrong }, body: ping("1") })).status).toBe(
      415,
    );
  });

  test("413 for a body that is too large, announced or not", async () => {
    const body = "x".repeat(bodyMax + 1);
    expect((await request({ method: "POST", headers: good, body })).status).toBe(413);
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(body));
        controller.close();
      },
    });
    expect((await request({ method: "POST", headers: good, body: stream })).status).toBe(413);
  });
});

describe("P4: the secret", () => {
  test.each([
    ["missing", {}],
    ["wrong", { authorization: "Bearer wrong" }],
    ["empty", { authorization: "Bearer " }],
    ["of another scheme", { authorization: `Basic ${secret}` }],
    ["a prefix", { authorization: `Bearer ${secret.slice(0, -1)}` }],
  ])("P4: [P4.5] %s: 401 that looks alike, with the request's id", async (_name, authorization) => {
    const headers = { "content-type": "application/json", ...(authorization as Record<string, string>) };
    const { status, text, headers: got } = await request({ method: "POST", headers, body: ping('"q-1"') });
    expect({ status, auth: got.get("www-authenticate") }).toEqual({ status: 401, auth: "Bearer" });
    expect(text).toBe('{"jsonrpc":"2.0","id":"q-1","error":{"code":-32001,"message":"proxy auth required"}}');
  });

  test("without a readable id the body is plain text", async () => {
    const bodies = [
      "not json",
      "[]",
      `{"jsonrpc":"2.0","method":"x"}`,
      `{"pad":"${"x".repeat(70_000)}","id":1}`,
    ];
    for (const body of bodies) {
      const { status, type, text } = await request({ method: "POST", body });
      expect({ status, type, text }).toEqual({
        status: 401,
        type: "text/plain; charset=utf-8",
        text: "proxy auth required\n",
      });
    }
  });
});

test.each([
  ["not json", "-32700"],
  ["[]", "-32600"],
  ["7", "-32600"],
  ['{"jsonrpc":"2.0","id":null,"method":"ping"}', "-32600"],
  ['{"jsonrpc":"2.0","id":4,"id":5,"method":"ping"}', "-32600"],
  ['{"jsonrpc":"2.0","id":4,"method":"ping","Method":"tools/call"}', "-32600"],
])("a bad body %s is 400 %s, never with an id of null", async (body, code) => {
  const { status, text } = await request({ method: "POST", headers: good, body });
  expect(status).toBe(400);
  expect(text).toContain(code);
  expect(text).not.toContain("null");
});

describe("modern headers are checked before any answer of our own", () => {
  const modern = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" };
  const body = (params: unknown, method = "tools/list") =>
    JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const claim = { _meta: modernMeta };
  test.each<[string, Record<string, string>, string, number]>([
    ["other version", { ...modern, "mcp-protocol-version": "2025-11-25" }, body(claim), -32020],
    ["other method", { ...modern, "mcp-method": "tools/call" }, body(claim), -32020],
    ["no method", { "mcp-protocol-version": "2026-07-28" }, body(claim), -32020],
    [
      "no name",
      { ...modern, "mcp-method": "tools/call" },
      body({ name: "a", ...claim }, "tools/call"),
      -32020,
    ],
    ["no _meta", modern, body({}), -32602],
    [
      "a future version",
      { ...modern, "mcp-protocol-version": "2030-01-01" },
      body({ _meta: { ...modernMeta, "io.modelcontextprotocol/protocolVersion": "2030-01-01" } }),
      -32022,
    ],
  ])("%s", async (_name, headers, text, code) => {
    const { status, text: answer } = await request({
      method: "POST",
      headers: { ...good, ...headers },
      body: text,
    });
    expect(status).toBe(400);
    expect(JSON.parse(answer)).toMatchObject({ id: 1, error: { code } });
  });

  test("GET of the modern era is 405, an unknown method is the upstream's 404", async () => {
    const { status } = await request({ headers: { ...good, ...modern } });
    expect(status).toBe(405);
    const unknown = await post(endpoint, "modern", { method: "ping" });
    expect(unknown).toMatchObject({ status: 404, json: { error: { code: -32601 } } });
  });
});

const initialize = (protocolVersion: string) =>
  post(endpoint, "legacy", {
    method: "initialize",
    params: { protocolVersion, capabilities: { roots: {} } },
  });

describe("legacy sessions", () => {
  test.each([
    ["2025-06-18", "2025-06-18"],
    ["2025-11-25", "2025-11-25"],
    ["2026-07-28", "2026-07-28"],
    ["2024-11-05", "2025-11-25"],
    ["2025-03-26", "2025-11-25"],
    ["rubbish", "2025-11-25"],
  ])("a client that asks for %s gets %s", async (asked, got) => {
    const { json, session } = await initialize(asked);
    expect(json.result).toMatchObject({
      protocolVersion: got,
      capabilities: { tools: { listChanged: true } },
    });
    const headers = { "mcp-session-id": session ?? "", "mcp-protocol-version": got };
    expect(await post(endpoint, "legacy", { method: "ping", headers })).toMatchObject({
      status: 200,
      json: { result: {} },
    });
  });

  test("are adopted by an endpoint with the same secret, ended by DELETE, and 404 afterwards", async () => {
    const { session } = await initialize("2025-11-25");
    const headers = { "mcp-session-id": session ?? "" };
    const again = await testEndpoint(upstream, { memory: endpoint.memory });
    closers.push(() => again.close());
    expect((await post(again, "legacy", { method: "tools/list", headers })).status).toBe(200);
    const end = () => fetch(again.url, { method: "DELETE", headers: { ...good, ...headers } });
    expect((await end()).status).toBe(204);
    expect((await end()).status).toBe(404);
    expect((await post(again, "legacy", { method: "tools/list", headers })).status).toBe(404);
    const third = await testEndpoint(upstream, { memory: endpoint.memory });
    closers.push(() => third.close());
    expect((await post(third, "legacy", { method: "tools/list", headers })).status).toBe(404);
  });

  test("an id that this secret did not seal is 404; no id is served all the same", async () => {
    const foreign = sealer("other").seal({ uid: "u", version: "2025-11-25", capabilities: {} });
    for (const value of [foreign, "x", "a.b.c", ".", `${foreign}x`]) {
      const { status } = await post(endpoint, "legacy", {
        method: "ping",
        headers: { "mcp-session-id": value },
      });
      expect(status).toBe(404);
    }
    expect((await post(endpoint, "legacy", { method: "tools/list" })).status).toBe(200);
    const stop = new AbortController();
    const stream = await fetch(endpoint.url, { headers: good, signal: stop.signal });
    expect(stream.status).toBe(200);
    stop.abort();
    await until("it is closed", () => endpoint.status().streams === 0);
  });

  test("a header of a version nobody speaks is 400", async () => {
    const { status } = await post(endpoint, "legacy", {
      method: "ping",
      headers: { "mcp-protocol-version": "1999-01-01" },
    });
    expect(status).toBe(400);
  });

  test("notifications and posted responses are 202 and go upstream; ping stays here", async () => {
    const before = upstream.seen.length;
    const send = (body: unknown) => request({ method: "POST", headers: good, body: JSON.stringify(body) });
    const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } };
    expect(await send(cancelled)).toMatchObject({ status: 202, text: "" });
    expect(await send({ jsonrpc: "2.0", id: 3, result: { roots: [] } })).toMatchObject({
      status: 202,
      text: "",
    });
    await post(endpoint, "legacy", { method: "ping" });
    await until("they have arrived", () => upstream.seen.length === before + 2);
    expect(upstream.seen.slice(before).map(({ body }) => body)).toEqual([
      cancelled,
      { jsonrpc: "2.0", id: 3, result: { roots: [] } },
    ]);
  });
});

test("a sealed value keeps what the client declared, or its names when that is too long for a header", () => {
  const { seal, unseal } = sealer("s");
  const facts = {
    uid: newSessionUid(seededRandom(1)),
    version: "2025-06-18",
    capabilities: { roots: { a: 1 } },
  };
  expect(unseal(seal(facts))).toEqual(facts);
  const long = { ...facts, capabilities: { roots: {}, experimental: { x: "y".repeat(5_000) } } };
  expect(unseal(seal(long))).toEqual({ ...facts, capabilities: { roots: {} } });
});

test("a taken port is told as such", async () => {
  const start = testEndpoint(upstream, { port: endpoint.port });
  await expect(start).rejects.toBeInstanceOf(PortTaken);
});

test("[P4.5] S5: guesses at the secret are slowed, the agent is not, and the end does not wait for them", async () => {
  const clock = standingClock(limits.failedLoginDelayMs);
  const guessed = await testEndpoint(upstream, { clock });
  const ask = async (authorization: string | undefined) => {
    const { authorization: _, ...rest } = good;
    const headers = authorization === undefined ? rest : { ...rest, authorization };
    const answer = await fetch(guessed.url, { method: "POST", headers, body: ping("7") });
    const { id, error, result } = (await answer.json()) as {
      id: unknown;
      error?: { code: number };
      result?: unknown;
    };
    return `${answer.status} ${String(id)} ${error?.code ?? JSON.stringify(result)}`;
  };
  const no = "401 7 -32001";
  const wrong = "Bearer another";
  expect(await guess({ clock, ask, right: `Bearer ${secret}`, wrong })).toEqual({
    first: Array(10).fill(no),
    right: Array(5).fill("200 7 {}"),
    early: [],
    late: [no, no],
  });
  const held = ask(wrong);
  await ask(`Bearer ${secret}`);
  await guessed.close();
  expect(await held).toBe(no);
});
