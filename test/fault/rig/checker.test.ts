/** The checker must see every kind of violation: each is planted here into a clean run. */
import { describe, expect, test } from "bun:test";
import { check, found, type Inbox, type Lane, type StoredMessage } from "./checker.ts";
import { bodyOf, type Line, parseBody } from "./ledger.ts";

const stored = (n: number, change: Partial<StoredMessage> = {}): StoredMessage => ({
  ...{ id: `id-${n}`, seq: n, from: "a", body: bodyOf("a", n) },
  ...change,
});

const told = (n: number, delivery: "sent" | "queued" | "refused" | "rejected" = "sent"): Line => ({
  ...{ type: "told", n, delivery, messageId: `id-${n}`, replayed: false, tookMs: 1 },
});
const intent = (n: number): Line => ({ type: "intent", n });
const notice = (n: number, reason: "rejected" | "unknown" | "dropped"): Line => ({
  ...{ type: "notice", reason, messageId: `id-${n}` },
});

const clean: Line[] = [1, 2, 3].flatMap((n) => [intent(n), told(n)]);
const rows = [1, 2, 3].map((n) => stored(n));

function judged(change: { lane?: Partial<Lane>; inbox?: Partial<Inbox> } = {}) {
  const lane: Lane = { name: "a", ledger: clean, waiting: 0, endedUnsent: [], ...change.lane };
  return found(check([lane], [{ rows, reads: rows, ...change.inbox }]));
}

describe("the checker", () => {
  test("finds nothing in a clean run", () => {
    expect(judged()).toEqual({});
  });

  test("lost: accepted and nowhere, or never read; not when a notice told of it", () => {
    const without = rows.filter(({ seq }) => seq !== 2);
    const ledger = clean.map((line) => (line.type === "told" && line.n === 2 ? told(2, "queued") : line));
    const inbox = { rows: without, reads: without };
    expect(judged({ lane: { ledger }, inbox })).toEqual({ lost: 1 });
    expect(judged({ inbox: { reads: without } })).toEqual({ lost: 1 });
    expect(judged({ lane: { ledger: [...ledger, notice(2, "unknown")] }, inbox })).toEqual({});
  });

  test("doubled: twice at the relay, or read twice", () => {
    const twice = [...rows, stored(2, { id: "other", seq: 4 })];
    expect(judged({ inbox: { rows: twice } })).toEqual({ doubled: 1 });
    expect(judged({ inbox: { reads: [...rows, stored(3, { seq: 4 })] } })).toEqual({ doubled: 1 });
  });

  test("phantom: nobody made it, or not this sender", () => {
    const invented = stored(9, { seq: 4 });
    const foreign = stored(1, { from: "b", seq: 5 });
    const all = [...rows, invented, foreign];
    expect(judged({ inbox: { rows: all, reads: rows } })).toMatchObject({ phantom: 2 });
  });

  test("lies: refused and there, sent and not there, another id, no effect and there", () => {
    const as = (line: Line) => clean.map((own) => (own.type === "told" && own.n === 2 ? line : own));
    const without = rows.filter(({ seq }) => seq !== 2);
    const other = [stored(1), stored(2, { id: "other" }), stored(3)];
    expect(judged({ lane: { ledger: as(told(2, "refused")) } })).toEqual({ lies: 1 });
    expect(judged({ inbox: { rows: without, reads: without } })).toEqual({ lies: 1, lost: 1 });
    expect(judged({ inbox: { rows: other } })).toEqual({ lies: 1 });
    expect(judged({ lane: { ledger: [...clean, notice(2, "dropped")] } })).toEqual({ lies: 1 });
    expect(judged({ lane: { ledger: [...clean, notice(2, "unknown")] } })).toEqual({});
  });

  test("refused once and taken when made again is no lie", () => {
    const ledger = [intent(1), told(1, "refused"), intent(1), told(1), ...clean.slice(2)];
    expect(judged({ lane: { ledger } })).toEqual({});
  });

  test("inversions: behind one that was begun after its answer; not among calls in flight together", () => {
    const swapped = [stored(1, { seq: 2 }), stored(2, { seq: 1 }), stored(3)];
    expect(judged({ inbox: { rows: swapped } })).toEqual({ inversions: 1 });
    const ledger = [intent(1), intent(2), told(1), told(2), intent(3), told(3)];
    expect(judged({ lane: { ledger }, inbox: { rows: swapped } })).toEqual({});
  });

  test("stuck: records that still wait", () => {
    expect(judged({ lane: { waiting: 2 } })).toEqual({ stuck: 1 });
  });

  test("unshown: a record that ended and nobody was told of", () => {
    expect(judged({ lane: { endedUnsent: ["id-9"] } })).toEqual({ unshown: 1 });
    expect(judged({ lane: { endedUnsent: ["id-9"], ledger: [...clean, notice(9, "rejected")] } })).toEqual(
      {},
    );
  });

  test("a body names its lane and number, with or without padding", () => {
    expect(parseBody(bodyOf("lane-1", 12, "xxx"))).toEqual({ lane: "lane-1", n: 12 });
    expect(parseBody(bodyOf("lane-1", 12))).toEqual({ lane: "lane-1", n: 12 });
    expect(parseBody("rig lane-1 12x")).toBeUndefined();
  });
});
