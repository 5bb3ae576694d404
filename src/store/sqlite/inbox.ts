/** Inboxes in SQLite: pages in seq order, the mark of what was acknowledged, single messages. */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import { type AgentId, asId, type MessageId, type ThreadId } from "../../wire/id.ts";
import type { Message } from "../../wire/message.ts";
import type { InboxPage, InboxQuery } from "../store.ts";

type MessageRow = {
  id: string;
  seq: number;
  from: string;
  fromKind: "agent" | "operator";
  to: string;
  body: string;
  threadId: string;
  replyTo: string | null;
  late: number;
  expectsReply: number;
  createdAt: number;
};
type Marks = { newestSeq: number; acknowledgedSeq: number };

const columns = `m.id, i.seq, s.name AS "from", s.kind AS fromKind, m.recipient AS "to", m.body,
  m.thread_id AS threadId, m.reply_to AS replyTo, m.late, i.expects_reply AS expectsReply, m.created_at AS createdAt`;

/** The verbs about inboxes. Every call belongs inside a transaction. */
export function inboxVerbs(database: Database) {
  const marks = database.prepare<Marks, [string]>(
    "SELECT newest_seq AS newestSeq, acknowledged_seq AS acknowledgedSeq FROM agents WHERE id = ?1",
  );
  // CROSS JOIN keeps SQLite to this order: the inbox gives the order of the page.
  const page = database.prepare<MessageRow, [string, number, number]>(
    `SELECT ${columns} FROM inbox i CROSS JOIN messages m ON m.id = i.message_id
     CROSS JOIN agents s ON s.id = m.sender_id
     WHERE i.agent_id = ?1 AND i.seq > ?2 ORDER BY i.seq LIMIT ?3`,
  );
  const acknowledge = database.prepare<unknown, [string, number, number]>(
    `UPDATE agents SET acknowledged_seq = min(?2, newest_seq), acknowledged_at = ?3
     WHERE id = ?1 AND acknowledged_seq < min(?2, newest_seq)`,
  );
  // One's own inbox row comes first; a sender sees its message with the seq of the recipient.
  const message = database.prepare<MessageRow, [string, string]>(
    `SELECT ${columns} FROM messages m CROSS JOIN inbox i ON i.message_id = m.id
     CROSS JOIN agents s ON s.id = m.sender_id
     WHERE m.id = ?2 AND (i.agent_id = ?1 OR m.sender_id = ?1)
     ORDER BY i.agent_id <> ?1, i.agent_id LIMIT 1`,
  );

  function readInbox(query: InboxQuery): InboxPage {
    const { newestSeq, acknowledgedSeq } = marks.get(query.agentId) ?? { newestSeq: 0, acknowledgedSeq: 0 };
    const after = query.unread ? Math.max(query.afterSeq, acknowledgedSeq) : query.afterSeq;
    const messages: Message[] = [];
    let bytes = 0;
    for (const row of page.iterate(query.agentId, after, query.limit)) {
      bytes += Buffer.byteLength(row.body);
      if (messages.length > 0 && bytes > limits.inboxPageBytesMax) break;
      messages.push(messageOf(row));
    }
    const last = messages.at(-1)?.seq;
    return { messages, more: last !== undefined && last < newestSeq, newestSeq, acknowledgedSeq };
  }

  return {
    readInbox,
    acknowledgeInbox(agentId: AgentId, seq: number, now: number): number {
      acknowledge.run(agentId, seq, now);
      return marks.get(agentId)?.acknowledgedSeq ?? 0;
    },
    findMessage(agentId: AgentId, id: MessageId): (Message & { threadId: ThreadId }) | undefined {
      const row = message.get(agentId, id);
      return row === null ? undefined : messageOf(row);
    },
  };
}

function messageOf(row: MessageRow): Message & { threadId: ThreadId } {
  const { replyTo, late, expectsReply, createdAt, threadId, ...rest } = row;
  return {
    ...rest,
    threadId: asId(threadId),
    ...(replyTo === null ? {} : { replyTo }),
    ...(late === 1 ? { late: true } : {}),
    expectsReply: expectsReply === 1,
    createdAt: new Date(createdAt).toISOString(),
  };
}
