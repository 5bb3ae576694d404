/** What is shown, when it changes, and who is told: P3 in every state, list changes exactly on change. */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  modernMeta,
  post,
  secret,
  smallLimits,
  type TestEndpoint,
  testEndpoint,
  until,
} from "../../test/fixtures/upstreams/endpoint.ts";
import {
  type ScriptedUpstream,
  scriptedUpstream,
  toolNamed,
} from "../../test/fixtures/upstreams/scripted.ts";
import { realRandom } from "../base/random.ts";
import { toolDefinitions } from "../wire/tools.ts";
import { shownFingerprint } from "./lists.ts";
import { type Context, visible } from "./narrow.ts";
import { openPolicy, parsePolicy, relayPolicy } from "./policy.ts";

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

const named = (...names: string[]) => names.map((name) => toolNamed(name));
async function listed(endpoint: TestEndpoint, headers: Record<string, string> = {}): Promise<string[]> {
  const { json } = await post(endpoint, "legacy", { method: "tools/list", headers });
  return (json.result as { tools: { name: string }[] }).tools.map(({ name }) => name);
}

/** An open stream and the methods of what it brought. */
async function follow(endpoint: TestEndpoint, request: RequestInit) {
  const stop = new AbortController();
  closers.push(() => stop.abort());
  const response = await fetch(endpoint.url, { ...request, signal: stop.signal });
  const messages: { id: string | undefined; message: Record<string, unknown> }[] = [];
  const state = { text: "", ended: false };
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      state.text += decoder.decode(chunk, { stream: true });
      messages.length = 0;
      for (const block of state.text.split("\n\n").slice(0, -1)) {
        const data = /^data: (\{.*)$/m.exec(block)?.[1];
        const id = /^id: (.*)$/m.exec(block)?.[1];
        if (data !== undefined) messages.push({ id, message: JSON.parse(data) });
      }
    }
    state.ended = true;
  };
  read().catch(() => (state.ended = true));
  const methods = () => messages.map(({ message }) => message.method ?? "response");
  return { response, messages, methods, state, stop: () => stop.abort() };
}
const get = (headers: Record<string, string> = {}): RequestInit => ({
  headers: { authorization: `Bearer ${secret}`, accept: "text/event-stream", ...headers },
});
const listen = (filter: Record<string, unknown>): RequestInit => ({
  method: "POST",
  headers: {
    authorization: `Bearer ${secret}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "subscriptions/listen",
  },
  body: JSON.stringify({
    jsonrpc: "2.0",
    id: "listen:0",
    method: "subscriptions/listen",
    params: { notifications: filter, _meta: modernMeta },
  }),
});
async function openSession(endpoint: TestEndpoint): Promise<Record<string, string>> {
  const { session } = await post(endpoint, "legacy", {
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {} },
  });
  return { "mcp-session-id": session ?? "" };
}
const change = "notifications/tools/list_changed";

describe("P3: what is shown", () => {
  test("[P3.3] is the last answer in an outage, and a failure never replaces it", async () => {
    const { upstream, endpoint } = await stage();
    upstream.fault = () => new Response("", { status: 503 });
    expect(await listed(endpoint)).toEqual(["alpha", "beta"]);
    await upstream.stop();
    expect(await listed(endpoint)).toEqual(["alpha", "beta"]);
  });

  test("an empty list of a healthy upstream does replace it", async () => {
    const { upstream, endpoint } = await stage();
    upstream.tools = [];
    expect(await listed(endpoint)).toEqual([]);
  });

  test("[P3.5] is remembered over a restart, under its own authorization only", async () => {
    const { upstream, endpoint } = await stage();
    await upstream.stop();
    const again = await testEndpoint(upstream, { memory: endpoint.memory });
    closers.push(() => again.close());
    expect(await listed(again)).toEqual(["alpha", "beta"]);
    again.authorization = { ...again.authorization, scopes: ["agent:read"] };
    again.authorizationChanged();
    expect(await listed(again)).toEqual([]);
    const { json } = await post(again, "legacy", { method: "tools/call", params: { name: "alpha" } });
    expect(json).toMatchObject({ result: { isError: true } });
  });

  test("[P3.4] is the built-in list cut to the scopes before any contact", async () => {
    const upstream = scriptedUpstream();
    await upstream.stop();
    const endpoint = await testEndpoint(upstream, {
      policy: relayPolicy(),
      builtin: () => toolDefinitions(["message:send"]),
    });
    closers.push(() => endpoint.close());
    const names = [
      "relay_send_message",
      "relay_reply",
      "relay_message_status",
      "relay_operation_status",
      "relay_decline",
    ];
    expect(await listed(endpoint)).toEqual(names);
  });

  test("keeps its order when the upstream does not", async () => {
    const { upstream, endpoint } = await stage({}, (up) => {
      up.tools = named("c", "a", "b");
    });
    upstream.tools = named("b", "new", "a", "c");
    expect(await listed(endpoint)).toEqual(["c", "a", "b", "new"]);
  });

  test("only removes, whatever the context (property)", () => {
    const names = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"));
    const when = fc.constantFrom("always", "isolated-worktree");
    fc.assert(
      fc.property(
        names,
        fc.dictionary(fc.constantFrom("a", "b", "c"), when),
        fc.constantFrom("isolated", "shared", "none"),
        (given, rows, worktree) => {
          const policy = parsePolicy({
            tools: Object.fromEntries(Object.entries(rows).map(([name, shownWhen]) => [name, { shownWhen }])),
          });
          const tools = given.map((name) => ({ name, inputSchema: {} }));
          const shown = visible(tools, { worktree } as Context, policy);
          expect(shown).toEqual(
            tools.filter((tool) => worktree === "isolated" || rows[tool.name] !== "isolated-worktree"),
          );
        },
      ),
    );
  });
});

const workspacePolicy = parsePolicy({ tools: { beta: { shownWhen: "isolated-worktree" } } });

describe("the second gate", () => {
  test("P3: [P3.2] a hidden tool called by name is refused with the reason and never forwarded", async () => {
    const { upstream, endpoint } = await stage({ policy: workspacePolicy });
    expect(await listed(endpoint)).toEqual(["alpha"]);
    const { json } = await post(endpoint, "modern", { method: "tools/call", params: { name: "beta" } });
    expect(json).toMatchObject({ result: { isError: true } });
    expect(JSON.stringify(json)).toContain(
      "refused: beta is not available now: it needs an isolated worktree",
    );
    expect(upstream.count("tools/call")).toBe(0);
    endpoint.context = { worktree: "isolated" };
    const later = await post(endpoint, "modern", { method: "tools/call", params: { name: "beta" } });
    expect(JSON.stringify(later.json)).toContain("ran beta");
  });

  test("a static list shows what is in scope and refuses at the call", async () => {
    const { upstream, endpoint } = await stage({ policy: workspacePolicy, staticList: true });
    expect(await listed(endpoint)).toEqual(["alpha", "beta"]);
    const { json } = await post(endpoint, "legacy", { method: "tools/call", params: { name: "beta" } });
    expect(JSON.stringify(json)).toContain("refused: beta");
    expect(upstream.count("tools/call")).toBe(0);
  });

  test("a tool that came meanwhile is found by asking once; one that does not exist is unknown", async () => {
    const { upstream, endpoint } = await stage();
    upstream.tools = named("alpha", "beta", "gamma");
    const found = await post(endpoint, "legacy", { method: "tools/call", params: { name: "gamma" } });
    expect(JSON.stringify(found.json)).toContain("ran gamma");
    const { json } = await post(endpoint, "legacy", { method: "tools/call", params: { name: "nothing" } });
    expect(json).toMatchObject({
      error: { code: -32602, message: expect.stringMatching(/^Unknown tool: nothing\. Available now: /) },
    });
  });
});

describe("list changes", () => {
  test("[P3.12] reach the GET stream and the subscription once, and only when what is shown has changed", async () => {
    const { upstream, endpoint } = await stage({ policy: workspacePolicy });
    const headers = await openSession(endpoint);
    await listed(endpoint, headers);
    await post(endpoint, "modern", { method: "tools/list" });
    const legacy = await follow(endpoint, get(headers));
    const modern = await follow(endpoint, listen({ toolsListChanged: true }));
    const deaf = await follow(endpoint, listen({ promptsListChanged: true }));
    await until("it is acknowledged", () => modern.messages.length === 1 && deaf.messages.length === 1);
    expect(modern.messages[0]?.message).toEqual({
      jsonrpc: "2.0",
      method: "notifications/subscriptions/acknowledged",
      params: {
        notifications: { toolsListChanged: true },
        _meta: { "io.modelcontextprotocol/subscriptionId": "listen:0" },
      },
    });

    const asked = upstream.count("tools/list");
    endpoint.upstreamListChanged();
    await until("it asked again", () => upstream.count("tools/list") > asked);
    upstream.tools = [...upstream.tools, toolNamed("beta-two", { description: "x" })];
    endpoint.upstreamListChanged();
    await until("both are told", () => legacy.methods().length === 1 && modern.methods().length === 2);
    endpoint.context = { worktree: "isolated" };
    endpoint.contextChanged();
    await until("both are told again", () => legacy.methods().length === 2 && modern.methods().length === 3);
    endpoint.contextChanged();
    await Bun.sleep(50);
    expect(legacy.methods()).toEqual([change, change]);
    expect(modern.methods()).toEqual(["notifications/subscriptions/acknowledged", change, change]);
    expect(modern.messages[1]?.message.params).toEqual({
      _meta: { "io.modelcontextprotocol/subscriptionId": "listen:0" },
    });
    expect(deaf.methods().length).toBe(1);
  });

  test("[P3.12] are told when the stream opens, when they came while it was closed", async () => {
    const { endpoint } = await stage({ policy: workspacePolicy });
    const headers = await openSession(endpoint);
    await listed(endpoint, headers);
    endpoint.context = { worktree: "isolated" };
    endpoint.contextChanged();
    await Bun.sleep(20);
    const first = await follow(endpoint, get(headers));
    await until("it is told", () => first.methods().length === 1);
    first.stop();
    await until("the stream is closed", () => endpoint.status().streams === 0);
    const second = await follow(endpoint, get(headers));
    await until("it has begun", () => second.state.text.includes("\n\n"));
    await Bun.sleep(30);
    expect(second.methods()).toEqual([]);
  });

  test("[P3.12] a session of an earlier run is told what changed in between", async () => {
    const { upstream, endpoint } = await stage();
    const headers = await openSession(endpoint);
    await listed(endpoint, headers);
    await until("it is remembered", () => endpoint.memory.held.has("tools:shown"));
    await endpoint.close();
    upstream.tools = named("alpha");
    const again = await testEndpoint(upstream, { memory: endpoint.memory });
    closers.push(() => again.close());
    const stream = await follow(again, get(headers));
    await until("it is told", () => stream.methods().includes(change));
    expect(stream.methods()).toEqual([change]);
  });

  test("of a foreign upstream arrive by its own stream, in either era", async () => {
    for (const modern of [true, false]) {
      const { upstream, endpoint } = await stage({}, (up) => {
        up.modern = modern;
        up.sessions = !modern;
      });
      await until("the upstream is watched", () => upstream.streams === 1);
      upstream.tools = named("alpha", "beta", "gamma");
      upstream.notify(change);
      await until("it is shown", () => endpoint.status().visibleTools.includes("gamma"));
    }
  });

  test("P1: news of a change is not kept waiting by the pause after earlier failures", async () => {
    const limits = { ...smallLimits, deliveryBackoffBaseMs: 60_000, listRetryCapMs: 60_000 };
    const random = { ...realRandom, fraction: () => 0.9 };
    const { upstream, endpoint } = await stage({ limits, random });
    upstream.fault = ({ method }) =>
      method === "tools/list" ? new Response("not now", { status: 503 }) : undefined;
    for (let failed = 0; failed < 3; failed += 1) await listed(endpoint);
    upstream.fault = () => undefined;
    upstream.tools = named("alpha", "beta", "gamma");
    endpoint.upstreamListChanged();
    await until("it is shown", () => endpoint.status().visibleTools.includes("gamma"));
  });

  test("the subscription ends with its result when the endpoint closes", async () => {
    const { endpoint } = await stage();
    const modern = await follow(endpoint, listen({ toolsListChanged: true }));
    await until("it is acknowledged", () => modern.messages.length === 1);
    await endpoint.close();
    await until("it has ended", () => modern.state.ended);
    expect(modern.messages.at(-1)?.message).toMatchObject({
      id: "listen:0",
      result: { resultType: "complete" },
    });
  });

  test("P1: [P1.9] a lost stream is resumed by event id without losing or repeating a message", async () => {
    const { upstream, endpoint } = await stage();
    const headers = await openSession(endpoint);
    await listed(endpoint, headers);
    const first = await follow(endpoint, get(headers));
    for (const [index, name] of ["x", "y"].entries()) {
      upstream.tools = [...upstream.tools, toolNamed(name)];
      endpoint.upstreamListChanged();
      await until("it is told", () => first.methods().length === index + 1);
    }
    await upstream.stop();
    await listed(endpoint, headers);
    expect({ reach: endpoint.status().upstream.reach, ended: first.state.ended }).toEqual({
      reach: "down",
      ended: false,
    });
    const second = await follow(endpoint, get({ ...headers, "last-event-id": first.messages[0]?.id ?? "" }));
    await until("the rest is there", () => second.messages.length > 0);
    expect(second.messages).toEqual(first.messages.slice(1));
    const third = await follow(endpoint, get({ ...headers, "last-event-id": "up:1" }));
    await until("it has begun", () => third.state.text.includes("id: "));
    expect(third.messages).toEqual([]);
  });

  test("what the upstream says to a legacy session arrives on its stream, under our event ids", async () => {
    const { upstream, endpoint } = await stage({}, (up) => {
      up.modern = false;
      up.sessions = true;
    });
    const headers = await openSession(endpoint);
    const before = upstream.streams;
    const stream = await follow(endpoint, get(headers));
    await until("the upstream has a stream for it", () => upstream.streams === before + 1);
    upstream.notify("notifications/message");
    await until("it has arrived", () => stream.methods().includes("notifications/message"));
    expect(stream.messages.map(({ id }) => id?.split(":")[1])).toEqual(["1"]);
    stream.stop();
    await until("the upstream's stream is ended too", () => upstream.streams === before);
  });

  test("streams say something at once and keep talking", async () => {
    const { endpoint } = await stage();
    const stream = await follow(endpoint, get());
    await until("there are keepalives", () => stream.state.text.split(": \n\n").length > 3);
    expect(stream.response.headers.get("content-type")).toBe("text/event-stream");
    expect(stream.state.text.startsWith(": \n\n")).toBe(true);
  });
});

test("other lists: last known in an outage, empty before any answer", async () => {
  const { upstream, endpoint } = await stage();
  const prompts = async () => (await post(endpoint, "modern", { method: "prompts/list" })).json.result;
  expect(await prompts()).toMatchObject({ prompts: [{ name: "hello" }], cacheScope: "private", ttlMs: 0 });
  await upstream.stop();
  expect(await prompts()).toMatchObject({ prompts: [{ name: "hello" }] });
  const { json } = await post(endpoint, "legacy", { method: "resources/list" });
  expect(json).toMatchObject({ result: { resources: [] } });
});

test("two lists with the same names and schemas are the same, whatever their order and words", () => {
  const tool = (name: string, description: string) => ({
    name,
    description,
    inputSchema: { type: "object" },
  });
  const [a, b] = [tool("a", "one"), tool("b", "two")];
  expect(shownFingerprint([a, b])).toBe(shownFingerprint([b, { ...a, description: "other" }]));
  expect(shownFingerprint([a, b])).not.toBe(
    shownFingerprint([a, { ...b, inputSchema: { type: "object", required: ["x"] } }]),
  );
  expect(visible([a, b], { worktree: "none" }, openPolicy)).toEqual([a, b]);
});
