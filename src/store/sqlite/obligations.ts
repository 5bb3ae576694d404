/** Replies that are owed, in SQLite: their steps, their lists, their decline. Every call belongs inside a transaction. */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { AgentId, MessageId } from "../../wire/id.ts";
import { type ObligationStep, stepAt } from "../../wire/obligation-steps.ts";
import type { NewMessage, Recipient } from "../rules.ts";
import type {
  DeclineResult,
  EndedObligations,
  ObligationChange,
  ObligationMove,
  OpenObligation,
  Outstanding,
  WriteBatch,
  WriteBatchResult,
} from "../store.ts";

type DueRow = Omit<ObligationMove, "step"> & {
  openedAt: number;
  dueAt: number | null;
  step: ObligationStep;
};
type OpenRow = Omit<OpenObligation, "dueAt"> & { dueAt: number | null };
type StateRow = { closedAt: number | null; closedBy: string | null; declined: number };

const parties = `o.message_id AS messageId, o.debtor_id AS debtorId, d.name AS debtorName,
  o.creditor_id AS creditorId, c.name AS creditorName, o.opened_at AS openedAt, o.due_at AS dueAt, o.step`;
const names = "CROSS JOIN agents d ON d.id = o.debtor_id CROSS JOIN agents c ON c.id = o.creditor_id";
const shown = `${parties}, m.thread_id AS threadId, substr(m.body, 1, ${limits.excerptMax}) AS excerpt`;

/** Opens and closes the obligations of messages, while they are stored. */
export function obligationWriter(database: Database) {
  const insert = database.prepare<unknown, [string, string, string, number, number | null, number]>(
    `INSERT INTO obligations (message_id, debtor_id, creditor_id, opened_at, due_at, next_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
  );
  const close = database.prepare<unknown, [string, string, number, string]>(
    `UPDATE obligations SET closed_at = ?3, closed_by = ?4, next_at = NULL
     WHERE message_id = ?1 AND debtor_id = ?2 AND closed_at IS NULL`,
  );
  return {
    open({ id, sender, replyBy }: NewMessage, debtor: Recipient, now: number): ObligationChange {
      // One that is due already takes its last step at once.
      const nextAt = stepAt({ openedAt: now, dueAt: replyBy }, now).nextAt ?? now;
      insert.run(id, debtor.id, sender, now, replyBy ?? null, nextAt);
      return { kind: "opened", messageId: id, otherId: debtor.id, otherName: debtor.name, nextAt };
    },
    discharge({ id, sender, recipients }: NewMessage, messageId: MessageId, now: number): ObligationChange[] {
      const [creditor] = recipients;
      if (close.run(messageId, sender, now, id).changes === 0 || creditor === undefined) return [];
      return [
        { kind: "discharged", messageId, otherId: creditor.id, otherName: creditor.name, nextAt: undefined },
      ];
    },
  };
}

/**
 * A function that does what follows from the removal of an agent: nobody waits for what it was owed, and what it owes
 * ends. It gives back whom to tell, each once; the names are those of before.
 */
export function obligationEnder(database: Database): (removed: AgentId, now: number) => EndedObligations {
  const forget = database.prepare<unknown, [string]>(
    "DELETE FROM obligations WHERE creditor_id = ?1 AND closed_at IS NULL",
  );
  const end = database.prepare<{ creditorId: AgentId }, [string, number]>(
    `UPDATE obligations SET closed_at = ?2, next_at = NULL
     WHERE debtor_id = ?1 AND closed_at IS NULL RETURNING creditor_id AS creditorId`,
  );
  return (removed, now) => {
    forget.run(removed);
    const ended = end.all(removed, now).map(({ creditorId }) => creditorId);
    return { count: ended.length, creditors: [...new Set(ended)] };
  };
}

/** The verbs about obligations. @param applyWrites the verb of that name, in the same transaction */
export function obligationVerbs(
  database: Database,
  applyWrites: (batch: WriteBatch, now: number) => WriteBatchResult,
) {
  const due = database.prepare<DueRow, [number, number]>(
    `SELECT ${parties} FROM obligations o ${names}
     WHERE o.closed_at IS NULL AND o.next_at <= ?1 ORDER BY o.next_at LIMIT ?2`,
  );
  const advance = database.prepare<unknown, [string, string, number, number | null]>(
    "UPDATE obligations SET step = ?3, next_at = ?4 WHERE message_id = ?1 AND debtor_id = ?2",
  );
  const soonest = database.prepare<{ nextAt: number }, []>(
    `SELECT next_at AS nextAt FROM obligations WHERE closed_at IS NULL AND next_at IS NOT NULL
     ORDER BY next_at LIMIT 1`,
  );

  return {
    stepObligations(now: number): { moves: ObligationMove[]; nextAt: number | undefined } {
      const moves: ObligationMove[] = [];
      for (const { openedAt, dueAt, step: before, ...sides } of due.all(now, limits.obligationStepsMax)) {
        const { step, nextAt } = stepAt({ openedAt, dueAt: dueAt ?? undefined }, now);
        advance.run(sides.messageId, sides.debtorId, step, nextAt ?? null);
        if (step > before) moves.push({ ...sides, step });
      }
      return { moves, nextAt: soonest.get()?.nextAt };
    },
    ...listVerbs(database),
    ...declineVerb(database, applyWrites),
  };
}

function listVerbs(database: Database) {
  const list = (where: string) =>
    database.prepare<OpenRow, [number, string]>(
      `SELECT ${shown} FROM obligations o ${names} CROSS JOIN messages m ON m.id = o.message_id
       WHERE o.closed_at IS NULL AND ${where} = ?2 ORDER BY o.opened_at LIMIT ?1`,
    );
  const owed = list("o.debtor_id");
  const awaited = list("o.creditor_id");
  const ended = database.prepare<OpenRow, [string, number, number]>(
    `SELECT ${shown} FROM obligations o ${names} CROSS JOIN messages m ON m.id = o.message_id
     WHERE o.creditor_id = ?1 AND o.closed_at IS NOT NULL AND o.closed_by IS NULL
       AND (o.told_at IS NULL OR o.told_at > ?2) ORDER BY o.opened_at LIMIT ?3`,
  );
  const told = database.prepare<unknown, [string, string, number]>(
    "UPDATE obligations SET told_at = ?3 WHERE message_id = ?1 AND debtor_id = ?2 AND told_at IS NULL",
  );
  const all = database.prepare<OpenRow, [number]>(
    `SELECT ${shown} FROM obligations o ${names} CROSS JOIN messages m ON m.id = o.message_id
     WHERE o.closed_at IS NULL ORDER BY o.opened_at LIMIT ?1`,
  );
  return {
    outstanding: (agentId: AgentId, limit: number): Outstanding => ({
      owed: owed.all(limit, agentId).map(openOf),
      awaited: awaited.all(limit, agentId).map(openOf),
    }),
    tellEnded(creditorId: AgentId, now: number): OpenObligation[] {
      const rows = ended.all(creditorId, now - limits.endedShownMs, limits.remindersShownMax);
      for (const { messageId, debtorId } of rows) told.run(messageId, debtorId, now);
      return rows.map(openOf);
    },
    allOutstanding: (limit: number): OpenObligation[] => all.all(limit).map(openOf),
  };
}

function declineVerb(database: Database, applyWrites: (batch: WriteBatch, now: number) => WriteBatchResult) {
  const state = database.prepare<StateRow, [string, string]>(
    `SELECT closed_at AS closedAt, closed_by AS closedBy, declined FROM obligations
     WHERE message_id = ?1 AND debtor_id = ?2`,
  );
  const mark = database.prepare<unknown, [string, string, string]>(
    "UPDATE obligations SET declined = 1 WHERE message_id = ?1 AND debtor_id = ?2 AND closed_by = ?3",
  );
  return {
    declineObligation(messageId: MessageId, batch: WriteBatch, now: number): DeclineResult {
      const row = state.get(messageId, batch.sender);
      if (row === null) return { status: "not_owed" };
      const [write] = batch.writes;
      // The same decline again finds the obligation closed by its own reply.
      if (row.closedAt !== null && row.closedBy !== write?.messageId) {
        return { status: "closed", declined: row.declined === 1, closedAt: row.closedAt };
      }
      const result = applyWrites(batch, now);
      if (write !== undefined) mark.run(messageId, batch.sender, write.messageId);
      if (result.status !== "applied") return { status: "written", result };
      const obligations = result.obligations?.map((change) => ({ ...change, kind: "declined" as const }));
      return {
        status: "written",
        result: { ...result, ...(obligations === undefined ? {} : { obligations }) },
      };
    },
  };
}

function openOf(row: OpenRow): OpenObligation {
  return { ...row, dueAt: row.dueAt ?? undefined };
}
