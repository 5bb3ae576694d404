/** The SQL of the outbox, one function per verb. All of it runs inside a transaction that the engine holds. */
import type { Database } from "bun:sqlite";
import { asId } from "../wire/id.ts";
import type { LaneRecord } from "../wire/lane.ts";
import type { NeutralResult } from "../wire/receipt.ts";
import type { RecordView } from "../wire/write.ts";
import { isIntact } from "./checksum.ts";
import { noticeColumns, noticeOf, noticeWriter, type StoredNotice } from "./notice-rows.ts";
import { newLife, step } from "./record.ts";
import type { EarlierWrite } from "./reissue.ts";
import { earlierOf, knownOf, laneRecordOf, lifeOf, type Row, viewOf } from "./row-views.ts";
import type {
  KnownRecord,
  ListRequest,
  LoadRequest,
  NoticeRow,
  OpenRecord,
  SaveRequest,
  StoreLimits,
} from "./rows.ts";
import { addStore } from "./schema.ts";

/** What waits: the two numbers that the limits are about. */
export type Counts = { records: number; bytes: number };
type Identity = { storeId: string; relayId: string; agentId: string; epoch: number };
type Saved = { notices: NoticeRow[]; ended: Counts };

export type Verbs = {
  open(request: LoadRequest): Identity;
  reopen(discard: LoadRequest["discard"]): void;
  contents(): { records: OpenRecord[]; notices: NoticeRow[]; lastId: number; paused: boolean };
  count(): Counts;
  byKey(key: string): EarlierWrite | undefined;
  /** Writes since then whose answers were not seen, oldest first. */
  unseenSince(time: number): EarlierWrite[];
  mark(ids: readonly number[]): void;
  save(request: SaveRequest, limits: StoreLimits): Saved;
  payloads(ids: readonly number[]): { id: number; record: LaneRecord }[];
  find(id: number): KnownRecord | undefined;
  findKey(key: string): KnownRecord | undefined;
  list(request: ListRequest): RecordView[];
  prune(now: number, limits: StoreLimits): number;
};

/** Rows removed in one transaction, so that no write waits long behind the removal. */
const pruneRowsMax = 500;

/** The verbs on an open, current file. */
export function prepareVerbs(database: Database): Verbs {
  const byId = database.query<Row, [number]>("SELECT * FROM records WHERE id = ?");
  const earlier = "SELECT id, fingerprint, call_id, enqueued_at, seen FROM records";
  const byKey = database.query<Row, [string]>(`${earlier} WHERE key = ?`);
  const whole = database.query<Row, [string]>("SELECT * FROM records WHERE key = ?");
  const mark = database.query("UPDATE records SET state = 'sending' WHERE id = ? AND ended_at IS NULL");
  return {
    open: (request) => identify(database, request),
    reopen: (discard) => reopen(database, discard),
    contents: () => contents(database),
    count: () => {
      const row = database
        .query(
          "SELECT count(*) AS records, coalesce(sum(bytes), 0) AS bytes FROM records WHERE ended_at IS NULL",
        )
        .get();
      return row as Counts;
    },
    byKey: (key) => {
      const row = byKey.get(key);
      return row === null ? undefined : earlierOf(row);
    },
    unseenSince: (time) =>
      database
        .query<Row, [number]>(`${earlier} WHERE seen = 0 AND enqueued_at >= ? ORDER BY id`)
        .all(time)
        .map(earlierOf),
    mark: (ids) => {
      for (const id of ids) mark.run(id);
    },
    save: saver(database),
    payloads: (ids) =>
      ids.flatMap((id) => {
        const row = byId.get(id);
        if (row === null || row.arguments === null || row.ended_at !== null) return [];
        if (!isIntact(row)) throw new Error(`Read record ${row.key}: it is not as it was stored`);
        return [{ id, record: laneRecordOf(row) }];
      }),
    find: (id) => {
      const row = byId.get(id);
      return row === null ? undefined : knownOf(row);
    },
    findKey: (key) => {
      const row = whole.get(key);
      return row === null ? undefined : knownOf(row);
    },
    list: ({ limit, expiryMs }) =>
      database
        .query<Row, [number]>("SELECT * FROM records ORDER BY ended_at IS NOT NULL, id LIMIT ?")
        .all(limit)
        .map((row) => viewOf(row, expiryMs)),
    prune: (now, limits) => prune(database, now, limits),
  };
}

function identify(database: Database, request: LoadRequest): Identity {
  const { newStoreId: storeId, relayId, agentId, now: createdAt } = request;
  addStore(database, { storeId, relayId, agentId, createdAt });
  const row = database
    .query(
      "UPDATE store SET epoch = epoch + 1 RETURNING store_id AS storeId, relay_id AS relayId, agent_id AS agentId, epoch",
    )
    .get();
  return row as Identity;
}

/** Every record whose attempt may have been under way waits again, and remembers it. */
function reopen(database: Database, discard: LoadRequest["discard"]): void {
  const remove = database.query("DELETE FROM records WHERE key = ? AND id > ? AND ended_at IS NULL");
  for (const key of discard.keys) remove.run(key, discard.afterId);
  const { life } = step(
    { ...newLife, state: "sending" },
    { type: "reopened" },
    { poisonAttemptsMax: 1, poisonSpanMs: 0 },
  );
  database
    .query("UPDATE records SET state = ?, ambiguous = ? WHERE state = 'sending'")
    .run(life.state, life.ambiguous ? 1 : 0);
}

function contents(database: Database): ReturnType<Verbs["contents"]> {
  const rows = database
    .query<Row, []>(
      `SELECT id, key, message_id, tool, bytes, enqueued_at, state, attempts, ambiguous, failures, first_failure_at,
       detail FROM records WHERE ended_at IS NULL ORDER BY id`,
    )
    .all();
  const notices = database
    .query(`SELECT ${noticeColumns} FROM notices WHERE seen_at IS NULL ORDER BY seq`)
    .all();
  const last = database.query("SELECT seq FROM sqlite_sequence WHERE name = 'records'").get();
  const store = database
    .query<{ paused: number }, []>("SELECT paused_at IS NOT NULL AS paused FROM store")
    .get();
  return {
    paused: store?.paused === 1,
    records: rows.map((row) => ({
      id: row.id,
      key: asId(row.key),
      messageId: asId(row.message_id),
      tool: row.tool,
      bytes: row.bytes,
      enqueuedAt: row.enqueued_at,
      life: lifeOf(row),
    })),
    notices: notices.map((row) => noticeOf(row as StoredNotice)),
    lastId: (last as { seq: number } | null)?.seq ?? 0,
  };
}

function saver(database: Database): Verbs["save"] {
  const change = database.query(
    `UPDATE records SET state = ?, attempts = ?, ambiguous = ?, failures = ?, first_failure_at = ?, detail = ?
     WHERE id = ? AND ended_at IS NULL`,
  );
  const end = database.query<Row, (string | number | null)[]>(
    "UPDATE records SET result = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL RETURNING *",
  );
  // What was not sent stays readable for a person who may want to send it after all.
  const erase = database.query(
    "UPDATE records SET arguments = NULL, parent = NULL, excerpt = '' WHERE id = ?",
  );
  const recordSeen = database.query("UPDATE records SET seen = 1 WHERE id = ? AND seen = 0");
  const noticeSeen = database.query("UPDATE notices SET seen_at = ? WHERE seq = ? AND seen_at IS NULL");
  const notify = noticeWriter(database);
  return (request, limits) => {
    const notices: NoticeRow[] = [];
    const ended: Counts = { records: 0, bytes: 0 };
    for (const { id, life, end: ending } of request.changes) {
      const first = life.firstFailureAt ?? null;
      const detail = life.detail ?? null;
      change.run(life.state, life.attempts, life.ambiguous ? 1 : 0, life.failures, first, detail, id);
      if (ending === undefined) continue;
      const row = end.get(resultJson(ending.result, limits), ending.at, id);
      if (row === null) continue;
      ended.records += 1;
      ended.bytes += row.bytes;
      if (ending.notice !== undefined)
        notices.push(notify({ row, reason: ending.notice, at: ending.at, noticesMax: limits.noticesMax }));
      if (life.state === "sent") erase.run(id);
    }
    for (const id of request.seenRecords) recordSeen.run(id);
    for (const seq of request.seenNotices) noticeSeen.run(request.now, seq);
    return { notices, ended };
  };
}

function prune(database: Database, now: number, limits: StoreLimits): number {
  const oldest = now - limits.tombstoneMs;
  const records = database
    .query(
      `DELETE FROM records WHERE id IN (SELECT id FROM records WHERE ended_at IS NOT NULL AND
       (ended_at < ? OR id <= (SELECT id FROM records WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET ?))
       ORDER BY id LIMIT ?)`,
    )
    .run(oldest, limits.tombstonesMax, pruneRowsMax);
  const notices = database
    .query(
      "DELETE FROM notices WHERE seq IN (SELECT seq FROM notices WHERE seen_at < ? ORDER BY seq LIMIT ?)",
    )
    .run(oldest, pruneRowsMax);
  return records.changes + notices.changes;
}

function resultJson(result: NeutralResult | undefined, limits: StoreLimits): string | null {
  if (result === undefined) return null;
  const text = JSON.stringify(result);
  return Buffer.byteLength(text) > limits.resultBytesMax ? null : text;
}
