/**
 * What is done about a damaged store: the good rows go into a fresh file, the damaged files are set aside and never
 * deleted, and every accepted write that is missing gets a notice. Opening a store never fails because of its content.
 */
import type { Database } from "bun:sqlite";
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { openSqlite } from "../base/sqlite.ts";
import { uuidOf } from "../wire/id.ts";
import { isIntact, isStoreIntact, type SealedRow, type SealedStore, wholeChecksumOf } from "./checksum.ts";
import { fileOf } from "./files.ts";
import { type Accepted, type MarksFound, marksFileOf } from "./marks.ts";
import { isEnded, type NoticeReason, type RecordState, recordStates } from "./record.ts";
import { excerptOfRow } from "./row-views.ts";
import type { Damage } from "./rows.ts";
import {
  addStore,
  checksumVersion,
  migrate,
  schemaVersion,
  storeChecksumVersion,
  versionOf,
} from "./schema.ts";

type Value = string | number | bigint | Uint8Array | null;
type AnyRow = Record<string, Value>;
type StoredRecord = SealedRow & {
  id: number;
  state: RecordState;
  ended_at: number | null;
  checksum?: string;
};

/** Why a file is damaged: SQLite's own check, a row that is not as it was stored, or accepted writes that are not there. */
export function examine(database: Database, marks: MarksFound | undefined): string | undefined {
  const version = versionOf(database);
  const header = examineStore(database, version);
  if (header !== undefined || version > schemaVersion) return header;
  // The whole check: the quick one does not compare an index with its table, and costs as much.
  const check = database.query<{ integrity_check: string }, []>("PRAGMA integrity_check(1)").get();
  if (check?.integrity_check !== "ok") return `SQLite finds it damaged: ${check?.integrity_check}`;
  if (version >= checksumVersion) {
    const waiting = database.query<SealedRow & { checksum: string }, []>(
      "SELECT * FROM records WHERE ended_at IS NULL",
    );
    for (const row of waiting.iterate())
      if (!isIntact(row)) return `the record ${row.key} is not as it was stored`;
  }
  const missing = version === 0 ? [...(marks?.open.values() ?? [])] : missingOf(database, marks);
  return missing.length === 0 ? undefined : `${missing.length} accepted writes are not in it`;
}

/** Whose store it is, and that the header, which nothing protects, gives the format that was sealed with it. */
function examineStore(database: Database, version: number): string | undefined {
  const store = storeOf(database);
  if (store !== undefined && store.format !== version)
    return `its header says format ${version}, its content has format ${store.format}`;
  if (store === undefined && version >= storeChecksumVersion && version <= schemaVersion)
    return "whose store it is, is not as it was stored";
  return undefined;
}

type Store = { storeId: string; relayId: string; agentId: string; format: number };

/** What the store's row says, when it is as it was stored; undefined for one of a format that had no checksum there. */
export function storeOf(database: Database): Store | undefined {
  try {
    return storeIn(database.query<StoreRow, []>("SELECT * FROM store").get());
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("no such table")) return undefined;
    throw error;
  }
}

type StoreRow = SealedStore & { checksum: string };

function storeIn(row: StoreRow | null | undefined): Store | undefined {
  if (row === null || row === undefined || !isStoreIntact(row)) return undefined;
  const { store_id: storeId, relay_id: relayId, agent_id: agentId, format } = row;
  return { storeId, relayId, agentId, format };
}

function missingOf(database: Database, marks: MarksFound | undefined): Accepted[] {
  const there = database.query<{ key: string }, [number]>("SELECT key FROM records WHERE id = ?");
  return [...(marks?.open.values() ?? [])].filter(({ id, key }) => there.get(id)?.key !== key);
}

export type SalvageRequest = {
  dir: string;
  /** The damaged file when it could be opened; it is closed here. */
  database: Database | undefined;
  marks: MarksFound | undefined;
  why: string;
  now: number;
  /** Identity of the store when neither file nor marks tell it. */
  fallback: { storeId: string; relayId: string; agentId: string };
  noticesMax: number;
};

/** Sets the damaged files aside and puts a fresh one with the good rows in their place. */
export function salvage(request: SalvageRequest): Damage {
  const { dir, database, marks, why, now } = request;
  const path = fileOf(dir);
  const before = inodeOf(path);
  const fresh = `${path}.fresh`;
  for (const left of [fresh, `${fresh}-wal`]) rmSync(left, { force: true });
  const kept = new Remains(database);
  const target = openSqlite({ path: fresh, exclusive: true, secureDelete: true });
  let damage: Damage;
  try {
    target.run("BEGIN IMMEDIATE");
    migrate(target);
    damage = fill(target, kept, request);
    target.run("COMMIT");
  } finally {
    target.close(true);
  }
  if (inodeOf(path) !== before) throw new Error(`Salvage ${path}: another process has replaced it meanwhile`);
  const aside = asideOf(path, now);
  for (const suffix of ["-wal", ""]) if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  if (marks !== undefined && marks.unreadable > 0)
    renameSync(marksFileOf(dir), asideOf(marksFileOf(dir), now));
  renameSync(fresh, path);
  // Closing removes the log at its old name, where there is none any more.
  close(database);
  return { ...damage, why, aside };
}

/** A name that is not taken: `outbox.sqlite.damaged-2026-11-22T20-00-00-000Z`. */
function asideOf(path: string, now: number): string {
  const stamp = new Date(now).toISOString().replaceAll(/[:.]/g, "-");
  const name = `${path}.damaged-${stamp}`;
  for (let count = 2; ; count += 1) {
    const candidate = count === 2 ? name : `${name}-${count - 1}`;
    if (!existsSync(candidate)) return candidate;
  }
}

/** Reads whatever can be read of a damaged file, row by row. */
class Remains {
  readonly #database: Database | undefined;

  constructor(database: Database | undefined) {
    this.#database = database;
  }

  rows(table: string, key: string, extra: Iterable<number> = []): AnyRow[] {
    const numbers = new Set<number>(extra);
    for (const order of ["ASC", "DESC"])
      this.#attempt(() => {
        const ids = this.#database?.query<{ n: number }, []>(
          `SELECT ${key} AS n FROM ${table} ORDER BY ${key} ${order}`,
        );
        for (const { n } of ids?.iterate() ?? []) numbers.add(n);
      });
    const rows: AnyRow[] = [];
    for (const n of [...numbers].toSorted((a, b) => a - b)) {
      const row = this.#row(table, key, n);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  #row(table: string, key: string, n: number): AnyRow | undefined {
    return this.#attempt(
      () =>
        this.#database?.query<AnyRow, [number]>(`SELECT * FROM ${table} WHERE ${key} = ?`).get(n) ??
        undefined,
    );
  }

  #attempt<Value>(read: () => Value): Value | undefined {
    try {
      return read();
    } catch {
      return undefined; // This part of the file is lost; the marks tell of which writes.
    }
  }
}

function fill(target: Database, kept: Remains, request: SalvageRequest): Damage {
  const { marks, now, noticesMax } = request;
  const store = kept.rows("store", "one")[0];
  const { storeId, relayId, agentId } =
    storeIn(store as StoreRow | undefined) ?? marks?.head ?? request.fallback;
  addStore(target, { storeId, relayId, agentId, createdAt: number(store?.created_at) ?? now });
  target
    .query("UPDATE store SET epoch = ?, paused_at = ?, generation = ?")
    .run(number(store?.epoch) ?? 1, number(store?.paused_at) ?? null, number(store?.generation) ?? null);
  const notices = kept.rows("notices", "seq").filter((row) => insert(target, "notices", row));
  const told = new Set(notices.map((row) => number(row.record_id)));
  const good = new Set<number>();
  let lastId = marks?.lastId ?? 0;
  for (const row of kept.rows("records", "id", marks?.open.keys())) {
    const record = row as unknown as StoredRecord;
    lastId = Math.max(lastId, record.id);
    if (keep(target, record, { marks, told, now })) good.add(record.id);
  }
  target.query("DELETE FROM sqlite_sequence WHERE name = 'records'").run();
  target.query("INSERT INTO sqlite_sequence (name, seq) VALUES ('records', ?)").run(lastId);
  const lost = [...(marks?.open.values() ?? [])].filter(({ id }) => !good.has(id));
  const counted = marks !== undefined && marks.head !== undefined && marks.unreadable === 0;
  notify(target, { lost, counted, now, noticesMax, storeId });
  return { why: "", aside: "", lost: lost.length, counted, kept: good.size };
}

/** Puts a row into the fresh file; false when it is not as it was stored or has no room. */
function keep(
  target: Database,
  record: StoredRecord,
  { marks, told, now }: { marks: MarksFound | undefined; told: Set<number | undefined>; now: number },
): boolean {
  const waits = record.ended_at === null;
  if (!waits && (!recordStates.includes(record.state) || !isEnded(record.state))) return false;
  // What is read of a damaged file may be of any type.
  const checksum = record.checksum === undefined ? wholeChecksumOf(record) : String(record.checksum);
  if (waits && !isIntact({ ...record, checksum })) return false;
  if (marks !== undefined && marks.open.get(record.id)?.key !== record.key && marks.open.has(record.id))
    return false;
  const end = marks?.ended.get(record.id);
  if (!waits || end === undefined) {
    // What is known of its attempts may be of an earlier time: only that it may have been sent is certain.
    const life = waits ? { state: "queued", ambiguous: 1 } : {};
    return insert(target, "records", { ...(record as unknown as AnyRow), ...life, checksum });
  }
  const ended = { state: end, ended_at: now, arguments: null, parent: null };
  const done = insert(target, "records", { ...(record as unknown as AnyRow), ...ended, checksum });
  const reason = reasonOf[end];
  if (done && reason !== undefined && !told.has(record.id))
    writeNotice(target, { reason, id: record.id, row: record, detail: "its end was read after damage", now });
  return done;
}

const reasonOf: Partial<Record<RecordState, NoticeReason>> = {
  rejected: "rejected",
  expired: "expired",
  dropped: "dropped",
  unknown: "unknown",
};

type Loss = { lost: Accepted[]; counted: boolean; now: number; noticesMax: number; storeId: string };

/** One notice for every write that is known to be missing, or one for what cannot be named. */
function notify(target: Database, { lost, counted, now, noticesMax, storeId }: Loss): void {
  const times = lost.map(({ at }) => at);
  const time = (ms: number) => new Date(ms).toISOString();
  const span =
    lost.length === 0 ? "" : ` between ${time(Math.min(...times))} and ${time(Math.max(...times))}`;
  const detail = `${lost.length} accepted writes${span} are missing from the damaged store`;
  for (const one of lost.slice(0, noticesMax))
    writeNotice(target, {
      ...{ reason: "damaged", id: one.id, detail, now },
      row: { key: one.key, message_id: one.messageId, tool: one.tool, enqueued_at: one.at },
    });
  if (lost.length > noticesMax)
    target
      .query("UPDATE notices SET more = more + ? WHERE seq = (SELECT max(seq) FROM notices)")
      .run(lost.length - noticesMax);
  if (counted) return;
  writeNotice(target, {
    ...{ reason: "damaged", id: 0, now },
    detail: `${detail}; which others were accepted cannot be told, because the record of them is damaged too`,
    row: {
      key: "unknown",
      message_id: uuidOf("damaged", storeId, String(now)),
      tool: "any",
      enqueued_at: now,
    },
  });
}

type NoticeFacts = {
  reason: NoticeReason;
  id: number;
  row: {
    key: string;
    message_id: string;
    tool: string;
    enqueued_at: number;
    recipient?: string | null;
    excerpt?: string;
    arguments?: string | null;
  };
  detail: string;
  now: number;
};

function writeNotice(target: Database, { reason, id, row, detail, now }: NoticeFacts): void {
  const shown = { arguments: row.arguments ?? null, excerpt: row.excerpt ?? "" };
  insert(target, "notices", {
    ...{ record_id: id, reason, tool: row.tool, key: row.key, message_id: row.message_id },
    ...{
      recipient: row.recipient ?? null,
      excerpt: excerptOfRow(shown),
      detail,
      enqueued_at: row.enqueued_at,
    },
    ended_at: now,
  });
}

function insert(target: Database, table: string, row: AnyRow): boolean {
  const names = Object.keys(row);
  try {
    target
      .query(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`)
      .run(...names.map((name) => row[name] ?? null));
    return true;
  } catch (error) {
    // A value of the wrong kind is damage; a disk that fails is not.
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code.startsWith("SQLITE_CONSTRAINT") || code === "SQLITE_MISMATCH") return false;
    throw error;
  }
}

function close(database: Database | undefined): void {
  try {
    database?.close();
  } catch {
    // The file is set aside; nothing more is asked of it.
  }
}

function inodeOf(path: string): number | undefined {
  return existsSync(path) ? statSync(path).ino : undefined;
}

function number(value: Value | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}
