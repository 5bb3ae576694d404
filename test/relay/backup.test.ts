/** Backups while the relay runs, and what a restore changes for everybody. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock, VirtualClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { realRandom, seededRandom } from "../../src/base/random.ts";
import { limits } from "../../src/limits.ts";
import { openOutbox } from "../../src/outbox/outbox.ts";
import { createClient } from "../../src/sdk/client.ts";
import { relayDeliverer } from "../../src/sdk/deliverer.ts";
import { type FeedItem, followFeed } from "../../src/sdk/feed.ts";
import { databaseOf, inspectBackup, restoreHome, startServer } from "../../src/server.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { checkAudit } from "../../src/wire/audit.ts";
import { type AgentId, asId } from "../../src/wire/id.ts";
import { type RunningRelay, runningRelay } from "../fixtures/running-relay.ts";

const later = 1_900_000_000_000;

function newFolder(): Disposable & { home: string; file: string } {
  const folder = mkdtempSync(join(tmpdir(), "backup-"));
  return {
    home: join(folder, "home"),
    file: join(folder, "backup.sqlite"),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A backup of the running relay, moved to a file of the test. */
async function backUp(relay: RunningRelay, file: string): Promise<string> {
  const made = await relay.operator.makeBackup({});
  expect(made.state).toBe("done");
  renameSync(made.file, file);
  return made.id;
}

async function bodies(relay: RunningRelay, agent: string): Promise<string[]> {
  return (await relay.operator.readInbox({ agent })).messages.map(({ body }) => body);
}

async function first(items: AsyncGenerator<FeedItem>): Promise<FeedItem> {
  const { value, done } = await items.next();
  if (done === true) throw new Error("The feed ended before it said hello");
  return value;
}

const thrown = (work: () => unknown): Error | undefined => {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  return undefined;
};

describe("a backup", () => {
  test("[C.21] is made while messages come in, holds what was accepted before, and is private and whole", async () => {
    using folder = newFolder();
    await using relay = await runningRelay({ home: folder.home });
    await relay.enrol("alice");
    const send = (body: string) => relay.operator.sendMessage({ to: "alice", body });
    for (const body of ["1", "2", "3"]) await send(body);
    const during = Array.from({ length: 40 }, (_, i) => send(`during ${i}`));
    await backUp(relay, folder.file);
    await Promise.all(during);
    expect((statSync(folder.file).mode & 0o777).toString(8)).toBe("600");
    expect((statSync(join(folder.home, "backups")).mode & 0o777).toString(8)).toBe("700");
    const facts = inspectBackup(folder.file);
    expect(facts).toMatchObject({ relayId: relay.server.relayId, generation: 1, agents: 2 });
    expect(facts.messages).toBeGreaterThanOrEqual(3);
    expect((await bodies(relay, "alice")).length).toBe(43);
    expect(readdirSync(join(folder.home, "backups"))).toEqual([]);
  });

  test("C.21: one at a time; an unknown one is not found; only an operator may", async () => {
    using folder = newFolder();
    await using relay = await runningRelay({ home: folder.home });
    const alice = await relay.enrol("alice");
    const outcomes = await Promise.all(
      [relay.operator.makeBackup({}), relay.operator.makeBackup({})].map((made) =>
        made.then(
          ({ state }) => state,
          (error: { code: string }) => error.code,
        ),
      ),
    );
    expect(outcomes.sort()).toEqual(["done", "unavailable"]);
    const missing = await relay.operator.getBackup({ id: "none" }).catch((error: unknown) => error);
    expect(missing).toMatchObject({ code: "not_found" });
    expect(await alice.runner.makeBackup({}).catch((error: unknown) => error)).toMatchObject({
      code: "forbidden",
    });
  });

  test("one that cannot be written is told, leaves nothing half done, and the store goes on", async () => {
    using folder = newFolder();
    mkdirSync(folder.home, { mode: 0o700 });
    const clock = new VirtualClock(later);
    const path = join(folder.home, "relay.sqlite");
    const store = await openSqliteStore({ path, clock, random: seededRandom(1) });
    const failed = await store.backup(join(folder.home, "none", "b.sqlite")).catch((error: unknown) => error);
    expect(failed).toMatchObject({ message: expect.stringContaining("ENOENT") });
    mkdirSync(join(folder.home, "taken"));
    const taken = await store.backup(join(folder.home, "taken")).catch((error: unknown) => error);
    expect(taken).toBeInstanceOf(Error);
    expect(existsSync(join(folder.home, "taken.new"))).toBe(false);
    expect(await store.backup(join(folder.home, "b.sqlite"))).toBeGreaterThan(0);
    expect((await store.counts()).messages).toBe(0);
    await store.close();
  });
});

describe("a restore", () => {
  test("[C.21] [P5.9] brings back what was there, begins a generation, and readers begin anew", async () => {
    using folder = newFolder();
    const before = await runningRelay({ home: folder.home });
    const alice = await before.enrol("alice");
    await before.operator.sendMessage({ to: "alice", body: "kept" });
    await backUp(before, folder.file);
    await before.operator.sendMessage({ to: "alice", body: "lost" });
    await before.server.close();
    const restored = restoreHome(folder.home, folder.file, later);
    expect(restored).toMatchObject({ generation: 2, messages: 1, agents: 2 });
    await using after = await runningRelay({ home: folder.home });
    expect(after.server.relayId).toBe(before.server.relayId);
    expect(await bodies(after, "alice")).toEqual(["kept"]);
    expect((await after.operator.getRelay({})).generation).toBe(2);
    const ending = new AbortController();
    const feed = followFeed({
      url: after.server.url,
      token: () => alice.runnerToken,
      after: { generation: 1, seq: 2 },
      clock: realClock,
      random: seededRandom(1),
      signal: ending.signal,
    });
    expect((await first(feed)).event).toMatchObject({ type: "hello", generation: 2, reset: true });
    ending.abort();
    expect(readFileSync(restored.aside ?? "").length).toBeGreaterThan(0);
  });

  test("S17: the restore is in the audit log, whose chain goes on", async () => {
    using folder = newFolder();
    const before = await runningRelay({ home: folder.home });
    await backUp(before, folder.file);
    const facts = inspectBackup(folder.file);
    await before.server.close();
    restoreHome(folder.home, folder.file, later);
    await using after = await runningRelay({ home: folder.home });
    const { entries } = await after.operator.listAudit({ afterSeq: facts.auditSeq, limit: 100 });
    expect(entries.map(({ kind }) => kind).slice(0, 2)).toEqual(["relay_restored", "relay_started"]);
    const numbered = entries.map((entry) => ({ ...entry, at: Date.parse(entry.at) }));
    expect(checkAudit({ seq: facts.auditSeq, hash: facts.auditHash }, numbered)).toMatchObject({
      status: "holds",
    });
  });

  test("a token that was revoked after the backup stays revoked", async () => {
    using folder = newFolder();
    const before = await runningRelay({ home: folder.home });
    const alice = await before.enrol("alice");
    await backUp(before, folder.file);
    const { tokens } = await before.operator.listTokens({});
    await before.operator.revokeToken({ id: tokens.find(({ kind }) => kind === "runner")?.id ?? "" });
    await before.server.close();
    expect(restoreHome(folder.home, folder.file, later).revoked).toBeGreaterThan(0);
    await using after = await runningRelay({ home: folder.home });
    const refused = await after
      .client(alice.runnerToken)
      .getStatus({})
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ status: 401 });
  });

  test("restored twice, and where the database is lost, no generation comes again", async () => {
    using folder = newFolder();
    const before = await runningRelay({ home: folder.home });
    await backUp(before, folder.file);
    await before.server.close();
    expect(restoreHome(folder.home, folder.file, later).generation).toBe(2);
    expect(restoreHome(folder.home, folder.file, later + 1).generation).toBe(3);
    const path = databaseOf(folder.home);
    rmSync(path);
    const fresh = restoreHome(folder.home, folder.file, later + 2);
    expect(fresh.generation).toBeGreaterThan(3);
    expect(fresh.aside).toBeUndefined();
  });

  test("a damaged database is set aside whole", async () => {
    using folder = newFolder();
    const before = await runningRelay({ home: folder.home });
    await backUp(before, folder.file);
    await before.server.close();
    const path = databaseOf(folder.home);
    writeFileSync(path, "this is no database, whatever it was before");
    const restored = restoreHome(folder.home, folder.file, later);
    expect(readFileSync(restored.aside ?? "", "utf8")).toStartWith("this is no database");
    await using after = await runningRelay({ home: folder.home });
    expect((await after.operator.getStatus({})).agents).toBe(1);
  });

  test("what is no whole backup of this relay is refused, and nothing is changed", async () => {
    using folder = newFolder();
    using other = newFolder();
    const before = await runningRelay({ home: folder.home });
    await backUp(before, folder.file);
    await before.server.close();
    const stranger = await runningRelay({ home: other.home });
    await backUp(stranger, other.file);
    await stranger.server.close();
    const cut = `${folder.file}.cut`;
    copyFileSync(folder.file, cut);
    truncateSync(cut, Math.floor(statSync(cut).size / 2));
    const foreign = `${folder.file}.foreign`;
    const database = new Database(foreign, { create: true });
    database.run("CREATE TABLE a (b)");
    database.close();
    const path = databaseOf(folder.home);
    const content = Bun.hash(readFileSync(path));
    const said = [other.file, cut, foreign, `${folder.file}.none`].map(
      (file) => thrown(() => restoreHome(folder.home, file, later))?.message ?? "done",
    );
    expect(said[0]).toContain("use another home");
    expect(said[1]).toContain("damaged");
    expect(said[2]).toContain("not a database of Agent Relay");
    expect(said[3]).toContain("there is no such file");
    expect(Bun.hash(readFileSync(path))).toBe(content);
  });

  test("a relay that runs is not restored over, and an interrupted restore keeps a relay from starting empty", async () => {
    using folder = newFolder();
    const relay = await runningRelay({ home: folder.home });
    await backUp(relay, folder.file);
    expect(thrown(() => restoreHome(folder.home, folder.file, later))).toMatchObject({
      name: "SqliteBusyError",
    });
    expect((await relay.operator.getStatus({})).agents).toBe(1);
    await relay.server.close();
    const path = databaseOf(folder.home);
    renameSync(path, `${path}.restoring`);
    const refused = await runningRelay({ home: folder.home }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ name: "RestoreError" });
    expect(existsSync(path)).toBe(false);
    restoreHome(folder.home, folder.file, later);
    await using after = await runningRelay({ home: folder.home });
    expect((await after.operator.getStatus({})).agents).toBe(1);
  });

  test("[C.21] [P5.9] a runner's outbox that goes on hears of it by itself and says which writes may be missing", async () => {
    using folder = newFolder();
    const before = await runningRelay({ home: folder.home });
    const alice = await before.enrol("alice");
    const port = Number(new URL(before.server.url).port);
    const outbox = await openOutbox({
      dir: join(folder.home, "outbox"),
      relayId: before.server.relayId,
      agentId: asId<AgentId>(alice.id),
      limits: { ...limits, probeIntervalMs: 20, deliveryBackoffBaseMs: 20, deliveryBackoffCapMs: 50 },
      clock: realClock,
      random: realRandom,
      log: silentLog,
      deliverer: (storeId) => relayDeliverer(alice.runner, storeId),
    });
    const write = async (body: string) => {
      const call = { tool: "relay_send_message", arguments: { to: "operator", body }, key: undefined };
      return (await outbox.write({ ...call, callId: undefined, session: "s" }, 5_000)).receipt;
    };
    await write("kept");
    await backUp(before, folder.file);
    const lost = await write("lost");
    await before.server.close();
    restoreHome(folder.home, folder.file, later);
    const log = silentLog;
    const server = await startServer({ home: folder.home, port, log, version: "0.0.0" });
    expect((await write("after")).delivery).toBe("sent");
    const notices = outbox.notices();
    await outbox.close();
    const token = readFileSync(server.operatorTokenFile, "utf8").trim();
    const operator = createClient({ url: server.url, token: () => token });
    const { messages } = await operator.readInbox({ agent: "operator" });
    await server.close();
    expect(messages.map(({ body }) => body)).toEqual(["kept", "after"]);
    expect(notices.map(({ reason }) => reason)).toEqual(["restored"]);
    expect(notices[0]?.detail).toContain(lost.idempotencyKey);
  }, 20_000);
});
