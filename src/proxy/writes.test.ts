/** Calls that are written ahead, when their answers count as seen, and what results carry besides. */
import { afterEach, describe, expect, test } from "bun:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { post, secret, testEndpoint, testOutbox, until } from "../../test/fixtures/upstreams/endpoint.ts";
import {
  type Fault,
  type ScriptedUpstream,
  scriptedUpstream,
  toolNamed,
} from "../../test/fixtures/upstreams/scripted.ts";
import type { JsonObject } from "../wire/jsonrpc.ts";
import { toolDefinitions } from "../wire/tools.ts";
import type { EndpointOptions } from "./options.ts";
import { parsePolicy, relayPolicy } from "./policy.ts";

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

const relayTools = (up: ScriptedUpstream) => {
  up.tools = [toolNamed("relay_send_message"), toolNamed("relay_check_messages")];
};
const relayOptions = (outbox: EndpointOptions["outbox"]) => ({
  outbox,
  policy: relayPolicy(),
  builtin: () => toolDefinitions(["message:send", "message:read"]),
});
const send = (more: JsonObject = {}) => ({
  method: "tools/call",
  params: { name: "relay_send_message", arguments: { to: "bob", body: "hi" }, ...more },
});

describe("writes", () => {
  test.each(eras)("P2: go through the outbox, and the receipt is in the asking era, %s", async (era) => {
    const outbox = testOutbox();
    const { upstream, endpoint } = await stage(relayOptions(outbox), relayTools);
    const _meta = { "claudecode/toolUseId": "toolu_1" };
    const { json } = await post(endpoint, era, send({ _meta }));
    const result = json.result as JsonObject;
    expect(result.structuredContent).toMatchObject({ delivery: "queued", tool: "relay_send_message" });
    expect(result.resultType).toBe((era === "modern" ? "complete" : undefined) as string);
    expect(outbox.writes).toMatchObject([{ callId: "claude:toolu_1", arguments: { to: "bob", body: "hi" } }]);
    expect(upstream.count("tools/call")).toBe(0);
  });

  test.each(eras)("P5: [P5.2] a queued answer validates in the SDK client, %s", async (era) => {
    const { endpoint } = await stage(
      { ...relayOptions(testOutbox()), builtin: () => toolDefinitions(["message:send"]) },
      (up) => {
        up.tools = toolDefinitions(["message:send"]);
      },
    );
    const client = new Client(
      { name: "test", version: "1" },
      { versionNegotiation: { mode: era === "legacy" ? "legacy" : { pin: "2026-07-28" } } },
    );
    closers.push(() => client.close());
    const headers = { Authorization: `Bearer ${secret}` };
    await client.connect(
      new StreamableHTTPClientTransport(new URL(endpoint.url), { requestInit: { headers } }),
    );
    const { tools } = await client.listTools();
    expect(tools.every(({ outputSchema }) => outputSchema !== undefined)).toBe(true);
    const result = await client.callTool({
      name: "relay_send_message",
      arguments: { to: "bob", body: "hi" },
    });
    expect(result.structuredContent).toMatchObject({ delivery: "queued", queued: true });
  });

  test("bad arguments are refused in the form of a receipt, and nothing is stored", async () => {
    const outbox = testOutbox();
    const { endpoint } = await stage(relayOptions(outbox), relayTools);
    const { json } = await post(endpoint, "legacy", {
      method: "tools/call",
      params: { name: "relay_send_message", arguments: { body: "" } },
    });
    expect(json).toMatchObject({ result: { isError: true, structuredContent: { delivery: "refused" } } });
    expect(textOf(json)).toContain("to:");
    expect(outbox.writes).toEqual([]);
  });

  test("P2: an answer is seen when a later request of the session comes, not when its own response was aborted", async () => {
    const outbox = testOutbox();
    const { endpoint } = await stage(relayOptions(outbox), relayTools);
    await post(endpoint, "modern", send());
    await post(endpoint, "modern", { method: "tools/list" });
    expect(outbox.log).toEqual(["seen modern", "answered 1 modern", "seen modern"]);
    outbox.log.length = 0;
    const stop = new AbortController();
    const slow = outbox.write.bind(outbox);
    outbox.write = async (write, waitMs) => {
      stop.abort();
      await Bun.sleep(50);
      return slow(write, waitMs);
    };
    await expect(post(endpoint, "modern", { ...send(), signal: stop.signal })).rejects.toThrow();
    await Bun.sleep(80);
    await post(endpoint, "modern", { method: "tools/list" });
    expect(outbox.log).toEqual(["seen modern", "seen modern"]);
    expect(outbox.writes.length).toBe(2);
  });

  test("a continuation is never written ahead", async () => {
    const outbox = testOutbox();
    const { upstream, endpoint } = await stage(relayOptions(outbox), relayTools);
    await post(endpoint, "modern", send({ requestState: "s", inputResponses: {} }));
    expect({ stored: outbox.writes.length, sent: upstream.count("tools/call") }).toEqual({
      stored: 0,
      sent: 1,
    });
  });

  test("P5: [P5.5] notices come with every tool result until they were seen, and with the inbox as data too", async () => {
    const outbox = testOutbox();
    const { upstream, endpoint } = await stage(relayOptions(outbox), relayTools);
    upstream.results.set("relay_check_messages", () => ({
      content: [{ type: "text", text: "1 message" }],
      structuredContent: { messages: [{ seq: 4 }, { seq: 9 }], notices: [], more: false },
    }));
    const at = new Date(0).toISOString();
    outbox.pending = [
      {
        id: "n1",
        reason: "rejected",
        tool: "relay_reply",
        idempotencyKey: "k",
        messageId: "m",
        excerpt: "hello",
        detail: "no such agent",
        enqueuedAt: at,
        endedAt: at,
        text: "It was not sent.",
      },
    ];
    const stop = new AbortController();
    upstream.fault = onCalls(() => {
      stop.abort();
      return new Response("", { status: 503 });
    });
    await expect(
      post(endpoint, "modern", { ...call("relay_check_messages"), signal: stop.signal }),
    ).rejects.toThrow();
    upstream.fault = () => undefined;
    const { json } = await post(endpoint, "modern", call("relay_check_messages"));
    expect(textOf(json)).toContain("notices about your own earlier writes");
    expect(json).toMatchObject({ result: { structuredContent: { notices: [{ id: "n1" }] } } });
    expect(endpoint.seenSeqs).toEqual([]);
    const next = await post(endpoint, "modern", call("relay_check_messages"));
    expect(outbox.log).toContain("notices n1");
    expect(textOf(next.json)).not.toContain("notices");
    expect(endpoint.seenSeqs).toEqual([9]);
  });

  test("P5: a result says that writes are waiting", async () => {
    const outbox = testOutbox();
    outbox.depth = 3;
    const { upstream, endpoint } = await stage(relayOptions(outbox), relayTools);
    const { json } = await post(endpoint, "legacy", call("relay_check_messages"));
    expect(json).toMatchObject({
      result: { _meta: { "agent-relay/degraded": { relay: "up", queuedWrites: 3 } } },
    });
    expect(upstream.count("tools/call")).toBe(1);
  });

  test("a tool that must not overtake queued writes waits for them, then is refused", async () => {
    const outbox = testOutbox();
    outbox.depth = 1;
    const policy = parsePolicy({ tools: { alpha: { drainFirst: true } } });
    const { upstream, endpoint } = await stage({ outbox, policy });
    expect(textOf((await post(endpoint, "legacy", call("alpha"))).json)).toContain(
      "must not overtake 1 queued",
    );
    outbox.depth = 0;
    expect(textOf((await post(endpoint, "legacy", call("alpha"))).json)).toContain("ran alpha");
    expect(upstream.count("tools/call")).toBe(1);
  });

  test("a foreign tool that is written ahead is shown without its output schema", async () => {
    const policy = parsePolicy({ tools: { alpha: { buffered: true, key: { argument: "key" } } } });
    const { endpoint } = await stage({ outbox: testOutbox(), policy }, (up) => {
      up.tools = ["alpha", "beta"].map((name) => toolNamed(name, { outputSchema: { type: "object" } }));
    });
    const { json } = await post(endpoint, "legacy", { method: "tools/list" });
    const tools = (json.result as { tools: JsonObject[] }).tools;
    expect(tools.map((tool) => "outputSchema" in tool)).toEqual([false, true]);
  });
});
