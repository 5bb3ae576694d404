/** Notices as rows of their table. */
import type { Database } from "bun:sqlite";
import type { NoticeReason } from "./record.ts";
import { excerptOfRow, type Row } from "./row-views.ts";
import type { NoticeRow } from "./rows.ts";

export const noticeColumns = `seq, record_id AS recordId, reason, tool, key, message_id AS messageId, recipient AS "to",
  excerpt, detail, enqueued_at AS enqueuedAt, ended_at AS endedAt, more`;
export type StoredNotice = Omit<NoticeRow, "to"> & { to: string | null };

/** The row as the rest of the room has it. */
export function noticeOf(row: StoredNotice): NoticeRow {
  return { ...row, to: row.to ?? undefined };
}

export type NewNotice = {
  row: Pick<
    Row,
    "id" | "tool" | "key" | "message_id" | "recipient" | "arguments" | "excerpt" | "detail" | "enqueued_at"
  >;
  reason: NoticeReason;
  at: number;
  noticesMax: number;
};

/** Writes a notice; when there is no room for one more, the newest one speaks for the others too. */
export function noticeWriter(database: Database): (notice: NewNotice) => NoticeRow {
  const pending = database.query<{ pending: number }, []>(
    "SELECT count(*) AS pending FROM notices WHERE seen_at IS NULL",
  );
  const insert = database.query<StoredNotice, (string | number | null)[]>(
    `INSERT INTO notices (record_id, reason, tool, key, message_id, recipient, excerpt, detail, enqueued_at, ended_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING ${noticeColumns}`,
  );
  const addMore = database.query<StoredNotice, []>(
    `UPDATE notices SET more = more + 1 WHERE seq = (SELECT max(seq) FROM notices WHERE seen_at IS NULL)
     RETURNING ${noticeColumns}`,
  );
  return ({ row, reason, at, noticesMax }) => {
    const full = (pending.get()?.pending ?? 0) >= noticesMax;
    const stored = full
      ? addMore.get()
      : insert.get(
          row.id,
          reason,
          row.tool,
          row.key,
          row.message_id,
          row.recipient,
          excerptOfRow(row),
          row.detail ?? "",
          row.enqueued_at,
          at,
        );
    if (stored === null) throw new Error(`Write the notice of record ${row.id}: SQLite stored nothing`);
    return noticeOf(stored);
  };
}
