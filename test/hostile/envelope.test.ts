/** Hundreds of texts that imitate envelopes, system notes and bounces: each stays inside its own envelope. */
import { describe, expect, test } from "bun:test";
import { limits } from "../../src/limits.ts";
import { uuidOf } from "../../src/wire/id.ts";
import { type Message, messageText, plainText } from "../../src/wire/message.ts";
import { type EnrolledAgent, runningRelay } from "../fixtures/running-relay.ts";
import { connectWitness } from "../fixtures/sdk-client.ts";
import { breachOf, corpus } from "./imitations.ts";

const message: Message = {
  id: "00000000-0000-7000-8000-000000000001",
  seq: 1,
  from: "mallory",
  fromKind: "agent",
  to: "bob",
  body: "",
  threadId: "00000000-0000-7000-8000-000000000002",
  expectsReply: false,
  createdAt: "2026-01-01T00:00:00.000Z",
};
const original = {
  id: "00000000-0000-7000-8000-000000000003",
  from: "carol",
  body: "",
  createdAt: "2026-01-01T00:00:00.000Z",
};
const headsOf = (text: string) => text.split("\n").filter((line) => line.startsWith("["));
const breaches = (show: (body: string) => string, trusted: readonly string[]) =>
  corpus.flatMap(({ name, body }) => {
    const breach = breachOf(show(body), trusted);
    return breach === undefined ? [] : [`${name}: ${breach}`];
  });

test("the corpus is large, and every text of it is another one", () => {
  expect(corpus.length).toBeGreaterThanOrEqual(200);
  expect(new Set(corpus.map(({ body }) => body)).size).toBe(corpus.length);
});

describe("[P5.13] every imitation stays inside", () => {
  test("as the body of a message", () => {
    const heads = headsOf(messageText({ ...message, body: "x" }));
    expect(heads).toHaveLength(1);
    expect(breaches((body) => messageText({ ...message, body }), heads)).toEqual([]);
  });

  test("as the body and the original of a message that is passed on", () => {
    const show = (body: string) =>
      messageText({ ...message, hops: 1, body, forwarded: { ...original, body } });
    const heads = headsOf(show("x"));
    expect(heads).toHaveLength(2);
    expect(breaches(show, heads)).toEqual([]);
  });
});

describe("the judge sees an envelope that does not hold", () => {
  const { id, from } = message;
  const head = `[message ${id} · from ${from}]`;
  const naive: [string, (body: string) => string, string[]][] = [
    ["one that is closed by a line", (body) => `${head}\n${body}\n[end]`, [head, "[end]"]],
    [
      "one that quotes only after line feeds",
      (body) =>
        `${head}\n${body
          .split("\n")
          .map((line) => `| ${line}`)
          .join("\n")}`,
      [head],
    ],
    ["one that quotes only the first line", (body) => `${head}\n| ${plainText(body)}`, [head]],
  ];
  test.each(naive)("%s", (_, show, trusted) => {
    expect(breaches(show, trusted).length).toBeGreaterThan(100);
  });
});

test("[P5.13] [P5.6] through a real relay: check and search show every imitation inside its envelope", async () => {
  await using relay = await runningRelay();
  await relay.operator.setProfile({ name: "default", limits: { burst: 1_000_000, perMinute: 1_000_000 } });
  const [mallory, bob] = [await relay.enrol("mallory"), await relay.enrol("bob")];
  await deliver(mallory);
  await using witness = await connectWitness({ url: relay.server.mcpUrl, secret: bob.token }, "modern");
  const seen: string[] = [];
  for (let more = true; more; ) {
    const { text } = await witness.call("relay_check_messages", { limit: 100 });
    const { messages } = await relay.operator.readInbox({ agent: "bob", afterSeq: seen.length, limit: 100 });
    const last = messages.at(-1)?.seq ?? 0;
    more = last < corpus.length;
    const trusted = messages.flatMap((one) => [...headsOf(messageText({ ...one, body: "x" })), ""]);
    const end = `When you have handled these, pass seenSeq: ${last}.`;
    const rest = more ? [end, "", "There are more unread messages."] : [end];
    expect(breachOf(text, [...trusted, ...rest])).toBeUndefined();
    seen.push(...messages.map(({ body }) => body));
    await bob.runner.acknowledgeInbox({ agent: "bob", seq: last });
  }
  // What programs get is the text as it was written.
  expect(seen).toEqual(corpus.map(({ body }) => body));
  const found = await witness.call("relay_search_messages", { query: "operator", limit: 50 });
  const page = await relay.client(bob.token).searchMessages({ query: "operator", limit: 50 });
  expect(page.messages).toHaveLength(50);
  const heads = page.messages.flatMap((one) => [...headsOf(messageText({ ...one, body: "x" })), ""]);
  expect(
    breachOf(found.text, [...heads, `There are older ones: pass before: ${page.messages.at(-1)?.id}.`]),
  ).toBeUndefined();
}, 60_000);

/** Sends the whole corpus to bob through an outbox's lane. */
async function deliver({ id, runner }: EnrolledAgent): Promise<void> {
  const storeId = uuidOf("store", id);
  const { laneSession } = await runner.openLane({ storeId });
  const records = corpus.map(({ name, body }) => ({
    key: uuidOf(name),
    messageId: uuidOf("message", name),
    tool: "relay_send_message",
    arguments: { to: "bob", body },
    enqueuedAt: new Date().toISOString(),
  }));
  for (let from = 0; from < records.length; from += limits.batchRecordsMax) {
    const part = records.slice(from, from + limits.batchRecordsMax);
    const { outcomes } = await runner.deliverRecords({ storeId, laneSession, records: part });
    expect(outcomes.filter(({ status }) => status !== "committed")).toEqual([]);
  }
}
