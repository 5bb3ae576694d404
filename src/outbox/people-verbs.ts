/** The SQL behind what people do with an outbox, and behind notices that are not the end of a record. */
import type { Database } from "bun:sqlite";
import { asId, canonicalJson, type MessageId } from "../wire/id.ts";
import type { RecordDetail } from "../wire/write.ts";
import { checksumOf, isIntact } from "./checksum.ts";
import { noticeWriter } from "./notice-rows.ts";
import { newLife, type RecordState } from "./record.ts";
import { excerptOfRow, type Row, viewOf } from "./row-views.ts";
import type {
  DelayedRequest,
  GenerationRequest,
  NoticeRow,
  OutboxMethods,
  RetryReply,
  RetryRequest,
  StoreLimits,
} from "./rows.ts";

/** Verbs on an open, current file. Each belongs inside a transaction. */
export type People = {
  show(request: Parameters<OutboxMethods["show"]>[0]): RecordDetail | undefined;
  retry(request: RetryRequest, epoch: number): RetryReply;
  pause(at: number | undefined): void;
  delayed(request: DelayedRequest, limits: StoreLimits): { notices: NoticeRow[] };
  generation(request: GenerationRequest, limits: StoreLimits): { notices: NoticeRow[] };
};

/** Keys that a notice names at most. */
const namedKeysMax = 20;

/** Why a record in this state cannot be sent again; undefined when it can. */
const retryRefusal: Record<RecordState, string | undefined> = {
  queued: "it waits and will be sent",
  sending: "it is being sent",
  sent: "the relay has it",
  unknown: "it may have taken effect; find out first, then make a new call",
  rejected: undefined,
  expired: undefined,
  dropped: undefined,
};

/** The verbs on this file. */
export function preparePeople(database: Database): People {
  const byId = database.query<Row, [number]>("SELECT * FROM records WHERE id = ?");
  const notify = noticeWriter(database);
  const pending = database.query<{ count: number }, []>(
    "SELECT count(*) AS count FROM notices WHERE seen_at IS NULL",
  );
  /** The last notice speaks for records that ended: what is told here is no end, so it gives way. */
  const isFull = (noticesMax: number) => (pending.get()?.count ?? 0) >= noticesMax;
  return {
    show({ id, expiryMs, body }) {
      const row = byId.get(id);
      return row === null ? undefined : detailOf(row, expiryMs, body);
    },
    retry: (request, epoch) => retry(database, byId.get(request.id), { ...request, epoch }),
    pause: (at) => void database.query("UPDATE store SET paused_at = ?").run(at ?? null),
    delayed({ id, step, detail, now }, { noticesMax }) {
      const row = byId.get(id);
      if (row === null || row.ended_at !== null) return { notices: [] };
      const told = database
        .query<{ count: number }, [number]>(
          "SELECT count(*) AS count FROM notices WHERE reason = 'delayed' AND ended_at >= ?",
        )
        .get(row.enqueued_at);
      if ((told?.count ?? 0) >= step || isFull(noticesMax)) return { notices: [] };
      return {
        notices: [notify({ row: { ...row, id: 0, detail }, reason: "delayed", at: now, noticesMax })],
      };
    },
    generation: (request, limits) => {
      const before = database.query<{ generation: number | null }, []>("SELECT generation FROM store").get();
      database.query("UPDATE store SET generation = ?").run(request.generation);
      const was = before?.generation ?? null;
      if (was === null || was === request.generation) return { notices: [] };
      const sent = database
        .query<Row, [number]>("SELECT * FROM records WHERE state = 'sent' AND ended_at >= ? ORDER BY id DESC")
        .all(request.since);
      const [newest] = sent;
      if (newest === undefined || isFull(limits.noticesMax)) return { notices: [] };
      const detail = restoredDetail(sent, request);
      const row = { ...newest, id: 0, recipient: null, detail };
      return {
        notices: [notify({ row, reason: "restored", at: request.now, noticesMax: limits.noticesMax })],
      };
    },
  };
}

function restoredDetail(sent: readonly Row[], { since }: GenerationRequest): string {
  const keys = sent.slice(0, namedKeysMax).map(({ key }) => key);
  const more = sent.length > keys.length ? ` and ${sent.length - keys.length} more` : "";
  const from = new Date(since).toISOString();
  return `${sent.length} writes confirmed since ${from} may be missing, newest first: ${keys.join(", ")}${more}`;
}

function detailOf(row: Row, expiryMs: number, body: boolean): RecordDetail {
  const shown = body && row.arguments !== null;
  return {
    ...viewOf(row, expiryMs),
    recipientId: row.recipient_id ?? undefined,
    callId: row.call_id ?? undefined,
    ...(row.trace === null ? {} : { trace: row.trace }),
    endedAt: row.ended_at === null ? undefined : new Date(row.ended_at).toISOString(),
    excerpt: excerptOfRow(row),
    ...(shown ? { arguments: JSON.parse(row.arguments ?? "{}") as Record<string, unknown> } : {}),
  };
}

function retry(database: Database, row: Row | null, request: RetryRequest & { epoch: number }): RetryReply {
  if (row === null) return { status: "unknown" };
  const reason = retryRefusal[row.state];
  if (reason !== undefined) return { status: "refused", reason };
  if (row.arguments === null) return { status: "refused", reason: "what was written is no longer kept" };
  if (!isIntact(row)) return { status: "refused", reason: "it is not as it was stored" };
  const { key, messageId, now, epoch } = request;
  // A row of an older format may have them in another order.
  const canonical = canonicalJson(JSON.parse(row.arguments));
  const fresh = { ...row, key, message_id: messageId as string, call_id: null, enqueued_at: now };
  // `seen`: no call of the agent may be taken for this write, which a person has made.
  const stored = database
    .query<{ id: number }, (string | number | null)[]>(
      `INSERT INTO records (epoch, key, message_id, tool, fingerprint, arguments, excerpt, recipient, recipient_id,
       parent, bytes, enqueued_at, state, seen, checksum)
       SELECT ?, ?, ?, tool, fingerprint, ?, excerpt, recipient, recipient_id, parent, bytes, ?, 'queued', 1, ?
       FROM records WHERE id = ? RETURNING id`,
    )
    .get(epoch, key, messageId, canonical, now, checksumOf(fresh), row.id);
  if (stored === null) throw new Error(`Send record ${row.id} again: SQLite stored nothing`);
  const record = {
    ...{ id: stored.id, key, messageId: asId<MessageId>(messageId), tool: row.tool, bytes: row.bytes },
    ...{ enqueuedAt: now, life: newLife },
  };
  return { status: "stored", record };
}
