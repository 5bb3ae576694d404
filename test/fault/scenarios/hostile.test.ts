/**
 * Failure scenario 15: hostile and oversized local traffic, written to the socket byte by byte where an HTTP client
 * would not write it. Nothing of it may reach the upstream, and an agent beside it may not notice.
 */
import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { limits } from "../../../src/limits.ts";
import { post, secret } from "../../fixtures/upstreams/endpoint.ts";
import { eventStream } from "../../fixtures/upstreams/scripted.ts";
import { eras, nothingNoticed, noticed, type ProxyProcess, Stage } from "./stage.ts";

const ping =
  '{"jsonrpc":"2.0","id":"find-me","method":"tools/call","params":{"name":"alpha","arguments":{}}}';

/** Writes this and resolves with all that comes back until the peer closes or 3 s have gone by. */
function raw(proxy: ProxyProcess, text: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(Number(new URL(proxy.url).port), "127.0.0.1", () => socket.write(text));
    const done = () => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(3_000, done);
    socket.on("data", (bytes: Buffer) => {
      answer += bytes.toString("latin1");
    });
    socket.on("error", done);
    socket.on("close", done);
  });
}

type Lines = Record<string, string | undefined>;

/** A POST with the right secret, less or more than the usual headers. */
function request(
  proxy: ProxyProcess,
  change: { lines?: Lines; extra?: string; body?: string; path?: string },
) {
  const { lines = {}, extra = "", body = ping, path = "/mcp" } = change;
  const all: Lines = {
    Host: new URL(proxy.url).host,
    Authorization: `Bearer ${proxy.secret}`,
    "Content-Type": "application/json",
    Accept: "application/json, text/event-stream",
    "Content-Length": String(body.length),
    Connection: "close",
    ...lines,
  };
  const head = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  const text = `POST ${path} HTTP/1.1\r\n${head.join("\r\n")}\r\n${extra}\r\n${body}`;
  // One letter is one byte, so that bytes can be sent that are no text.
  return raw(proxy, Buffer.from(text, "latin1"));
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? "0");

type Case = { name: string; status: number[]; send(proxy: ProxyProcess): Promise<string> };
const evil = "evil.example";
const host = (value: string | undefined, status = [403]): Case => ({
  name: `Host ${value ?? "missing"}`,
  status,
  send: (proxy) => request(proxy, { lines: { Host: value?.replace("PORT", new URL(proxy.url).port) } }),
});
const origin = (value: string): Case => ({
  name: `Origin ${value}`,
  status: [403],
  send: (proxy) => request(proxy, { lines: { Origin: value.replace("PORT", new URL(proxy.url).port) } }),
});
const body = (name: string, text: string, status = [400]): Case => ({
  name,
  status,
  send: (proxy) => request(proxy, { body: text }),
});

const cases: readonly Case[] = [
  host(evil),
  host(`${evil}:PORT`),
  host(`127.0.0.1.${evil}:PORT`),
  host("127.0.0.1:1"),
  host("127.1:PORT"),
  host("0.0.0.0:PORT"),
  host("2130706433:PORT"),
  host("localhost.:PORT"),
  host(`127.0.0.1:PORT@${evil}`, [400, 403]),
  host(undefined, [400, 403]),
  host("", [400, 403]),
  origin("null"),
  origin(`http://${evil}`),
  origin("https://127.0.0.1:PORT"),
  origin(`http://127.0.0.1:PORT.${evil}`),
  origin("http://localhost:1"),
  origin("file://"),
  {
    name: "two Origins, the first our own",
    status: [400, 403],
    send: (proxy) =>
      request(proxy, {
        lines: { Origin: new URL(proxy.url).origin },
        extra: `Origin: http://${evil}\r\n`,
      }),
  },
  {
    name: "two Hosts",
    status: [400, 403],
    send: (proxy) => request(proxy, { extra: `Host: ${evil}\r\n` }),
  },
  { name: "no secret", status: [401], send: (p) => request(p, { lines: { Authorization: undefined } }) },
  {
    name: "a wrong secret",
    status: [401],
    send: (p) => request(p, { lines: { Authorization: "Bearer x" } }),
  },
  {
    name: "the secret with one letter more",
    status: [401],
    send: (p) => request(p, { lines: { Authorization: `Bearer ${p.secret}x` } }),
  },
  {
    name: "the secret in another scheme",
    status: [401],
    send: (p) => request(p, { lines: { Authorization: `Basic ${p.secret}` } }),
  },
  { name: "a form", status: [415], send: (p) => request(p, { lines: { "Content-Type": "text/plain" } }) },
  { name: "another path", status: [404], send: (p) => request(p, { path: "/mcp/../admin" }) },
  { name: "a malformed URL", status: [400, 403, 404], send: (p) => request(p, { path: "//%zz\\mcp" }) },
  { name: "no HTTP", status: [0, 400], send: (p) => raw(p, Buffer.from("\u0000\u0001\u0002 hello\r\n\r\n")) },
  body("malformed JSON", '{"jsonrpc":"2.0","id":1,"method"'),
  body("a batch", `[${ping}]`),
  body("no object", '"text"'),
  body("a duplicate method", ping.replace('"method":', '"method":"ping","method":')),
  body("a duplicate name", ping.replace('"name":', '"name":"other","name":')),
  body("a method in capitals beside it", ping.replace('"method":', '"METHOD":"ping","method":')),
  body("invalid UTF-8", ping.replace("find-me", "\u00ff")),
  body("too deep", ping.replace("{}", `${"[".repeat(200)}${"]".repeat(200)}`)),
  {
    name: "a header that names another tool than the body",
    status: [400],
    send: (p) =>
      request(p, {
        lines: { "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "beta" },
        body: ping.replace(
          '"arguments":{}',
          '"arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}',
        ),
      }),
  },
];

describe("15: hostile or oversized local traffic", () => {
  test("[P4.5] 15: every hostile request is refused with its own status, none reaches the upstream, the agent goes on", async () => {
    await using stage = new Stage();
    const upstream = stage.upstream();
    const proxy = await stage.proxy(upstream.origin);
    const agents = [await stage.client(proxy, "legacy"), await stage.client(proxy, "modern")];
    for (const agent of agents) expect(await agent.toolNames()).toEqual(["alpha", "beta"]);
    const answers = await Promise.all(cases.map(async (one) => ({ one, answer: await one.send(proxy) })));
    const wrong = answers.filter(({ one, answer }) => !one.status.includes(statusOf(answer)));
    expect(wrong.map(({ one, answer }) => `${one.name}: ${answer.split("\r\n")[0]}`)).toEqual([]);
    // 403 comes before anything is read: not even the id of the request is known.
    const early = answers.filter(({ answer }) => statusOf(answer) === 403);
    expect(early.filter(({ answer }) => answer.includes("find-me"))).toEqual([]);
    expect(upstream.count("tools/call")).toBe(0);
    // The control: the same request, untouched, is served.
    expect(statusOf(await request(proxy, {}))).toBe(200);
    expect(upstream.count("tools/call")).toBe(1);
    for (const agent of agents) {
      expect(await agent.call("alpha")).toMatchObject({ text: "ran alpha", isError: false });
      expect(noticed(agent)).toEqual(nothingNoticed);
    }
    console.log(`15: ${cases.length} hostile requests refused`);
    expect(proxy.program.running()).toBe(true);
  }, 20_000);

  test.concurrent("[P4.5] 15: missing and wrong secrets look alike", async () => {
    await using stage = new Stage();
    const proxy = await stage.proxy(stage.upstream().origin);
    const plain = (answer: string) => answer.replace(/^date:.*\r\n/im, "");
    const [missing, wrong] = await Promise.all([
      request(proxy, { lines: { Authorization: undefined } }),
      request(proxy, { lines: { Authorization: "Bearer AAAA" } }),
    ]);
    expect(plain(missing)).toBe(plain(wrong));
    expect(missing).toContain('"id":"find-me"');
  });

  test.concurrent("[P4.5] 15: 12 MiB are refused with 413 in words, before and after authentication", async () => {
    await using stage = new Stage();
    const upstream = stage.upstream();
    const proxy = await stage.proxy(upstream.origin);
    const agent = await stage.client(proxy, "modern");
    await agent.toolNames();
    const big = ping.replace("{}", JSON.stringify({ text: "x".repeat(12 * 1_024 * 1_024) }));
    const send = (authorization: string) =>
      fetch(proxy.url, {
        method: "POST",
        headers: { authorization, "content-type": "application/json", accept: "application/json" },
        body: big,
      });
    const refused = await send(`Bearer ${proxy.secret}`);
    expect(refused.status).toBe(413);
    // Its id was never read, and a client would wait for ever on an id of null: the reason is plain text.
    expect(await refused.text()).toContain(String(limits.requestBodyBytesMax));
    expect((await send("Bearer nobody")).status).toBe(401);
    expect(upstream.count("tools/call")).toBe(0);
    // Up to the limit there is no other: 3 MiB of argument pass.
    upstream.results.set("beta", ({ text }) => ({
      content: [{ type: "text", text: `${String(text).length}` }],
    }));
    const large = await agent.call("beta", { text: "y".repeat(3 * 1_024 * 1_024) });
    expect(large.text).toBe(String(3 * 1_024 * 1_024));
    expect(noticed(agent)).toEqual(nothingNoticed);
  });

  test.concurrent.each([...eras])(
    "[P1.8] 15: %s: one line of 1 MiB in the upstream's stream passes",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream();
      const text = "z".repeat(1_024 * 1_024);
      upstream.fault = ({ method, body: sent }) =>
        method === "tools/call"
          ? eventStream([
              {
                jsonrpc: "2.0",
                id: sent.id,
                result: { resultType: "complete", content: [{ type: "text", text }] },
              },
            ])
          : undefined;
      const proxy = await stage.proxy(upstream.origin);
      const agent = await stage.client(proxy, era);
      expect((await agent.call("alpha")).text).toBe(text);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
  );

  test.concurrent("[P3.2] 15: what may be called is decided on the body, whatever the headers say", async () => {
    await using stage = new Stage();
    const upstream = stage.upstream();
    const policy = { tools: { beta: { shownWhen: "isolated-worktree" } } };
    const proxy = await stage.proxy(upstream.origin, { policy });
    const witness = await stage.client(proxy, "modern");
    expect(await witness.toolNames()).toEqual(["alpha"]);
    const call = { method: "tools/call", params: { name: "beta", arguments: {} } };
    const authorization = `Bearer ${proxy.secret}`;
    const lying = { authorization, "mcp-name": "alpha" };
    expect(secret).not.toBe(proxy.secret);
    const modern = await post(proxy, "modern", { ...call, headers: lying });
    expect(modern.status).toBe(400);
    expect(modern.json).toMatchObject({ error: { code: -32020 } });
    const legacy = await post(proxy, "legacy", { ...call, headers: lying });
    expect(JSON.stringify(legacy.json)).toContain("beta is not available now");
    expect(upstream.count("tools/call")).toBe(0);
  });
});
