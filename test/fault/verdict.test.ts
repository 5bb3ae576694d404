/** The judge of demo and fault test must see every kind of fault: each is planted here into a clean story. */
import { describe, expect, test } from "bun:test";
import { bodyOf, type LedgerLine, parseLedger, progressOf } from "../../examples/demo/ledger.ts";
import { judge, type Party, type StoredMessage } from "../../examples/demo/verdict.ts";

const count = 6;
const outage = { fromMs: 300, toMs: 500 };

/** A clean ledger: message n begins at n × 100 ms, is answered 10 ms later, and is queued in the outage. */
function cleanLedger(sender: string): LedgerLine[] {
  const peer = sender === "alice" ? "bob" : "alice";
  const run = `${sender}-1`;
  const lines: LedgerLine[] = [{ type: "start", at: 1, run, pid: 1, protocol: "2026-07-28", tools: [] }];
  for (let n = 1; n <= count; n++) {
    const at = n * 100;
    const delivery = at > outage.fromMs && at < outage.toMs ? "queued" : "sent";
    lines.push(
      { type: "intent", at: at, run, n, key: `${sender}-${n}` },
      { type: "told", at: at + 10, run, n, delivery, messageId: `${sender}-id-${n}`, validated: true },
      { type: "read", at: at + 20, run, ...stored(peer, n) },
    );
  }
  return [...lines, { type: "done", at: 900, run }];
}

function stored(sender: string, n: number): StoredMessage {
  return { id: `${sender}-id-${n}`, seq: n, from: sender, body: bodyOf(n, count, sender) };
}

function cleanInbox(sender: string): StoredMessage[] {
  return Array.from({ length: count }, (_, index) => stored(sender, index + 1));
}

/** The clean story with changes to alice (sender) and bob (recipient). */
function judged(changes: { alice?: Partial<Party>; bob?: Partial<Party> }) {
  const alice = { name: "alice", ledger: cleanLedger("alice"), inbox: cleanInbox("bob"), runnerAway: [] };
  const bob = { name: "bob", ledger: cleanLedger("bob"), inbox: cleanInbox("alice"), runnerAway: [] };
  return judge({
    count,
    outage,
    parties: [
      { ...alice, ...changes.alice },
      { ...bob, ...changes.bob },
    ],
  });
}

/** The flow from alice to bob, and the words of all faults. */
function planted(changes: { alice?: Partial<Party>; bob?: Partial<Party> }) {
  const verdict = judged(changes);
  return { ok: verdict.ok, flow: verdict.flows[0], conduct: verdict.conduct, faults: verdict.faults };
}

const without = (lines: LedgerLine[], type: string, n: number) =>
  lines.filter((line) => !(line.type === type && "n" in line && line.n === n));
const withoutRead = (lines: LedgerLine[], seq: number) =>
  lines.filter((line) => !(line.type === "read" && line.seq === seq));
const edited = (lines: LedgerLine[], type: string, n: number, change: Partial<LedgerLine>) =>
  lines.map((line) =>
    line.type === type && "n" in line && line.n === n ? ({ ...line, ...change } as LedgerLine) : line,
  );

describe("the verdict", () => {
  test("a clean story is clean", () => {
    const verdict = judged({});
    expect(verdict.faults).toEqual([]);
    expect(verdict.flows[0]).toEqual({
      from: "alice",
      to: "bob",
      sent: 6,
      committed: 6,
      read: 6,
      lost: 0,
      doubled: 0,
      outOfOrder: 0,
      phantom: 0,
      untrue: 0,
    });
    expect(verdict.conduct[0]).toMatchObject({ outageCalls: 1, outageQueued: 1, starts: 1 });
  });

  test("a message that never reached the relay is lost", () => {
    const found = planted({ bob: { inbox: cleanInbox("alice").filter(({ seq }) => seq !== 4) } });
    expect(found.flow).toMatchObject({ lost: 1, committed: 5 });
    expect(found.ok).toBe(false);
  });

  test("a message that the recipient never read is lost", () => {
    const found = planted({ bob: { ledger: withoutRead(cleanLedger("bob"), 4) } });
    expect(found.flow).toMatchObject({ lost: 1, committed: 6, read: 5 });
  });

  test("a second copy at the relay is doubled, also when only one was read", () => {
    const found = planted({
      bob: { inbox: [...cleanInbox("alice"), { ...stored("alice", 2), id: "copy", seq: 7 }] },
    });
    expect(found.flow).toMatchObject({ doubled: 1, lost: 0 });
    expect(found.ok).toBe(false);
  });

  test("a second copy that was read is doubled, and the same place shown again is not", () => {
    const again = (seq: number): LedgerLine => ({
      type: "read",
      at: 890,
      run: "bob-1",
      ...stored("alice", 6),
      seq,
    });
    expect(planted({ bob: { ledger: [...cleanLedger("bob"), again(7)] } }).flow).toMatchObject({
      doubled: 1,
    });
    expect(planted({ bob: { ledger: [...cleanLedger("bob"), again(6)] } }).flow).toMatchObject({
      doubled: 0,
    });
  });

  test("a message behind one begun after its answer is out of order", () => {
    const swapped = cleanInbox("alice").map((row) => ({ ...row, seq: [1, 2, 4, 3, 5, 6][row.seq - 1] ?? 0 }));
    expect(planted({ bob: { inbox: swapped } }).flow).toMatchObject({ outOfOrder: 1, doubled: 0, lost: 0 });
  });

  test("two calls in flight at once may be committed either way round", () => {
    const ledger = cleanLedger("alice");
    const told = ledger.findIndex((line) => line.type === "told" && line.n === 3);
    const [answer] = ledger.splice(told, 1);
    const next = ledger.findIndex((line) => line.type === "told" && line.n === 4);
    const overlapping = [
      ...ledger.slice(0, next),
      ...(answer === undefined ? [] : [answer]),
      ...ledger.slice(next),
    ];
    const swapped = cleanInbox("alice").map((row) => ({ ...row, seq: [1, 2, 4, 3, 5, 6][row.seq - 1] ?? 0 }));
    const found = planted({ alice: { ledger: overlapping }, bob: { inbox: swapped } });
    expect(found.flow).toMatchObject({ outOfOrder: 0 });
  });

  test("a recipient that reads backwards is out of order", () => {
    const ledger = cleanLedger("bob");
    const read = ledger.filter((line) => line.type === "read").reverse();
    const rest = ledger.filter((line) => line.type !== "read");
    expect(planted({ bob: { ledger: [...rest, ...read] } }).flow?.outOfOrder).toBeGreaterThan(0);
  });

  test("a message that nobody began, or from another sender, is a phantom", () => {
    const foreign = { ...stored("alice", 3), id: "x", seq: 7, from: "mallory" };
    const invented = { ...stored("alice", 3), id: "y", seq: 8, body: bodyOf(99, count, "alice") };
    const found = planted({ bob: { inbox: [...cleanInbox("alice"), foreign, invented] } });
    expect(found.flow).toMatchObject({ phantom: 2 });
    expect(found.ok).toBe(false);
  });

  test("an id other than the one that was told is untrue", () => {
    const ledger = edited(cleanLedger("alice"), "told", 2, { messageId: "other" } as Partial<LedgerLine>);
    expect(planted({ alice: { ledger } }).flow).toMatchObject({ untrue: 1 });
  });

  test("refused and yet committed is untrue", () => {
    const ledger = edited(cleanLedger("alice"), "told", 2, { delivery: "refused" } as Partial<LedgerLine>);
    expect(planted({ alice: { ledger } }).flow).toMatchObject({ untrue: 1, sent: 5 });
  });

  test("`sent` while the relay was dead is a lie", () => {
    const ledger = edited(cleanLedger("alice"), "told", 4, { delivery: "sent" } as Partial<LedgerLine>);
    const found = planted({ alice: { ledger } });
    expect(found.conduct[0]).toMatchObject({ sentInOutage: 1, outageQueued: 0 });
    expect(found.ok).toBe(false);
  });

  test("an answer in the outage whose form was not checked does not count as queued", () => {
    const ledger = edited(cleanLedger("alice"), "told", 4, { validated: false } as Partial<LedgerLine>);
    expect(planted({ alice: { ledger } }).faults).toContain(
      "alice: 1 calls in the outage were not answered queued",
    );
  });

  test("a call without an answer is a fault, unless its own runner was killed under it", () => {
    const fault: LedgerLine = {
      type: "fault",
      at: 350,
      run: "alice-1",
      kind: "transport",
      action: "send 4",
      text: "reset",
    };
    const ledger = [...cleanLedger("alice"), fault];
    expect(planted({ alice: { ledger } }).faults).toEqual(["alice: transport: send 4: reset"]);
    const runnerAway = [{ fromMs: 340, toMs: 360 }];
    expect(planted({ alice: { ledger, runnerAway } }).faults).toEqual([]);
    const reborn = [...cleanLedger("alice"), { ...fault, run: "alice-2" }];
    expect(planted({ alice: { ledger: reborn, runnerAway } }).ok).toBe(false);
  });

  test("a message to nobody is to be queued and its refusal told", () => {
    const at = { at: 800, run: "alice-1" };
    const stray: LedgerLine = {
      type: "stray",
      ...at,
      to: "carol",
      key: "k",
      delivery: "queued",
      messageId: "m",
    };
    const notice: LedgerLine = { type: "notice", ...at, reason: "rejected", key: "k" };
    const bounced: LedgerLine = {
      type: "bounced",
      ...at,
      messageId: "m",
      via: "relay_check_messages",
      text: "no",
    };
    const judged = (...lines: LedgerLine[]) =>
      planted({ alice: { ledger: [...cleanLedger("alice"), ...lines] } }).ok;
    expect(judged(stray, notice, bounced)).toBe(true);
    expect(judged(stray, notice)).toBe(false);
    expect(judged({ ...stray, delivery: "sent" }, bounced)).toBe(false);
  });

  test("a call that was never answered, a notice, and two agents at once are seen", () => {
    const unanswered = without(cleanLedger("alice"), "told", 6);
    expect(planted({ alice: { ledger: unanswered } }).conduct[0]).toMatchObject({ unanswered: 1 });
    const notice: LedgerLine = { type: "notice", at: 800, run: "alice-1", reason: "rejected", key: "k" };
    expect(planted({ alice: { ledger: [...cleanLedger("alice"), notice] } }).ok).toBe(false);
    const second: LedgerLine = { type: "intent", at: 800, run: "alice-2", n: 6, key: "alice-6" };
    const old: LedgerLine = { type: "away", at: 801, run: "alice-1", text: "" };
    expect(planted({ alice: { ledger: [...cleanLedger("alice"), second, old] } }).conduct[0]).toMatchObject({
      overlaps: 1,
    });
  });
});

describe("a ledger", () => {
  test("a half line at the end is left out, a damaged line in the middle throws", () => {
    const [line] = cleanLedger("alice");
    const text = JSON.stringify(line);
    expect(parseLedger(`${text}\n{"type":"int`)).toHaveLength(1);
    expect(() => parseLedger(`{"type":"int\n${text}\n`)).toThrow();
  });

  test("an intent without an answer is in flight", () => {
    const lines = without(cleanLedger("alice"), "told", 6);
    expect(progressOf(lines)).toEqual({ begun: 6, sent: 4, queued: 1, read: 6, open: [6] });
  });
});
