/** How messages are read from SQLite: the columns that every query of messages has, and what is made of a row. */
import { limits } from "../../limits.ts";
import { asId, type ThreadId } from "../../wire/id.ts";
import type { Message, PastMessage } from "../../wire/message.ts";

type CommonRow = {
  id: string;
  from: string;
  fromKind: "agent" | "operator";
  to: string;
  body: string;
  threadId: string;
  replyTo: string | null;
  hops: number;
  urgent: number;
  late: number;
  createdAt: number;
  originalId: string | null;
  originalFrom: string | null;
  originalBody: string | null;
  originalAt: number | null;
};
/** A row of an inbox. */
export type MessageRow = CommonRow & { seq: number; expectsReply: number; redelivered: number };
/** A row of a look back; seq only where the asker got it. */
export type PastRow = CommonRow & { number: number; seq: number | null; self: number };

/** Columns of a message `m` with its sender `s` and the original `f` of the sender `fs`, when it passes one on. */
export const messageColumns = `m.id, s.name AS "from", s.kind AS fromKind, m.recipient AS "to", m.body,
  m.thread_id AS threadId, m.reply_to AS replyTo, m.hops, m.urgent, m.late, m.created_at AS createdAt,
  f.id AS originalId, fs.name AS originalFrom, f.body AS originalBody, f.created_at AS originalAt`;
/** The joins for these columns, after `messages m`. */
export const messageJoins = `CROSS JOIN agents s ON s.id = m.sender_id
  LEFT JOIN messages f ON f.id = m.forward_of LEFT JOIN agents fs ON fs.id = f.sender_id`;

/** A message of an inbox. */
export function messageOf(row: MessageRow): Message & { threadId: ThreadId } {
  return {
    ...commonOf(row),
    seq: row.seq,
    expectsReply: row.expectsReply === 1,
    ...(row.redelivered === 1 ? { redelivered: true } : {}),
  };
}

/** A message of a look back. */
export function pastMessageOf(row: PastRow): PastMessage {
  return { ...commonOf(row), ...(row.seq === null ? {} : { seq: row.seq }), self: row.self === 1 };
}

function commonOf(row: CommonRow) {
  const { id, from, fromKind, to, body, threadId, replyTo, hops, urgent, late, createdAt } = row;
  const forwarded = originalOf(row);
  return {
    id,
    from,
    fromKind,
    to,
    body,
    threadId: asId<ThreadId>(threadId),
    ...(replyTo === null ? {} : { replyTo }),
    ...(forwarded === undefined ? {} : { forwarded }),
    ...(hops === 0 ? {} : { hops }),
    ...(urgent === 1 ? { urgent: true } : {}),
    ...(late === 1 ? { late: true } : {}),
    createdAt: new Date(createdAt).toISOString(),
  };
}

function originalOf({ originalId, originalFrom, originalBody, originalAt }: CommonRow): Message["forwarded"] {
  if (originalId === null || originalFrom === null || originalBody === null || originalAt === null)
    return undefined;
  return {
    id: originalId,
    from: originalFrom,
    body: originalBody,
    createdAt: new Date(originalAt).toISOString(),
  };
}

/**
 * Rows until a page is full: at most `limits.inboxPageBytesMax` of bodies, and one row however large it is.
 * @returns the rows, and whether some were left
 */
export function fitting<Row extends CommonRow>(rows: Iterable<Row>): { rows: Row[]; cut: boolean } {
  const taken: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    bytes += Buffer.byteLength(row.body) + Buffer.byteLength(row.originalBody ?? "");
    if (taken.length > 0 && bytes > limits.inboxPageBytesMax) return { rows: taken, cut: true };
    taken.push(row);
  }
  return { rows: taken, cut: false };
}
