/** What becomes of a write, as pure decisions. Their effects are tested with every store. */
import { describe, expect, test } from "bun:test";
import { limits } from "../limits.ts";
import { type AgentId, asId, type IdempotencyKey, type MessageId, type ThreadId } from "../wire/id.ts";
import type { LaneOutcome } from "../wire/lane.ts";
import { toolTable } from "../wire/tools.ts";
import {
  committedOutcome,
  decideWrite,
  isRemembered,
  type ReadWrite,
  readWrite,
  rejectedOutcome,
  rememberedOutcome,
  type WriteFacts,
  writeFingerprint,
} from "./rules.ts";
import type { Write } from "./store.ts";

const uuid = (n: number) => `0190a000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const now = 1_800_000_000_000;
const rights = { scopes: ["message:send"], keyWindowMs: 1_000 } as const;
const ada = { id: asId<AgentId>(uuid(1)), name: "ada" };
const bob = { id: asId<AgentId>(uuid(2)), name: "bob" };
const thread = asId<ThreadId>(uuid(7));

const write = (over: Partial<Write> = {}): Write => ({
  key: asId<IdempotencyKey>("k1"),
  messageId: asId<MessageId>(uuid(9)),
  tool: "relay_send_message",
  arguments: { to: "bob", body: "hello" },
  enqueuedAt: new Date(now).toISOString(),
  ...over,
});
const reply = (over: Partial<Write> = {}): Write =>
  write({ tool: "relay_reply", arguments: { messageId: uuid(5), body: "yes" }, ...over });
const facts = (over: Partial<WriteFacts> = {}): WriteFacts => ({
  sender: ada.id,
  messageIdTaken: false,
  recipients: [bob],
  parent: undefined,
  forwarded: undefined,
  brakes: undefined,
  ...over,
});
const parent = { sender: bob, threadId: thread, received: true, obligation: "none" } as const;

function read(from: Write): ReadWrite {
  const result = readWrite(from, rights, now);
  if (result.status !== "read") throw new Error(result.detail);
  return result;
}
const decide = (from: Write, known: WriteFacts) => decideWrite(from, read(from), known);

describe("reading a write", () => {
  test("takes from a message its recipient and thread", () => {
    const from = write({ arguments: { to: "bob", body: "x", threadId: thread, expectsReply: true } });
    expect(read(from)).toEqual({
      status: "read",
      tool: "relay_send_message",
      body: "x",
      expectsReply: true,
      replyBy: undefined,
      priority: "normal",
      audience: "one",
      parentId: undefined,
      forwardOf: undefined,
      to: "bob",
      threadId: thread,
    });
  });

  test("takes from a reply its parent and what the record says of it", () => {
    expect(read(reply())).toMatchObject({ parentId: asId(uuid(5)), to: undefined, threadId: undefined });
    expect(read(reply({ parent: { from: "bob", threadId: thread } }))).toMatchObject({
      parentId: asId(uuid(5)),
      to: "bob",
      threadId: thread,
    });
  });

  test("its age is judged to the millisecond, and a clock that runs ahead is no fault", () => {
    const aged = (ms: number) =>
      readWrite(write({ enqueuedAt: new Date(now - ms).toISOString() }), rights, now);
    expect(aged(1_000)).toMatchObject({ status: "read" });
    expect(aged(1_001)).toMatchObject({ status: "rejected", code: "key_expired" });
    expect(aged(-60_000)).toMatchObject({ status: "read" });
  });

  test("every buffered tool of the table is known, and no other", () => {
    for (const [tool, row] of Object.entries(toolTable)) {
      const detail = readWrite(write({ tool, arguments: {} }), rights, now);
      const notBuffered = expect.stringContaining(`the tool is "${tool}"`);
      expect(detail).toMatchObject({
        code: "bad_request",
        detail: row.buffered ? expect.not.stringContaining("the tool is") : notBuffered,
      });
    }
  });

  test("the scope is asked before the arguments", () => {
    const result = readWrite(write({ arguments: {} }), { ...rights, scopes: ["message:read"] }, now);
    expect(result).toMatchObject({ code: "forbidden", detail: expect.stringContaining("message:send") });
  });
});

describe("a write to many", () => {
  const broadcast = { ...rights, scopes: ["message:send", "message:broadcast"] } as const;
  const eve = { id: asId<AgentId>(uuid(3)), name: "eve" };
  const to = (name: string, over: Record<string, unknown> = {}) =>
    write({ arguments: { to: name, body: "x", ...over } });
  const readMany = (from: Write) => readWrite(from, broadcast, now) as ReadWrite;
  const decideMany = (from: Write, known: Partial<WriteFacts>) =>
    decideWrite(from, readMany(from), facts(known));

  test("a channel, everyone and one agent are told apart by the name alone", () => {
    const names = ["#build", "@all", "bob", "#", "#Build", "@everyone"];
    expect(names.map((name) => readMany(to(name)).audience)).toEqual([
      "channel",
      "everyone",
      "one",
      "one",
      "one",
      "one",
    ]);
  });

  test("[P3.7] needs the scope message:broadcast, which one recipient does not", () => {
    for (const name of ["#build", "@all"])
      expect(readWrite(to(name), rights, now)).toMatchObject({
        code: "forbidden",
        detail: `relay_send_message to "${name}" needs the scope message:broadcast, which the sender does not have`,
      });
    expect(readWrite(to("bob"), rights, now)).toMatchObject({ status: "read" });
  });

  test("is one message under the name it was sent to", () => {
    expect(decideMany(to("#build"), { recipients: [bob, eve] })).toMatchObject({
      message: { to: "#build", recipients: [bob, eve], threadId: asId(uuid(9)) },
    });
  });

  test.each([
    ["#build", undefined, "there is no channel of that name; whoever joins it first makes it"],
    ["#build", [], "nobody but you is in that channel"],
    ["@all", [], "there is no other agent"],
  ])("to %s with recipients %p is refused, because nobody would get it", (name, recipients, why) => {
    expect(decideMany(to(name), { recipients })).toEqual({
      status: "rejected",
      code: "recipient_unknown",
      detail: `Send to "${name}": ${why}`,
    });
  });

  test("a reply can be owed by one agent only", () => {
    expect(decideMany(to("@all", { expectsReply: true }), { recipients: [bob] })).toMatchObject({
      code: "bad_request",
      detail: 'Send to "@all": expectsReply is for one agent, this has 1 recipients',
    });
  });

  test("has at most as many recipients as the limit, and as the profile of its sender", () => {
    const many = (count: number) => Array.from({ length: count }, () => bob);
    const brakes = { burst: 1, perMinute: 1, fanOutMax: 2, hopsMax: 8 };
    expect(decideMany(to("@all"), { recipients: many(limits.fanOutMax) })).toMatchObject({
      status: "commit",
    });
    expect(decideMany(to("@all"), { recipients: many(limits.fanOutMax + 1) })).toMatchObject({
      code: "too_many_recipients",
      detail: `Send to "@all": it has more than ${limits.fanOutMax} recipients, which is the most`,
    });
    expect(decideMany(to("#c"), { recipients: many(2), brakes })).toMatchObject({ status: "commit" });
    expect(decideMany(to("#c"), { recipients: many(3), brakes })).toMatchObject({
      code: "too_many_recipients",
    });
  });

  test("a stable id that came with a name of many is not compared with anybody", () => {
    expect(decideMany({ ...to("#build"), recipientId: uuid(3) }, { recipients: [bob, eve] })).toMatchObject({
      status: "commit",
    });
  });
});

describe("passing on", () => {
  const brakes = { burst: 1, perMinute: 1, fanOutMax: 500, hopsMax: 8 };
  const forward = write({ arguments: { to: "bob", body: "see this", forwardOf: uuid(5) } });

  test("counts one hop more than what is passed on", () => {
    expect(decide(forward, facts({ forwarded: { hops: 0 } }))).toMatchObject({
      message: { hops: 1, forwardOf: asId(uuid(5)), replyTo: undefined },
    });
    expect(decide(forward, facts({ forwarded: { hops: 7 }, brakes }))).toMatchObject({
      message: { hops: 8 },
    });
  });

  test("is refused beyond the hops of the sender's profile", () => {
    expect(decide(forward, facts({ forwarded: { hops: 8 }, brakes }))).toMatchObject({
      status: "rejected",
      code: "hops_exceeded",
    });
  });

  test("is refused for a message that the sender has neither sent nor got", () => {
    expect(decide(forward, facts())).toEqual({
      status: "rejected",
      code: "parent_unknown",
      detail: `Forward message ${uuid(5)}: it is neither in your inbox nor sent by you`,
    });
  });
});

describe("deciding a write", () => {
  test("a message without a thread begins one with its own id", () => {
    expect(decide(write(), facts())).toEqual({
      status: "commit",
      message: {
        id: write().messageId,
        sender: ada.id,
        to: "bob",
        recipients: [bob],
        threadId: asId<ThreadId>(uuid(9)),
        replyTo: undefined,
        forwardOf: undefined,
        hops: 0,
        priority: "normal",
        late: false,
        expectsReply: false,
        replyBy: undefined,
        discharges: false,
        trace: undefined,
        body: "hello",
      },
    });
  });

  const obligations = [
    ["none", false, false],
    ["open", false, true],
    ["closed", true, false],
  ] as const;
  for (const [obligation, late, discharges] of obligations) {
    test(`a reply to an obligation that is ${obligation}: late ${late}, discharges ${discharges}`, () => {
      const decision = decide(reply(), facts({ recipients: undefined, parent: { ...parent, obligation } }));
      expect(decision).toMatchObject({
        message: { late, discharges, recipients: [bob], threadId: thread, replyTo: asId(uuid(5)) },
      });
    });
  }

  test("a known parent decides recipient and thread, whatever the record says", () => {
    const from = reply({ parent: { from: "eve", threadId: uuid(8) } });
    expect(decide(from, facts({ parent }))).toMatchObject({
      message: { recipients: [bob], threadId: thread },
    });
  });

  const refused: [string, Write, Partial<WriteFacts>, string][] = [
    ["id taken", write(), { messageIdTaken: true, recipients: undefined }, "id_taken"],
    ["nobody of that name", write(), { recipients: undefined }, "recipient_unknown"],
    ["another holder of the name", write({ recipientId: uuid(3) }), {}, "recipient_replaced"],
    ["unknown parent", reply(), { recipients: undefined }, "parent_unknown"],
    ["own message", reply(), { parent: { ...parent, sender: ada, received: false } }, "bad_request"],
    ["somebody else's message", reply(), { parent: { ...parent, received: false } }, "parent_unknown"],
  ];
  for (const [what, from, known, code] of refused) {
    test(`refused: ${what}`, () => {
      expect(decide(from, facts(known))).toMatchObject({ status: "rejected", code: code as never });
    });
  }

  test("the recipient that was meant is accepted", () => {
    expect(decide(write({ recipientId: bob.id }), facts())).toMatchObject({ status: "commit" });
  });
});

describe("remembering a write", () => {
  test("[P2.7] the fingerprint is of tool and arguments, not of the key or the order of members", () => {
    const print = writeFingerprint(write());
    expect(writeFingerprint(write({ arguments: { body: "hello", idempotencyKey: "k1", to: "bob" } }))).toBe(
      print,
    );
    expect(writeFingerprint(write({ arguments: { to: "bob", body: "hello " } }))).not.toBe(print);
    expect(writeFingerprint(write({ tool: "relay_reply" }))).not.toBe(print);
  });

  test("[P2.7] a remembered outcome is given again, and only a committed one is called replayed", () => {
    const stored = (outcome: LaneOutcome) => rememberedOutcome(write(), { fingerprint: "f", outcome }, "f");
    const committed = committedOutcome(write(), thread);
    const rejected = rejectedOutcome(write(), { status: "rejected", code: "forbidden", detail: "no" });
    expect(stored(committed)).toEqual({ ...committed, replayed: true } as never);
    expect(stored(rejected)).toEqual(rejected);
  });

  test("[P2.7] the same key with another fingerprint is refused", () => {
    const outcome = committedOutcome(write(), thread);
    expect(rememberedOutcome(write(), { fingerprint: "f", outcome }, "g")).toEqual({
      status: "rejected",
      key: write().key,
      code: "key_reused",
      detail: 'Apply a write: the key "k1" was used with another tool or arguments',
    });
  });

  test("all that is final is remembered, but a record that is too old leaves its key free", () => {
    const rejected = (code: "forbidden" | "key_expired") =>
      isRemembered({ status: "rejected", key: "k1", code, detail: "" });
    expect(isRemembered(committedOutcome(write(), thread))).toBe(true);
    expect(rejected("forbidden")).toBe(true);
    expect(rejected("key_expired")).toBe(false);
    expect(isRemembered({ status: "deferred", key: "k1", code: "internal", detail: "" })).toBe(false);
  });
});
