/** Groups of calls on a real file: ids, what a group sees of itself, what it leaves when it is undone, and the marks. */
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newRecordOf } from "../../test/fixtures/outbox/new-record.ts";
import { VirtualClock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import { asId } from "../wire/id.ts";
import { realDisk } from "./disk.ts";
import { Engine } from "./engine.ts";
import { Marks } from "./marks.ts";
import { newLife } from "./record.ts";
import type { EnqueueReply, NewRecord } from "./rows.ts";
import { storeLimits } from "./store.ts";

const now = 1_700_000_000_000;
let dir = "";
let clock = new VirtualClock(now);
let engine = new Engine();
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "outbox-engine-"));
  load();
});
afterEach(() => {
  engine.methods.close({});
  engine.runTogether([]);
  rmSync(dir, { recursive: true, force: true });
});

/** A new engine opens the folder. */
function load() {
  clock = new VirtualClock(now);
  engine = new Engine(realDisk, clock);
  const owner = { dir, relayId: "relay", agentId: "agent", newStoreId: "store", pid: 1, now };
  const small = { ...storeLimits(limits), reserveBytes: 64 * 1_024 };
  return engine.methods.load({ ...owner, limits: small, discard: { afterId: 0, keys: [] } });
}

function newRecord(count: number, over: Partial<NewRecord> = {}): NewRecord {
  return newRecordOf(`key-${count}`, `body ${count}`, { now: now + count, ...over });
}

/** One transaction; what each call answered. */
function together<Value>(...works: (() => Value)[]): Value[] {
  const values: Value[] = [];
  engine.runTogether(works.map((work) => () => void values.push(work())));
  return values;
}
const put = (record: NewRecord) => () => engine.methods.enqueue(record) as EnqueueReply;
const rows = () =>
  together(() => engine.methods.list({ limit: 1_000, expiryMs: 0 }))
    .flat()
    .map(({ id, key }) => `${id} ${key}`);

test("a group of any size is in the file in its order, each row with the id that it was answered", () => {
  let next = 1;
  for (const size of [1, 3, 4, 5, 16, 23, 70]) {
    const records = Array.from({ length: size }, (_, n) => newRecord(next + n));
    const wanted = records.map((_, n) => ({ status: "stored", id: next + n }));
    expect(together(...records.map(put))).toEqual(wanted as EnqueueReply[]);
    next += size;
  }
  expect(rows()).toEqual(Array.from({ length: next - 1 }, (_, n) => `${n + 1} key-${n + 1}`));
});

test("O9 [P2.7]: a call finds what its own group has stored: by its key, by its text, and to change it", () => {
  const same = { fingerprint: "equal", now };
  const answers = together<unknown>(
    put(newRecord(1, { origin: "own" })),
    put(newRecord(1, { origin: "own" })),
    put(newRecord(2, same)),
    put(newRecord(3, same)),
    () => engine.methods.mark({ ids: [1] }),
    () => engine.methods.find({ id: 1 }),
    put(newRecord(4)),
  );
  expect(answers).toMatchObject([
    { status: "stored", id: 1 },
    { status: "known", record: { id: 1 } },
    { status: "stored", id: 2 },
    { status: "known", record: { id: 2 } },
    undefined,
    { id: 1, state: "sending" },
    { status: "stored", id: 3 },
  ]);
});

test("O12: an undone group leaves nothing, and its ids are given again", () => {
  together(put(newRecord(1)));
  const fails = () => {
    engine.methods.enqueue(newRecord(1, { fingerprint: "another" }));
  };
  expect(() => together<unknown>(put(newRecord(2)), fails)).toThrow("UNIQUE");
  expect(load()).toMatchObject({ status: "opened", lastId: 1 });
  expect(together(put(newRecord(3)))).toEqual([{ status: "stored", id: 2 }]);
});

test("an id follows one that a person's retry has taken", () => {
  together(put(newRecord(1)));
  const life = { ...newLife, state: "dropped" as const };
  const changes = [{ id: 1, life, end: { at: now, result: undefined, notice: undefined } }];
  together(() => engine.methods.save({ changes, seenRecords: [], seenNotices: [], now }));
  const retry = {
    id: 1,
    key: asId<NewRecord["key"]>("again"),
    messageId: asId<NewRecord["messageId"]>("m"),
    now,
  };
  together<unknown>(put(newRecord(2)), () => engine.methods.retry(retry), put(newRecord(3)));
  expect(rows().toSorted()).toEqual(["1 key-1", "2 key-2", "3 again", "4 key-3"]);
});

test("the marks of all commits of a moment are flushed once, and soon after the first", async () => {
  const flush = spyOn(Marks.prototype, "flush");
  try {
    together(put(newRecord(1)));
    together(put(newRecord(2)));
    await clock.advance(limits.marksLingerMs - 1);
    expect(flush).toHaveBeenCalledTimes(0);
    await clock.advance(1);
    expect(flush).toHaveBeenCalledTimes(1);
    await clock.advance(60_000);
    together(() => engine.methods.mark({ ids: [1] }));
    await clock.advance(60_000);
    expect(flush).toHaveBeenCalledTimes(1);
    together(put(newRecord(3)));
    await clock.advance(limits.marksLingerMs);
    expect(flush).toHaveBeenCalledTimes(2);
  } finally {
    flush.mockRestore();
  }
});

test("marks that cannot be flushed close the file: the next call is refused, and opening goes on", async () => {
  const flush = spyOn(Marks.prototype, "flush").mockImplementation(() => {
    throw new Error("EIO");
  });
  together(put(newRecord(1)));
  await clock.advance(limits.marksLingerMs);
  flush.mockRestore();
  expect(() => engine.methods.enqueue(newRecord(2))).toThrow("the file is not open");
  expect(load()).toMatchObject({ status: "opened", records: [{ key: "key-1" }] });
});
