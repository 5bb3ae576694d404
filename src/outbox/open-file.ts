/**
 * Opening an outbox file: one owner, the current format, checked against damage, and a damaged one replaced by what is
 * good of it. Nothing that a file may contain makes this fail.
 */
import type { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { openSqlite, SqliteBusyError } from "../base/sqlite.ts";
import { type Disk, Room } from "./disk.ts";
import { fileOf, readOwner, writeOwner } from "./files.ts";
import { Marks, type MarksFound, readMarks } from "./marks.ts";
import { NewRows } from "./new-rows.ts";
import { type People, preparePeople } from "./people-verbs.ts";
import { Recent } from "./recent.ts";
import type { Damage, InspectReply, ListRequest, LoadReply, LoadRequest, StoreLimits } from "./rows.ts";
import { examine, salvage, storeOf } from "./salvage.ts";
import { migrate, schemaVersion, versionOf } from "./schema.ts";
import { prepareVerbs, type Verbs } from "./verbs.ts";

/** An open store. */
export type OpenFile = {
  dir: string;
  database: Database;
  verbs: Verbs;
  people: People;
  limits: StoreLimits;
  epoch: number;
  marks: Marks;
  room: Room;
  recent: Recent;
  rows: NewRows;
};

type Opened = { reply: LoadReply; open?: OpenFile };

/** Opens the store for its owner. Throws only what the disk says. */
export function openFile(request: LoadRequest, disk: Disk): Opened {
  const { dir, limits, now } = request;
  const marks = readMarks(dir);
  const opening = tryOpen(dir, marks);
  if (opening === "owned") return { reply: { status: "owned", ...readOwner(dir) } };
  const rescue = (database: Database | undefined, why: string): Opened => {
    const fallback = { storeId: request.newStoreId, relayId: request.relayId, agentId: request.agentId };
    new Room(dir, limits, disk).spend();
    const damage = salvage({ dir, database, marks, why, now, fallback, noticesMax: limits.noticesMax });
    const again = openOwned(dir);
    if (again === undefined) return { reply: { status: "owned", ...readOwner(dir) } };
    return use(again, request, disk, damage);
  };
  if (opening.status === "damaged") return rescue(opening.database, opening.why);
  try {
    return use(opening.database, request, disk);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return rescue(openAnyhow(dir), wordsOf(error));
  }
}

type Opening =
  | "owned"
  | { status: "good"; database: Database }
  | { status: "damaged"; database: Database | undefined; why: string };

function tryOpen(dir: string, marks: MarksFound | undefined): Opening {
  let database: Database | undefined;
  try {
    database = openOwned(dir);
    if (database === undefined) return "owned";
    const why = examine(database, marks);
    return why === undefined ? { status: "good", database } : { status: "damaged", database, why };
  } catch (error) {
    if (isDamage(error)) return { status: "damaged", database, why: wordsOf(error) };
    database?.close();
    throw error;
  }
}

/** The damaged file once more, to read what can be read of it. */
function openAnyhow(dir: string): Database | undefined {
  try {
    return openOwned(dir);
  } catch {
    return undefined;
  }
}

/** Makes the file current and reads it; closes it when it cannot be used. */
function use(database: Database, request: LoadRequest, disk: Disk, damage?: Damage): Opened {
  const { dir, limits, now } = request;
  try {
    const pageSize = (database.query("PRAGMA page_size").get() as { page_size: number }).page_size;
    database.run(`PRAGMA max_page_count = ${Math.ceil(limits.fileBytesMax / pageSize)}`);
    database.run(`PRAGMA journal_size_limit = ${4 * 256 * pageSize}`);
    const version = versionOf(database);
    if (version > schemaVersion) return closed(database, { status: "newer", version });
    database.run("BEGIN IMMEDIATE");
    migrate(database);
    const verbs = prepareVerbs(database);
    const identity = verbs.open(request);
    const { storeId, relayId, agentId, epoch } = identity;
    if (relayId !== request.relayId || agentId !== request.agentId) {
      database.run("ROLLBACK");
      return closed(database, { status: "foreign", relayId, agentId });
    }
    retract(request);
    verbs.reopen(request.discard);
    database.run("COMMIT");
    const { paused, ...contents } = verbs.contents();
    const head = { storeId, relayId, agentId, lastId: contents.lastId };
    const accepted = contents.records.map(({ enqueuedAt: at, id, key, messageId, tool }) => ({
      id,
      key,
      messageId,
      tool,
      at,
    }));
    const marks = new Marks(dir, head, accepted);
    writeOwner(dir, {
      ...{ pid: request.pid, startedAt: new Date(now).toISOString() },
      ...(request.purpose === undefined ? {} : { purpose: request.purpose }),
    });
    const room = new Room(dir, limits, disk);
    const recent = new Recent(limits, verbs.unseenSince(now - limits.reissueWindowMs));
    const people = preparePeople(database);
    const found = damage === undefined ? {} : { damage };
    const reply: LoadReply = { status: "opened", storeId, epoch, paused, ...contents, ...found };
    const rows = new NewRows(database, { epoch, lastId: contents.lastId });
    return { reply, open: { dir, database, verbs, people, limits, epoch, marks, room, recent, rows } };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Before the discarded records go: they were refused, so they are not missed. */
function retract({ dir, discard }: LoadRequest): void {
  const found = discard.keys.length === 0 ? undefined : readMarks(dir);
  if (found?.head === undefined) return;
  const keys = new Set(discard.keys);
  const stays = [...found.open.values()].filter(({ id, key }) => id <= discard.afterId || !keys.has(key));
  if (stays.length < found.open.size) new Marks(dir, { ...found.head, lastId: found.lastId }, stays).close();
}

function closed(database: Database, reply: LoadReply): Opened {
  database.close();
  return { reply };
}

/** The file, or undefined when another process owns it. */
function openOwned(dir: string): Database | undefined {
  try {
    return openSqlite({ path: fileOf(dir), exclusive: true, secureDelete: true });
  } catch (error) {
    if (error instanceof SqliteBusyError) return undefined;
    throw error;
  }
}

/** What a file holds that nobody owns; makes and changes nothing. */
export function inspectFile(request: ListRequest & { dir: string }): InspectReply {
  const { dir } = request;
  if (!existsSync(fileOf(dir))) return { status: "read", records: [] };
  const database = openOwned(dir);
  if (database === undefined) return { status: "owned", ...readOwner(dir) };
  try {
    const store = storeOf(database);
    const version = store?.format ?? versionOf(database);
    if (version > schemaVersion) return { status: "newer", version };
    if (version < 1) return { status: "read", records: [] };
    const known = store ?? readMarks(dir)?.head;
    const identity =
      known === undefined ? {} : { identity: { relayId: known.relayId, agentId: known.agentId } };
    return { status: "read", records: prepareVerbs(database).list(request), ...identity };
  } finally {
    database.close();
  }
}

/** True when it is the content of the file that is wrong: not its place, its rights, or the disk. */
function isDamage(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "") return error instanceof Error && error.message.startsWith("SQLite did not take");
  const outside = /^SQLITE_(?:BUSY|LOCKED|IOERR|FULL|NOMEM|CANTOPEN|PERM|AUTH)/;
  return code.startsWith("SQLITE_") && !outside.test(code);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
