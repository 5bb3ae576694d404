/** Damaged stores: nothing that was accepted is missing in silence, what is good goes on, and opening never fails. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newRecordOf } from "../../test/fixtures/outbox/new-record.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { uuidOf } from "../wire/id.ts";
import type { Disk } from "./disk.ts";
import { Engine } from "./engine.ts";
import { NewRows } from "./new-rows.ts";
import { inspectFile } from "./open-file.ts";
import { newLife } from "./record.ts";
import type { LoadReply, NewRecord } from "./rows.ts";
import { migrate } from "./schema.ts";
import { storeLimits } from "./store.ts";
import { prepareVerbs } from "./verbs.ts";

const left: string[] = [];
afterEach(() => {
  for (const dir of left.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "outbox-damage-"));
  left.push(dir);
  return dir;
}

const now = 1_700_000_000_000;
type Opened = Extract<LoadReply, { status: "opened" }>;

/** The engine on a folder, without a worker around it. */
function openEngine(dir: string, disk?: Disk, agentId = "agent") {
  const engine = disk === undefined ? new Engine() : new Engine(disk);
  const request = {
    ...{ dir, relayId: "relay", agentId, newStoreId: uuidOf(dir), pid: 1, now },
    ...{ limits: { ...storeLimits(limits), reserveBytes: 64 * 1_024 }, discard: { afterId: 0, keys: [] } },
  };
  const reply = engine.methods.load(request) as Opened;
  const together = <Value>(...works: (() => Value)[]): Value[] => {
    const values: Value[] = [];
    engine.runTogether(works.map((work) => () => void values.push(work())));
    return values;
  };
  const close = () => {
    engine.methods.close({});
    engine.runTogether([]);
  };
  return { engine, reply, together, close };
}

function newRecord(count: number): NewRecord {
  return newRecordOf(`key-${count}`, `body ${count} ${"x".repeat(500)}`, { now: now + count });
}

/** A folder as a killed owner leaves it: `count` writes accepted, one commit each, the log not checkpointed. */
function killed(count: number): string {
  const dir = folder();
  const { engine, together } = openEngine(dir);
  for (let n = 1; n <= count; n += 1) together(() => engine.methods.enqueue(newRecord(n)));
  const image = folder();
  cpSync(dir, image, { recursive: true });
  return image;
}

const keysOf = (reply: Opened) => reply.records.map(({ key }) => String(key));
const lostOf = (reply: Opened) =>
  reply.notices.filter(({ reason }) => reason === "damaged").map(({ key }) => key);
const allKeys = (count: number) => Array.from({ length: count }, (_, index) => `key-${index + 1}`);

function flip(path: string, at: number, mask = 0x10): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ mask;
  writeFileSync(path, bytes);
}

describe("O16 [P2.16]: accepted writes that a damaged file has lost", () => {
  test("an index that does not fit its table is found out: else a known key would be taken as new", () => {
    const dir = killed(5);
    const path = join(dir, "outbox.sqlite");
    const database = new Database(path);
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
    const { page } = database
      .query("SELECT rootpage AS page FROM sqlite_schema WHERE name = 'sqlite_autoindex_records_1'")
      .get() as { page: number };
    const { size } = database.query("SELECT page_size AS size FROM pragma_page_size").get() as {
      size: number;
    };
    database.close(true);
    const bytes = readFileSync(path);
    const at = bytes.indexOf("key-3", (page - 1) * size);
    expect(at).toBeLessThan(page * size);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const { reply, close } = openEngine(dir);
    expect(reply.damage?.why).toContain("SQLite finds it damaged");
    expect(keysOf(reply)).toEqual(allKeys(5));
    expect(lostOf(reply)).toEqual([]);
    close();
  });

  test("are noticed when a flipped bit makes SQLite drop the end of its log in silence", () => {
    const dir = killed(40);
    const wal = join(dir, "outbox.sqlite-wal");
    flip(wal, Math.floor(statSync(wal).size / 2));
    const { reply, close } = openEngine(dir);
    const lost = lostOf(reply);
    expect(lost.length).toBeGreaterThan(5);
    expect([...keysOf(reply), ...lost]).toEqual(allKeys(40));
    expect(reply.damage).toMatchObject({ lost: lost.length, kept: 40 - lost.length, counted: true });
    expect(reply.notices[0]).toMatchObject({ messageId: uuidOf(lost[0] ?? ""), tool: "relay_send_message" });
    expect(reply.notices[0]?.detail).toContain(`${lost.length} accepted writes between 2023-11-14T22:13:20`);
    // What is kept may be of an earlier time, so each may have been sent.
    expect(reply.records.every(({ life }) => life.ambiguous)).toBe(true);
    const aside = readdirSync(dir).filter((name) => name.includes(".damaged-"));
    expect(aside.toSorted().map((name) => name.replace(/2023.*Z/, "TIME"))).toEqual([
      "outbox.sqlite.damaged-TIME",
      "outbox.sqlite.damaged-TIME-wal",
    ]);
    close();
    const again = openEngine(dir);
    expect(again.reply.damage).toBeUndefined();
    expect([...keysOf(again.reply), ...lostOf(again.reply)]).toEqual(allKeys(40));
    again.close();
  });

  test("are noticed when the log is gone or cut", () => {
    const gone = killed(10);
    rmSync(join(gone, "outbox.sqlite-wal"));
    const first = openEngine(gone);
    expect(lostOf(first.reply)).toEqual(allKeys(10));
    first.close();
    const cut = killed(10);
    truncateSync(join(cut, "outbox.sqlite-wal"), 30_000);
    const second = openEngine(cut);
    expect(lostOf(second.reply).length).toBeGreaterThan(0);
    expect([...keysOf(second.reply), ...lostOf(second.reply)]).toEqual(allKeys(10));
    second.close();
  });

  test("are named also when the database is no database any more, and its lane stays the same", () => {
    const dir = killed(3);
    writeFileSync(join(dir, "outbox.sqlite"), "only words ".repeat(2_000));
    rmSync(join(dir, "outbox.sqlite-wal"));
    const { reply, close, engine, together } = openEngine(dir);
    expect(lostOf(reply)).toEqual(allKeys(3));
    expect(reply.storeId).not.toBe(uuidOf(dir));
    const [stored] = together(() => engine.methods.enqueue(newRecord(9)));
    expect(stored).toEqual({ status: "stored", id: 4 });
    close();
  });

  test("a row that is not as it was stored is not sent, the others are", () => {
    const dir = killed(5);
    const database = new Database(join(dir, "outbox.sqlite"));
    database.run("UPDATE records SET arguments = replace(arguments, 'bob', 'eve') WHERE id = 3");
    database.close();
    const { reply, close } = openEngine(dir);
    expect(reply.damage?.why).toBe("the record key-3 is not as it was stored");
    expect(keysOf(reply)).toEqual(["key-1", "key-2", "key-4", "key-5"]);
    expect(lostOf(reply)).toEqual(["key-3"]);
    close();
  });

  /** What a person sees who looks without opening it. */
  const seenIn = (dir: string) =>
    inspectFile({ dir, limit: limits.outboxRecordsMax, expiryMs: limits.recordAgeMaxMs });
  const three = {
    status: "read",
    identity: { relayId: "relay", agentId: "agent" },
    records: [{ id: 1 }, { id: 2 }, { id: 3 }],
  };
  /** Where the header of a database has `user_version`, four bytes (SQLite file format, section 1.3). */
  const versionAt = 60;

  test("[P2.16] no flipped bit of its header makes a file newer or older than it is", () => {
    const image = killed(3);
    const database = new Database(join(image, "outbox.sqlite"));
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
    database.close(true);
    for (let bit = 0; bit < 32; bit += 1) {
      const dir = folder();
      cpSync(image, dir, { recursive: true });
      flip(join(dir, "outbox.sqlite"), versionAt + (bit >> 3), 1 << (bit & 7));
      expect(seenIn(dir)).toMatchObject(three);
      const { reply, close } = openEngine(dir);
      expect([bit, reply.status, keysOf(reply)]).toEqual([bit, "opened", allKeys(3)]);
      expect(reply.damage?.why).toMatch(/^its header says format -?\d+, its content has format 6$/);
      close();
    }
  });

  test.each(["relay_id = 'relax'", "agent_id = 'agens'", "store_id = 'x'", "format = 7", "checksum = ''"])(
    "[P2.16] a damaged store is nobody else's: %s",
    (change) => {
      const dir = killed(3);
      const database = new Database(join(dir, "outbox.sqlite"));
      database.run(`UPDATE store SET ${change}`);
      database.close();
      expect(seenIn(dir)).toMatchObject(three);
      const { reply, close } = openEngine(dir);
      expect([reply.status, keysOf(reply), lostOf(reply)]).toEqual(["opened", allKeys(3), []]);
      expect(reply.damage?.why).toBe("whose store it is, is not as it was stored");
      close();
      const again = openEngine(dir);
      expect([again.reply.damage, again.reply.storeId]).toEqual([undefined, reply.storeId]);
      again.close();
    },
  );

  test("a row that changes while the store is open is found before it is sent", () => {
    const database = new Database(":memory:");
    migrate(database);
    const verbs = prepareVerbs(database);
    const rows = new NewRows(database, { epoch: 1, lastId: 0 });
    const id = rows.add(newRecord(1));
    rows.write();
    expect(verbs.payloads([id])).toMatchObject([{ id: 1, record: { key: "key-1" } }]);
    database.run("UPDATE records SET arguments = replace(arguments, 'bob', 'eve')");
    expect(() => verbs.payloads([id])).toThrow("Read record key-1: it is not as it was stored");
  });

  test("an end that the file has forgotten is not undone: what a person dropped stays dropped", () => {
    const dir = folder();
    const { engine, together } = openEngine(dir);
    for (const n of [1, 2]) together(() => engine.methods.enqueue(newRecord(n)));
    const before = folder();
    cpSync(dir, before, { recursive: true });
    const life = { ...newLife, state: "dropped" as const, detail: "a person took it out of the queue" };
    const changes = [{ id: 1, life, end: { at: now, result: undefined, notice: "dropped" as const } }];
    together(() => engine.methods.save({ changes, seenRecords: [], seenNotices: [], now }));
    together(() => engine.methods.enqueue(newRecord(3)));
    cpSync(join(dir, "outbox.marks"), join(before, "outbox.marks"));
    const { reply, close } = openEngine(before);
    expect(keysOf(reply)).toEqual(["key-2"]);
    expect(reply.notices.map(({ reason, key }) => [reason, key])).toEqual([
      ["dropped", "key-1"],
      ["damaged", "key-3"],
    ]);
    close();
  });

  test("no accident of three files makes opening fail or a write vanish in silence", () => {
    const random = seededRandom(10);
    const drawn = (below: number) => Math.floor(random.fraction() * below);
    const files = ["outbox.sqlite", "outbox.sqlite-wal", "outbox.marks"];
    const image = killed(25);
    let noticed = 0;
    for (let round = 0; round < 60; round += 1) {
      const dir = folder();
      cpSync(image, dir, { recursive: true });
      const path = join(dir, files[round % 3] ?? "");
      const { size } = statSync(path);
      const [first = () => {}] = [
        [() => flip(path, drawn(size)), () => truncateSync(path, drawn(size))][drawn(2)],
      ];
      first();
      const { reply, close } = openEngine(dir);
      close();
      const told = new Set([...keysOf(reply), ...lostOf(reply)]);
      expect(allKeys(25).filter((key) => !told.has(key))).toEqual([]);
      noticed += reply.damage === undefined ? 0 : 1;
    }
    expect(noticed).toBeGreaterThan(15);
  }, 20_000);
});

test("what was refused because the disk failed is not missed when the file is opened again", () => {
  const dir = folder();
  const { engine, together } = openEngine(dir);
  for (const n of [1, 2]) together(() => engine.methods.enqueue(newRecord(n)));
  const copy = folder();
  cpSync(dir, copy, { recursive: true });
  const again = new Engine();
  const request = {
    relayId: "relay",
    agentId: "agent",
    newStoreId: "x",
    pid: 1,
    now,
    limits: storeLimits(limits),
  };
  const reply = again.methods.load({
    ...request,
    dir: copy,
    discard: { afterId: 1, keys: ["key-2"] },
  }) as Opened;
  expect([keysOf(reply), lostOf(reply)]).toEqual([["key-1"], []]);
});

describe("O17: a disk without room", () => {
  test("takes nothing new below the floor, delivers on, and gives the reserve up and back", () => {
    const dir = folder();
    const free = { bytes: 10 ** 9 };
    const { engine, together, close } = openEngine(dir, { freeBytes: () => free.bytes });
    together(() => engine.methods.enqueue(newRecord(1)));
    together(() => engine.methods.prune({ now }));
    const reserve = join(dir, "outbox.reserve");
    expect(statSync(reserve).size).toBe(64 * 1_024);
    free.bytes = limits.outboxFreeBytesMin - 1;
    expect(together(() => engine.methods.enqueue(newRecord(2)))).toMatchObject([
      { status: "noRoom", freeBytes: free.bytes },
    ]);
    const full = () => {
      throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
    };
    expect(() => together(full)).toThrow("database or disk is full");
    expect(readdirSync(dir)).not.toContain("outbox.reserve");
    // There is room again, but not for the reserve.
    free.bytes = limits.outboxFreeBytesMin + 1;
    expect(together(() => engine.methods.enqueue(newRecord(3)))).toMatchObject([{ status: "noRoom" }]);
    free.bytes = 10 ** 9;
    expect(together(() => engine.methods.enqueue(newRecord(4)))).toMatchObject([{ status: "stored" }]);
    expect(readdirSync(dir)).toContain("outbox.reserve");
    close();
  });
});
