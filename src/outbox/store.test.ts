/** The store on real files: what it keeps over a restart, what it refuses, and who may own it. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newRecordOf } from "../../test/fixtures/outbox/new-record.ts";
import { VirtualClock } from "../base/clock.ts";
import { type Limits, limits } from "../limits.ts";
import { asId, uuidOf } from "../wire/id.ts";
import { Engine } from "./engine.ts";
import { newLife } from "./record.ts";
import type { LifeChange, NewRecord, NoticeRow } from "./rows.ts";
import {
  DiskFullError,
  listRecords,
  OutboxOwnedError,
  OutboxStore,
  OutboxUnusableError,
  storeLimits,
} from "./store.ts";

const owner = join(import.meta.dir, "../../test/fixtures/outbox/owner.ts");
const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of left.splice(0).reverse()) await end();
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "outbox-"));
  left.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function storeIn(dir: string, options: { scale?: Partial<Limits>; agentId?: string } = {}) {
  const clock = new VirtualClock(1_700_000_000_000);
  const notices: NoticeRow[] = [];
  const failures: Error[] = [];
  const store = new OutboxStore({
    ...{ dir, clock, relayId: "relay", agentId: asId(options.agentId ?? "agent"), newStoreId: uuidOf(dir) },
    limits: { ...limits, ...options.scale },
    onEnds: () => {},
    onNotices: (rows) => notices.push(...rows),
    onFailure: (error) => failures.push(error),
  });
  left.push(() => store.close());
  return { store, clock, notices, failures, load: () => store.load({ afterId: 0, keys: [] }) };
}

let nextKey = 1;
function newRecord(body: string, over: Partial<NewRecord> = {}): NewRecord {
  const common = { recipientId: "r1", parent: { from: "ann", threadId: "t1" } };
  return newRecordOf(`key-${nextKey++}`, body, { ...common, ...over });
}

const end = (id: number, over: Partial<LifeChange["life"]> = {}): LifeChange => ({
  id,
  life: { ...newLife, state: "sent", attempts: 1, ...over },
  end: { at: 1_700_000_000_000, result: { content: [{ type: "text", text: "ok" }] }, notice: undefined },
});

describe("a store that is opened again", () => {
  test("O8: has what was stored, and remembers which records may have been sent", async () => {
    const dir = folder();
    const first = storeIn(dir);
    const { storeId } = await first.load();
    await first.store.enqueue(newRecord("waits"));
    await first.store.enqueue(newRecord("was marked at once", { attemptNow: true }));
    await first.store.enqueue(newRecord("was marked later"));
    await first.store.mark([3]);
    await first.store.close();

    const again = storeIn(dir);
    const loaded = await again.load();
    expect([loaded.storeId, loaded.epoch, loaded.lastId]).toEqual([storeId, 2, 3]);
    expect(loaded.records.map(({ id, life }) => [id, life.state, life.ambiguous])).toEqual([
      [1, "queued", false],
      [2, "queued", true],
      [3, "queued", true],
    ]);
    const [payload] = await again.store.payloads([1]);
    expect(payload?.record).toMatchObject({
      arguments: { to: "bob", body: "waits" },
      recipientId: "r1",
      parent: { from: "ann", threadId: "t1" },
      enqueuedAt: "2023-11-14T22:13:20.000Z",
    });
  });

  test("O3: has the notice that was written with the end, until it is seen", async () => {
    const dir = folder();
    const first = storeIn(dir);
    await first.load();
    await first.store.enqueue(newRecord("refused"));
    const rejected = end(1, { state: "rejected", detail: "recipient_unknown: no bob" });
    first.store.saveSoon({ ...rejected, end: { at: 5, result: undefined, notice: "rejected" } });
    await first.store.save();
    expect(first.notices).toMatchObject([{ recordId: 1, reason: "rejected", excerpt: "refused", to: "bob" }]);
    await first.store.close();

    const second = storeIn(dir);
    expect((await second.load()).notices).toEqual(first.notices);
    second.store.seenSoon({ notices: [1] });
    await second.store.close();
    expect((await storeIn(dir).load()).notices).toEqual([]);
  });

  test("erases arguments at the end, keeps the result for the key, and forgets both in time", async () => {
    const dir = folder();
    const { store, load, clock } = storeIn(dir);
    await load();
    await store.enqueue(newRecord("secret words", { key: asId("own"), origin: "own" }));
    store.saveSoon(end(1));
    await store.save();
    expect(await store.payloads([1])).toEqual([]);
    const again = newRecord("secret words", { key: asId("own"), origin: "own" });
    expect(await store.enqueue(again)).toMatchObject({
      status: "known",
      record: { id: 1, state: "sent", result: { content: [{ type: "text", text: "ok" }] } },
    });
    clock.advance(limits.recordTombstoneMs + 1);
    expect(await store.prune()).toBe(1);
    expect(await store.enqueue(again)).toEqual({ status: "stored", id: 2 });
    store.saveSoon(end(2));
    await store.close();
    expect(readFileSync(join(dir, "outbox.sqlite")).includes("secret words")).toBe(false);
  });

  test("drops a record that was refused when the disk failed under it, and no other one", async () => {
    const dir = folder();
    const first = storeIn(dir);
    await first.load();
    await first.store.enqueue(newRecord("kept", { key: asId("a") }));
    await first.store.enqueue(newRecord("refused", { key: asId("b") }));
    await first.store.close();
    const loaded = await storeIn(dir).store.load({ afterId: 1, keys: ["a", "b"] });
    expect(loaded.records.map(({ key }) => String(key))).toEqual(["a"]);
  });
});

describe("calls that arrive together", () => {
  test("O9 [P2.7]: an equal key in one group is one record, other arguments are refused", async () => {
    const { store, load } = storeIn(folder());
    await load();
    const own = { key: asId<NewRecord["key"]>("k"), origin: "own" as const };
    const replies = await Promise.all([
      store.enqueue(newRecord("a", own)),
      store.enqueue(newRecord("a", own)),
      store.enqueue(newRecord("b", own)),
    ]);
    expect(replies.map(({ status }) => status)).toEqual(["stored", "known", "reused"]);
  });

  test("O12 [P2.12]: a full store refuses the new one and keeps the old ones", async () => {
    const { store, load } = storeIn(folder(), { scale: { outboxRecordsMax: 2 } });
    await load();
    const replies = await Promise.all(["a", "b", "c"].map((body) => store.enqueue(newRecord(body))));
    expect(replies.map(({ status }) => status)).toEqual(["stored", "stored", "full"]);
    store.saveSoon(end(1));
    expect((await store.enqueue(newRecord("d"))).status).toBe("stored");
  });

  test("O12: bytes are bounded too", async () => {
    const { store, load } = storeIn(folder(), { scale: { outboxBytesMax: 100 } });
    await load();
    expect((await store.enqueue(newRecord("a", { bytes: 60 }))).status).toBe("stored");
    expect(await store.enqueue(newRecord("b", { bytes: 60 }))).toEqual({
      status: "full",
      records: 1,
      bytes: 60,
    });
  });

  test("O12 [P2.12]: a disk without room refuses the write, and goes on with what fits", async () => {
    const { store, load, failures } = storeIn(folder(), { scale: { outboxFileBytesMax: 200_000 } });
    await load();
    await store.enqueue(newRecord("small"));
    const refused = await store.enqueue(newRecord("x".repeat(400_000))).catch((thrown: unknown) => thrown);
    expect(refused).toBeInstanceOf(DiskFullError);
    expect((await store.list(10)).map(({ id }) => id)).toEqual([1]);
    expect((await store.enqueue(newRecord("fits"))).status).toBe("stored");
    expect(failures).toEqual([]);
  });

  test("O12: a group without room is undone as a whole, with its counts", () => {
    const dir = folder();
    const engine = new Engine();
    left.push(() => engine.runTogether([() => engine.methods.close({})]));
    const scaled = storeLimits({ ...limits, outboxFileBytesMax: 200_000, outboxRecordsMax: 2 });
    const load = { dir, relayId: "r", agentId: "a", newStoreId: "s", pid: 1, now: 0, limits: scaled };
    engine.runTogether([() => engine.methods.load({ ...load, discard: { afterId: 0, keys: [] } })]);
    const put = (body: string) => () => {
      engine.methods.enqueue(newRecord(body));
    };
    expect(() => engine.runTogether([put("a"), put("x".repeat(400_000)), put("b")])).toThrow("full");
    expect(engine.methods.list({ limit: 10, expiryMs: 0 })).toEqual([]);
    engine.runTogether([put("c"), put("d")]);
    expect(engine.methods.list({ limit: 10, expiryMs: 0 })).toHaveLength(2);
  });

  test("a notice that finds no room is counted on the newest one", async () => {
    const { store, load, notices } = storeIn(folder(), { scale: { noticesMax: 2 } });
    await load();
    for (const id of [1, 2, 3, 4]) {
      await store.enqueue(newRecord(`${id}`));
      store.saveSoon({
        ...end(id, { state: "expired" }),
        end: { at: 1, result: undefined, notice: "expired" },
      });
    }
    await store.save();
    expect(notices.map(({ seq, more }) => [seq, more])).toEqual([
      [1, 0],
      [2, 0],
      [2, 1],
      [2, 2],
    ]);
  });
});

describe("O13 [P2.14] a second owner", () => {
  test("is told who owns the store, soon, and the lock goes with a killed owner", async () => {
    const dir = folder();
    const child = Bun.spawn([process.execPath, owner, dir], { stdout: "pipe", stderr: "inherit" });
    left.push(() => child.kill(9));
    const reader = child.stdout.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("ready\n");

    const before = performance.now();
    const error = await storeIn(dir)
      .load()
      .catch((thrown: unknown) => thrown);
    expect(performance.now() - before).toBeLessThan(500);
    expect(error).toBeInstanceOf(OutboxOwnedError);
    expect(error).toMatchObject({ pid: child.pid, dir });
    expect(String(error)).toContain(`${join(dir, "outbox.sqlite")}: process ${child.pid} owns it`);
    const listing = await listRecords(dir, limits).catch((thrown: unknown) => thrown);
    expect(listing).toBeInstanceOf(OutboxOwnedError);

    child.kill(9);
    await child.exited;
    expect((await storeIn(dir).load()).epoch).toBe(2);
  });
});

describe("a store that cannot be used", () => {
  const refusal = (dir: string, options = {}) =>
    storeIn(dir, options)
      .load()
      .catch((thrown: unknown) => thrown);

  test("belongs to another agent: nothing is changed", async () => {
    const dir = folder();
    const first = storeIn(dir);
    await first.load();
    await first.store.close();
    const error = await refusal(dir, { agentId: "other" });
    expect(error).toBeInstanceOf(OutboxUnusableError);
    expect(String(error)).toContain(
      "belongs to agent agent at relay relay, agent other at relay relay was wanted",
    );
    expect((await storeIn(dir).load()).epoch).toBe(2);
  });

  test("was made by a newer program", async () => {
    const dir = folder();
    const first = storeIn(dir);
    await first.load();
    await first.store.close();
    const database = new Database(join(dir, "outbox.sqlite"));
    database.run("PRAGMA user_version = 99");
    database.run("UPDATE store SET format = 99, checksum = 'made as that program makes it'");
    database.close();
    expect(await refusal(dir)).toMatchObject({ why: "newer" });
    expect(await listRecords(dir, limits).catch((thrown: unknown) => thrown)).toMatchObject({ why: "newer" });
  });
});

test("a file that is no database is set aside and a new one begins", async () => {
  const dir = folder();
  writeFileSync(join(dir, "outbox.sqlite"), "no database at all, only words".repeat(100));
  const { load } = storeIn(dir);
  const { damage, notices, records } = await load();
  expect([damage?.why, damage?.counted, records]).toEqual(["file is not a database", false, []]);
  expect(readFileSync(damage?.aside ?? "", "utf8")).toStartWith("no database at all");
  expect(notices.map(({ reason, key }) => [reason, key])).toEqual([["damaged", "unknown"]]);
});

test("people list what is there without an owner, and nothing is made where nothing is", async () => {
  const dir = folder();
  expect(await listRecords(join(dir, "none"), limits)).toEqual([]);
  expect(existsSync(join(dir, "none"))).toBe(false);
  const { store, load } = storeIn(dir);
  await load();
  await store.enqueue(newRecord("a"));
  await store.close();
  expect(await listRecords(dir, limits)).toMatchObject([
    { id: 1, tool: "relay_send_message", to: "bob", state: "queued", attempts: 0 },
  ]);
});

test("P4: [P4.6] files are for their owner only, and the note goes at the end", async () => {
  const dir = folder();
  const { store, load } = storeIn(dir);
  await load();
  const mode = (name: string) => statSync(join(dir, name)).mode & 0o777;
  expect([mode("outbox.sqlite"), mode("outbox.sqlite-wal"), mode("owner.json")]).toEqual([
    0o600, 0o600, 0o600,
  ]);
  expect(JSON.parse(readFileSync(join(dir, "owner.json"), "utf8"))).toMatchObject({ pid: process.pid });
  await store.close();
  expect(existsSync(join(dir, "owner.json"))).toBe(false);
});
