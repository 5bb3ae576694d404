/** What becomes of a write, as pure decisions. Their effects are tested with every store. */
import { describe, expect, test } from "bun:test";
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
  recipient: bob,
  parent: undefined,
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
      parentId: undefined,
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

describe("deciding a write", () => {
  test("a message without a thread begins one with its own id", () => {
    expect(decide(write(), facts())).toEqual({
      status: "commit",
      message: {
        id: write().messageId,
        sender: ada.id,
        recipient: bob,
        threadId: asId<ThreadId>(uuid(9)),
        replyTo: undefined,
        late: false,
        expectsReply: false,
        discharges: false,
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
      const decision = decide(reply(), facts({ recipient: undefined, parent: { ...parent, obligation } }));
      expect(decision).toMatchObject({
        message: { late, discharges, recipient: bob, threadId: thread, replyTo: asId(uuid(5)) },
      });
    });
  }

  test("a known parent decides recipient and thread, whatever the record says", () => {
    const from = reply({ parent: { from: "eve", threadId: uuid(8) } });
    expect(decide(from, facts({ parent }))).toMatchObject({ message: { recipient: bob, threadId: thread } });
  });

  const refused: [string, Write, Partial<WriteFacts>, string][] = [
    ["id taken", write(), { messageIdTaken: true, recipient: undefined }, "id_taken"],
    ["nobody of that name", write(), { recipient: undefined }, "recipient_unknown"],
    ["another holder of the name", write({ recipientId: uuid(3) }), {}, "recipient_replaced"],
    ["unknown parent", reply(), { recipient: undefined }, "parent_unknown"],
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
