/** Policy files and the delivery of an outbox to a foreign upstream. */
import { afterEach, describe, expect, test } from "bun:test";
import { smallLimits } from "../../test/fixtures/upstreams/endpoint.ts";
import { scriptedUpstream } from "../../test/fixtures/upstreams/scripted.ts";
import { realClock } from "../base/clock.ts";
import { createHttpClient } from "../base/http/client.ts";
import { asId } from "../wire/id.ts";
import type { LaneRecord } from "../wire/lane.ts";
import { DeliveryError } from "../wire/write.ts";
import { upstreamDeliverer } from "./deliver.ts";
import { PolicyError, parsePolicy, relayPolicy } from "./policy.ts";

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test("the relay's policy is the table of its tools", () => {
  const rows = [...relayPolicy().tools].map(([name, { buffered, readOnly }]) => [name, buffered, readOnly]);
  expect(rows).toEqual([
    ["relay_send_message", true, false],
    ["relay_reply", true, false],
    ["relay_check_messages", false, true],
    ["relay_get_thread", false, true],
    ["relay_search_messages", false, true],
    ["relay_message_status", false, true],
    ["relay_operation_status", false, true],
    ["relay_join_channel", false, false],
    ["relay_leave_channel", false, false],
    ["relay_list_channels", false, true],
    ["relay_list_agents", false, true],
    ["relay_outstanding", false, true],
    ["relay_decline", false, false],
  ]);
});

test.each<[unknown, string]>([
  [7, "$: is 7, wanted an object"],
  [{ tool: {} }, "$.tool: is not known; wanted one of $schema, tools, limits"],
  [{ tools: { a: { buffered: true } } }, '$.tools["a"].buffered: a buffered tool needs "key"'],
  [{ tools: { a: { buffered: 1 } } }, '$.tools["a"].buffered: is 1, wanted true or false'],
  [{ tools: { a: { key: "body" } } }, '$.tools["a"].key: is "body", wanted "header", {"argument": name}'],
  [
    { tools: { a: { shownWhen: "now" } } },
    '$.tools["a"].shownWhen: is "now", wanted one of always, isolated-worktree',
  ],
  [
    { tools: { a: { timeoutMs: -1 } } },
    '$.tools["a"].timeoutMs: is -1, wanted a whole number from 1 to 290000',
  ],
  [
    { limits: { writeWaitMs: 99_999 } },
    "$.limits.writeWaitMs: is 99999, wanted a whole number from 1 to 5000",
  ],
  [{ limits: { streamsMax: 1 } }, "$.limits.streamsMax: is not known; wanted one of upstreamCallMs, "],
])("a policy file %j is refused with its path", (json, words) => {
  expect(() => parsePolicy(json)).toThrow(PolicyError);
  expect(() => parsePolicy(json)).toThrow(words);
});

const record = (tool: string, key: string): LaneRecord => ({
  key: asId(key),
  messageId: "0198c0de-0000-7000-8000-000000000001",
  tool,
  arguments: { text: "hi" },
  enqueuedAt: new Date(0).toISOString(),
});

function stage() {
  const upstream = scriptedUpstream();
  const client = createHttpClient({ origin: upstream.origin, clock: realClock, limits: smallLimits });
  closers.push(
    () => upstream.stop(),
    () => client.close(),
  );
  const policy = parsePolicy({
    tools: {
      arg: { buffered: true, key: { argument: "key" } },
      meta: { buffered: true, key: { meta: "x/key" } },
      head: { buffered: true, key: "header" },
    },
  });
  const deliverer = upstreamDeliverer({
    upstream: { client, path: upstream.path, credential: () => undefined, refresh: async () => false },
    policy,
    context: () => ({ worktree: "none" }),
    limits: smallLimits,
    clock: realClock,
  });
  const deliver = (...records: LaneRecord[]) => deliverer.deliver(records, 1, new AbortController().signal);
  return { upstream, deliverer, deliver };
}

describe.each(["modern", "legacy"])("delivery to a %s upstream", (era) => {
  test("P2: each record is one call with its key in its place", async () => {
    const { upstream, deliver } = stage();
    upstream.modern = era === "modern";
    upstream.sessions = true;
    const outcomes = await deliver(record("arg", "k1"), record("meta", "k2"), record("head", "k3"));
    expect(outcomes.map(({ status, key }) => [status, key])).toEqual([
      ["committed", "k1"],
      ["committed", "k2"],
      ["committed", "k3"],
    ]);
    const calls = upstream.seen.filter(({ method }) => method === "tools/call");
    expect(calls[0]?.body.params).toMatchObject({ name: "arg", arguments: { text: "hi", key: "k1" } });
    expect(calls[1]?.body.params).toMatchObject({ arguments: { text: "hi" }, _meta: { "x/key": "k2" } });
    expect(calls[2]?.headers.get("idempotency-key")).toBe("k3");
  });

  test("a refusal is the record's, an outage is the batch's", async () => {
    const { upstream, deliver } = stage();
    upstream.modern = era === "modern";
    upstream.results.set("arg", () => ({ content: [{ type: "text", text: "no room" }], isError: true }));
    expect(await deliver(record("arg", "k1"))).toEqual([
      { status: "rejected", key: "k1", code: "bad_request", detail: "no room" },
    ]);
    upstream.fault = ({ method, body }) =>
      method === "tools/call" && JSON.stringify(body).includes('"head"')
        ? new Response("", { status: 503 })
        : undefined;
    const outcomes = await deliver(record("meta", "k2"), record("head", "k3"), record("meta", "k4"));
    expect(outcomes.map(({ status }) => status)).toEqual(["committed", "deferred", "deferred"]);
    const alone = deliver(record("head", "k3"));
    await expect(alone).rejects.toBeInstanceOf(DeliveryError);
    await expect(alone).rejects.toMatchObject({ kind: "unreachable", sent: "unknown" });
  });

  test.each([
    [401, "unauthorized"],
    [429, "overloaded"],
  ])("HTTP %d is %s", async (status, kind) => {
    const { upstream, deliver } = stage();
    upstream.modern = era === "modern";
    upstream.fault = ({ method }) => (method === "tools/call" ? new Response("", { status }) : undefined);
    await expect(deliver(record("arg", "k"))).rejects.toMatchObject({ kind, sent: "no" });
  });
});

test("P5: an upstream that is gone is known to have got nothing", async () => {
  const { upstream, deliver, deliverer } = stage();
  const { signal } = new AbortController();
  expect(await deliverer.probe(signal)).toBe(true);
  await upstream.stop();
  expect(await deliverer.probe(signal)).toBe(false);
  await expect(deliver(record("arg", "k"))).rejects.toMatchObject({ kind: "unreachable", sent: "no" });
});
