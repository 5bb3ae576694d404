/** A row of the table `records` and what is read out of it. */
import { asId } from "../wire/id.ts";
import type { LaneRecord } from "../wire/lane.ts";
import type { NeutralResult } from "../wire/receipt.ts";
import type { RecordView } from "../wire/write.ts";
import { excerptOf } from "./notices.ts";
import type { RecordLife, RecordState } from "./record.ts";
import type { EarlierWrite } from "./reissue.ts";
import type { KnownRecord } from "./rows.ts";

/** A row of `records`, as the columns that are read have it. */
export type Row = {
  id: number;
  key: string;
  message_id: string;
  tool: string;
  fingerprint: string;
  call_id: string | null;
  arguments: string | null;
  /** Of files of older versions; see `excerptOfRow`. */
  excerpt: string;
  recipient: string | null;
  recipient_id: string | null;
  parent: string | null;
  bytes: number;
  enqueued_at: number;
  state: RecordState;
  attempts: number;
  ambiguous: number;
  failures: number;
  first_failure_at: number | null;
  detail: string | null;
  result: string | null;
  ended_at: number | null;
  seen: number;
  checksum: string;
  trace: string | null;
};

export function earlierOf(row: Row): EarlierWrite {
  const { id, fingerprint, enqueued_at: enqueuedAt } = row;
  return { id, fingerprint, callId: row.call_id ?? undefined, enqueuedAt, seen: row.seen === 1 };
}

/** The beginning of what was written: made of the arguments while they are there, so that it is not stored twice. */
export function excerptOfRow(row: Pick<Row, "arguments" | "excerpt">): string {
  if (row.arguments === null) return row.excerpt;
  return excerptOf(JSON.parse(row.arguments) as Record<string, unknown>, row.arguments);
}

export function lifeOf(row: Row): RecordLife {
  return {
    state: row.state,
    attempts: row.attempts,
    ambiguous: row.ambiguous === 1,
    failures: row.failures,
    firstFailureAt: row.first_failure_at ?? undefined,
    detail: row.detail ?? undefined,
  };
}

export function laneRecordOf(row: Row): LaneRecord {
  const parent =
    row.parent === null ? {} : { parent: JSON.parse(row.parent) as { from: string; threadId: string } };
  return {
    key: asId(row.key),
    messageId: row.message_id,
    tool: row.tool,
    arguments: JSON.parse(row.arguments ?? "{}") as Record<string, unknown>,
    enqueuedAt: new Date(row.enqueued_at).toISOString(),
    ...(row.recipient_id === null ? {} : { recipientId: row.recipient_id }),
    ...parent,
    ...(row.trace === null ? {} : { trace: row.trace }),
  };
}

export function knownOf(row: Row): KnownRecord {
  return {
    id: row.id,
    key: asId(row.key),
    messageId: asId(row.message_id),
    tool: row.tool,
    state: row.state,
    detail: row.detail ?? undefined,
    enqueuedAt: row.enqueued_at,
    result: row.result === null ? undefined : (JSON.parse(row.result) as NeutralResult),
  };
}

export function viewOf(row: Row, expiryMs: number): RecordView {
  return {
    id: row.id,
    key: asId(row.key),
    messageId: asId(row.message_id),
    tool: row.tool,
    state: row.state,
    to: row.recipient ?? undefined,
    bytes: row.bytes,
    attempts: row.attempts,
    enqueuedAt: new Date(row.enqueued_at).toISOString(),
    expiresAt: new Date(row.enqueued_at + expiryMs).toISOString(),
    lastError: row.detail ?? undefined,
  };
}
