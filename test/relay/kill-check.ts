/** What must hold of a relay's database after kills: compared with the ledgers of the writers, and with itself. */
import type { Database } from "bun:sqlite";
import type { Sent } from "./kill-load.ts";

type Row = { id: string; sender: string; recipient: string; seq: number | null; replyTo: string | null };

/**
 * Every fault, one sentence each; none when all that was acknowledged is there once and in order, inboxes have no
 * gaps, and obligations are open and closed as the writes say.
 */
export function databaseFaults(database: Database, sent: readonly Sent[]): string[] {
  return [...inboxFaults(database), ...messageFaults(database, sent), ...obligationFaults(database, sent)];
}

/** The file's own consistency, page by page and reference by reference. Takes seconds on a large one. */
export function fileFaults(database: Database): string[] {
  const check = database.query<{ quick_check: string }, []>("PRAGMA quick_check(5)").all();
  const keys = database.query<Record<string, unknown>, []>("PRAGMA foreign_key_check").all();
  return [
    ...check.map((row) => row.quick_check).filter((text) => text !== "ok"),
    ...keys.slice(0, 5).map((row) => `a reference to nothing: ${JSON.stringify(row)}`),
  ];
}

function inboxFaults(database: Database): string[] {
  const rows = database
    .query<{ name: string; count: number; first: number; last: number; newest: number }, []>(
      `SELECT a.name, count(*) AS count, min(i.seq) AS first, max(i.seq) AS last, a.newest_seq AS newest
       FROM inbox i JOIN agents a ON a.id = i.agent_id GROUP BY i.agent_id`,
    )
    .all();
  return rows
    .filter(({ count, first, last, newest }) => first !== 1 || count !== last || newest !== last)
    .map((row) => `the inbox of ${row.name} has a gap: ${JSON.stringify(row)}`);
}

function messageFaults(database: Database, sent: readonly Sent[]): string[] {
  const find = database.prepare<Row, [string]>(
    `SELECT m.id, s.name AS sender, r.name AS recipient, i.seq, m.reply_to AS replyTo FROM messages m
     JOIN agents s ON s.id = m.sender_id LEFT JOIN inbox i ON i.message_id = m.id LEFT JOIN agents r ON r.id = i.agent_id
     WHERE m.id = ?1`,
  );
  const faults: string[] = [];
  const last = new Map<string, { seq: number; number: number }>();
  for (const one of sent) {
    const rows = find.all(one.id);
    const [row] = rows;
    if (row === undefined || row.seq === null) {
      if (one.acknowledged) faults.push(`acknowledged and gone: ${one.from} ${one.number}`);
      else if (row !== undefined) faults.push(`stored without its inbox row: ${one.from} ${one.number}`);
      continue;
    }
    if (rows.length > 1) faults.push(`delivered ${rows.length} times: ${one.from} ${one.number}`);
    if (row.sender !== one.from || row.recipient !== one.to || row.replyTo !== (one.replyTo ?? null))
      faults.push(`not as it was sent: ${one.from} ${one.number}: ${JSON.stringify(row)}`);
    const pair = `${one.from} to ${one.to}`;
    const before = last.get(pair);
    if (before !== undefined && before.number < one.number && before.seq > row.seq)
      faults.push(`out of order: ${pair}, ${before.number} after ${one.number}`);
    last.set(pair, { seq: row.seq, number: one.number });
  }
  return faults;
}

function obligationFaults(database: Database, sent: readonly Sent[]): string[] {
  const find = database.prepare<{ closedBy: string | null }, [string]>(
    "SELECT closed_by AS closedBy FROM obligations WHERE message_id = ?1",
  );
  const replies = new Map(
    sent.filter(({ acknowledged }) => acknowledged).map((one) => [one.replyTo, one.id]),
  );
  return sent
    .filter(({ expectsReply, acknowledged }) => expectsReply && acknowledged)
    .flatMap(({ id, from, number }) => {
      const obligation = find.get(id);
      if (obligation === null) return [`the obligation is gone: ${from} ${number}`];
      const reply = replies.get(id);
      return reply === undefined || obligation.closedBy === reply
        ? []
        : [`still owed though ${reply} answered it: ${from} ${number}`];
    });
}
