/**
 * Forgetting old messages in SQLite, in bounded steps along their numbers. What an agent has not read, what somebody
 * owes a reply for, and what closed an obligation that is kept, stays. A removed agent will read nothing more.
 */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { PrunedStep, PruneStep } from "../store.ts";
import { whoOf } from "./past.ts";

type OldRow = { number: number; id: string; createdAt: number; kept: number };

/** The verb that forgets messages. Every call belongs inside a transaction. */
export function forgetVerbs(database: Database) {
  // The newest message stays, so that numbers never begin anew.
  const old = database.prepare<OldRow, [number, number]>(
    `SELECT m.number, m.id, m.created_at AS createdAt,
       (m.number = (SELECT max(number) FROM messages)
        OR EXISTS (SELECT 1 FROM inbox i CROSS JOIN agents a ON a.id = i.agent_id
          WHERE i.message_id = m.id AND a.removed_at IS NULL AND i.seq > a.acknowledged_seq AND i.read_at IS NULL AND i.replied_at IS NULL)
        OR EXISTS (SELECT 1 FROM obligations o WHERE o.message_id = m.id AND o.closed_at IS NULL)
        OR EXISTS (SELECT 1 FROM obligations o WHERE o.closed_by = m.id)) AS kept
     FROM messages m WHERE m.number > ?1 ORDER BY m.number LIMIT ?2`,
  );
  const indexed = database.prepare<{ number: number }, []>(
    "SELECT number FROM search_progress WHERE one = 1",
  );
  const unsearch = database.prepare(
    `INSERT INTO search (search, rowid, body, who)
     SELECT 'delete', m.number, m.body, ${whoOf} FROM messages m WHERE m.number = ?1`,
  );
  const forget = [
    "DELETE FROM obligations WHERE message_id = ?1",
    "DELETE FROM inbox WHERE message_id = ?1",
    "DELETE FROM messages WHERE id = ?1",
  ].map((sql) => database.prepare(sql));

  return {
    pruneMessages({ before, after }: PruneStep): PrunedStep {
      const rows = old.all(after, limits.pruneMessagesMax);
      const due = rows.filter(({ createdAt }) => createdAt < before);
      const searched = indexed.get()?.number ?? 0;
      const going = due.filter(({ kept }) => kept === 0);
      for (const { number, id } of going) {
        if (number <= searched) unsearch.run(number);
        for (const statement of forget) statement.run(id);
      }
      const last = rows.at(-1)?.number;
      return { gone: going.length, next: due.length < rows.length ? undefined : last };
    },
  };
}
