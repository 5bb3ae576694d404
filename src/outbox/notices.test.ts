/** The words of notices, and how long a notice stays. */
import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { noticeReasons, noticeSchema } from "../wire/receipt.ts";
import { excerptOf, noticeBoard, noticeOf, noticeTexts } from "./notices.ts";
import type { NoticeRow } from "./rows.ts";

const row: NoticeRow = {
  seq: 1,
  recordId: 10,
  reason: "rejected",
  tool: "relay_send_message",
  key: "k",
  messageId: "01900000-0000-7000-8000-000000000000",
  to: "bob",
  excerpt: "hello",
  detail: "recipient_unknown: no agent bob",
  enqueuedAt: 0,
  endedAt: 1_000,
  more: 0,
};
const board = () => {
  const clock = new VirtualClock(0);
  return { clock, board: noticeBoard({ storeId: "s", limits: { reissueWindowMs: 120_000 }, clock }) };
};

describe("P5: the words", () => {
  test("are there for every reason and are never the same twice", () => {
    const texts = noticeReasons.map((reason) => noticeTexts[reason]);
    expect(new Set(texts).size).toBe(noticeReasons.length);
  });

  test("say of a rejected write that it has no effect, of an unknown one that it may have one", () => {
    expect(noticeTexts.rejected).toBe(
      "The relay refused this write permanently: it has no effect and nobody got it. " +
        "Read the detail; when it still matters, correct it and make a new call.",
    );
    expect(noticeTexts.unknown).toBe(
      "This write was given up after an attempt whose outcome was never learned: it may or may not have taken effect. " +
        "Check before doing it again.",
    );
  });

  test("fit the schema, and a notice has the same id on every reading", () => {
    expect(noticeSchema.parse(noticeOf(row, "s"))).toEqual(noticeOf(row, "s"));
    expect(noticeOf(row, "other").id).not.toBe(noticeOf(row, "s").id);
  });

  test("count the writes that had no room for a notice of their own", () => {
    expect(noticeOf({ ...row, more: 3 }, "s").text).toContain("3 further writes");
  });

  test("show 200 characters, none of them halved or forging", () => {
    expect(excerptOf({ body: "😀".repeat(300) }, "{}")).toBe("😀".repeat(200));
    expect(excerptOf({ body: "a\u001b[31m" }, "{}")).toBe("a\ufffd[31m");
    expect(excerptOf({ state: "ready" }, '{"state":"ready"}')).toBe('{"state":"ready"}');
  });
});

describe("O11 [P5.5] a notice", () => {
  test("stays until it is taken off, oldest first", () => {
    const { board: b } = board();
    b.add([row, { ...row, seq: 2, recordId: 11 }]);
    const ids = b.pending().map(({ id }) => id);
    expect(ids).toEqual([noticeOf(row, "s").id, noticeOf({ ...row, seq: 2 }, "s").id]);
    expect(b.take([ids[0] ?? ""])).toEqual([1]);
    expect(b.pending().map(({ id }) => id)).toEqual(ids.slice(1));
  });

  test("is not shown beside the answer that says the same, and is gone once that was seen", () => {
    const { board: b } = board();
    b.hold(10, "one");
    b.add([row]);
    expect(b.pending()).toEqual([]);
    b.answered(10, "one");
    expect(b.seen("other")).toEqual([]);
    expect(b.seen("one")).toEqual([1]);
    expect(b.pending()).toEqual([]);
  });

  test("is gone also when the answer was seen before the notice was stored", () => {
    const { board: b } = board();
    b.hold(10, "one");
    b.answered(10, "one");
    b.seen("one");
    expect(b.add([row])).toEqual([1]);
    expect(b.pending()).toEqual([]);
  });

  test("appears when the answer that said the same never left", () => {
    const { board: b } = board();
    b.hold(10, "one");
    b.add([row]);
    expect(b.seen("one")).toEqual([]);
    expect(b.pending()).toHaveLength(1);
  });

  test("appears when the session of that answer never came back", () => {
    const { board: b, clock } = board();
    b.hold(10, "one");
    b.answered(10, "one");
    b.add([row]);
    clock.advance(120_000);
    expect(b.pending()).toHaveLength(1);
  });
});
