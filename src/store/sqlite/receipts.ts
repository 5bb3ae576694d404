/**
 * How far messages have got, in SQLite: the steps of each inbox row, set once and never taken back. A step is not set
 * after a later one: what was read need not be handed over any more.
 */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { AgentId, MessageId } from "../../wire/id.ts";
import type { ReportedStage } from "../../wire/receipt.ts";
import type { MessageStatus, RecipientStatus, StageReport, StatusQuery } from "../store.ts";

type StepRow = {
  name: string;
  handedAt: number | null;
  injectedAt: number | null;
  readAt: number | null;
  repliedAt: number | null;
};
type StatusRow = { senderId: AgentId; from: string; to: string; threadId: string; createdAt: number };
type Marks = { newestSeq: number; acknowledgedSeq: number };

/** The verbs about receipts. Every call belongs inside a transaction. */
export function receiptVerbs(database: Database) {
  const readUpTo = reader(database);
  const report = reporter(database, readUpTo);
  const message = database.prepare<StatusRow, [string]>(
    `SELECT m.sender_id AS senderId, s.name AS "from", m.recipient AS "to", m.thread_id AS threadId,
       m.created_at AS createdAt
     FROM messages m CROSS JOIN agents s ON s.id = m.sender_id WHERE m.id = ?1`,
  );
  const steps = database.prepare<StepRow, [string]>(
    `SELECT a.name, i.handed_at AS handedAt, i.injected_at AS injectedAt, i.read_at AS readAt,
       i.replied_at AS repliedAt
     FROM inbox i CROSS JOIN agents a ON a.id = i.agent_id WHERE i.message_id = ?1 ORDER BY i.agent_id`,
  );

  return {
    reportReceipts: (stages: StageReport, now: number): number => report(stages, now),
    acknowledgeInbox: (agentId: AgentId, seq: number, now: number): number => readUpTo(agentId, seq, now),
    messageStatus({ id, sender }: StatusQuery): MessageStatus | undefined {
      const row = message.get(id);
      if (row === null || (sender !== undefined && row.senderId !== sender)) return undefined;
      const { senderId: _, ...facts } = row;
      return { id, ...facts, recipients: steps.all(id).map((step) => recipientOf(step, row.createdAt)) };
    },
  };
}

/** A function that says of all messages up to a seq that they were read, in bounded steps; the seq that holds now. */
function reader(database: Database) {
  const marks = database.prepare<Marks, [string]>(
    "SELECT newest_seq AS newestSeq, acknowledged_seq AS acknowledgedSeq FROM agents WHERE id = ?1",
  );
  const read = database.prepare<unknown, [string, number, number, number]>(
    `UPDATE inbox SET read_at = ?4
     WHERE agent_id = ?1 AND seq > ?2 AND seq <= ?3 AND read_at IS NULL AND replied_at IS NULL`,
  );
  const acknowledge = database.prepare<unknown, [string, number, number]>(
    "UPDATE agents SET acknowledged_seq = ?2, acknowledged_at = ?3 WHERE id = ?1 AND acknowledged_seq < ?2",
  );
  return (agentId: AgentId, seq: number, now: number): number => {
    const { newestSeq, acknowledgedSeq } = marks.get(agentId) ?? { newestSeq: 0, acknowledgedSeq: 0 };
    const upTo = Math.min(seq, newestSeq, acknowledgedSeq + limits.pruneRowsMax);
    if (upTo <= acknowledgedSeq) return acknowledgedSeq;
    read.run(agentId, acknowledgedSeq, upTo, now);
    acknowledge.run(agentId, upTo, now);
    return upTo;
  };
}

function reporter(database: Database, readUpTo: ReturnType<typeof reader>) {
  const step = (column: string, later: string) =>
    database.prepare<{ seq: number }, [string, string, number]>(
      `UPDATE inbox SET ${column} = ?3
       WHERE message_id = ?1 AND agent_id = ?2 AND coalesce(${later}) IS NULL RETURNING seq`,
    );
  const steps: Record<ReportedStage, ReturnType<typeof step>> = {
    handed: step("handed_at", "handed_at, injected_at, read_at, replied_at"),
    injected: step("injected_at", "injected_at, read_at, replied_at"),
    read: step("read_at", "read_at, replied_at"),
  };
  // All that follow the acknowledged seq and were read one by one are acknowledged with it.
  const firstUnread = database.prepare<{ seq: number }, [string]>(
    `SELECT i.seq FROM agents a CROSS JOIN inbox i ON i.agent_id = a.id AND i.seq > a.acknowledged_seq
     WHERE a.id = ?1 AND i.read_at IS NULL AND i.replied_at IS NULL ORDER BY i.seq LIMIT 1`,
  );
  return ({ agentId, stage, messageIds }: StageReport, now: number): number => {
    const moved = messageIds.filter((id: MessageId) => steps[stage].get(id, agentId, now) !== null).length;
    if (stage === "read" && moved > 0) {
      const next = firstUnread.get(agentId)?.seq ?? Number.MAX_SAFE_INTEGER;
      readUpTo(agentId, next - 1, now);
    }
    return moved;
  };
}

function recipientOf(row: StepRow, storedAt: number): RecipientStatus {
  const times = {
    stored: storedAt,
    handed: row.handedAt,
    injected: row.injectedAt,
    read: row.readAt,
    replied: row.repliedAt,
  };
  const known = Object.entries(times).filter((entry): entry is [string, number] => entry[1] !== null);
  return { name: row.name, times: Object.fromEntries(known) };
}
