/**
 * Inboxes in SQLite: pages in seq order, what was read of them, single messages. What is read is a seq up to which
 * everything was read (`acknowledged_seq`), and after it single messages with a `read_at`.
 */
import type { Database } from "bun:sqlite";
import type { AgentId, MessageId, ThreadId } from "../../wire/id.ts";
import type { Message } from "../../wire/message.ts";
import type { InboxCheck, InboxPage, InboxQuery } from "../store.ts";
import { fitting, type MessageRow, messageColumns, messageJoins, messageOf } from "./message-rows.ts";

type Marks = { newestSeq: number; acknowledgedSeq: number; shownSeq: number };

/** A message that was replied to was read. */
const unread = "i.read_at IS NULL AND i.replied_at IS NULL";

const noMarks: Marks = { newestSeq: 0, acknowledgedSeq: 0, shownSeq: 0 };

function inboxStatements(database: Database) {
  const marks = database.prepare<Marks, [string]>(
    `SELECT newest_seq AS newestSeq, acknowledged_seq AS acknowledgedSeq, shown_seq AS shownSeq
     FROM agents WHERE id = ?1`,
  );
  // CROSS JOIN keeps SQLite to this order: the inbox gives the order of the page.
  const page = (redelivered: string, condition: string) =>
    database.prepare<MessageRow, [string, number, number, number]>(
      `SELECT ${messageColumns}, i.seq, i.expects_reply AS expectsReply, ${redelivered} AS redelivered
       FROM inbox i CROSS JOIN messages m ON m.id = i.message_id ${messageJoins}
       WHERE i.agent_id = ?1 AND i.seq > ?2 AND ?4 >= 0 ${condition} ORDER BY i.seq LIMIT ?3`,
    );
  const handedBefore = `i.handed_at IS NOT NULL AND ${unread} AND ?4 > 0`;
  // One's own inbox row comes first; a sender sees its message with the seq of the recipient.
  const message = database.prepare<MessageRow, [string, string]>(
    `SELECT ${messageColumns}, i.seq, i.expects_reply AS expectsReply, 0 AS redelivered
     FROM messages m CROSS JOIN inbox i ON i.message_id = m.id ${messageJoins}
     WHERE m.id = ?2 AND (i.agent_id = ?1 OR m.sender_id = ?1)
     ORDER BY i.agent_id <> ?1, i.agent_id LIMIT 1`,
  );
  return {
    marks,
    all: page(handedBefore, ""),
    unread: page(handedBefore, `AND ${unread}`),
    shown: page("i.injected_at IS NOT NULL OR i.seq <= ?4", `AND ${unread}`),
    message,
    markShown: database.prepare<unknown, [string, number]>(
      "UPDATE agents SET shown_seq = ?2 WHERE id = ?1 AND shown_seq < ?2",
    ),
  };
}

/** The verbs about inboxes. Every call belongs inside a transaction. */
export function inboxVerbs(database: Database) {
  const statements = inboxStatements(database);
  const marksOf = (agentId: AgentId) => statements.marks.get(agentId) ?? noMarks;

  function readInbox(query: InboxQuery): InboxPage {
    const { newestSeq, acknowledgedSeq } = marksOf(query.agentId);
    const after = query.unread ? Math.max(query.afterSeq, acknowledgedSeq) : query.afterSeq;
    const page = query.unread ? statements.unread : statements.all;
    const marksHanded = query.marksRedelivered === true ? 1 : 0;
    const { rows } = fitting(page.iterate(query.agentId, after, query.limit, marksHanded));
    return pageOf(rows, { newestSeq, acknowledgedSeq });
  }

  /** What is unread, for the agent itself. What an earlier check gave or its session already has is marked. */
  function checkInbox({ agentId, limit }: InboxCheck): InboxPage {
    const { newestSeq, acknowledgedSeq, shownSeq } = marksOf(agentId);
    const { rows } = fitting(statements.shown.iterate(agentId, acknowledgedSeq, limit, shownSeq));
    const last = rows.at(-1)?.seq ?? 0;
    if (last > shownSeq) statements.markShown.run(agentId, last);
    return pageOf(rows, { newestSeq, acknowledgedSeq });
  }

  return {
    readInbox,
    checkInbox,
    findMessage(agentId: AgentId, id: MessageId): (Message & { threadId: ThreadId }) | undefined {
      const row = statements.message.get(agentId, id);
      return row === null ? undefined : messageOf(row);
    },
  };
}

function pageOf(
  rows: readonly MessageRow[],
  { newestSeq, acknowledgedSeq }: { newestSeq: number; acknowledgedSeq: number },
): InboxPage {
  const last = rows.at(-1)?.seq;
  return {
    messages: rows.map(messageOf),
    more: last !== undefined && last < newestSeq,
    newestSeq,
    acknowledgedSeq,
  };
}
