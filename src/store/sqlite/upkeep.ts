/** The identity of a SQLite store, its counts, and the forgetting of what no longer matters. */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { RelayId } from "../../wire/id.ts";
import type { StoreCounts, StoreIdentity } from "../store.ts";

/**
 * The identity of this database; the first opening makes it. Must run outside a transaction.
 * @param fresh id to take when there is none yet
 */
export function readIdentity(
  database: Database,
  fresh: { relayId: string; now: number },
  schemaVersion: number,
): StoreIdentity {
  database
    .query(
      "INSERT INTO identity (one, relay_id, generation, created_at) VALUES (1, ?1, 1, ?2) ON CONFLICT DO NOTHING",
    )
    .run(fresh.relayId, fresh.now);
  const row = database
    .query<{ relayId: RelayId; generation: number }, []>(
      "SELECT relay_id AS relayId, generation FROM identity WHERE one = 1",
    )
    .get();
  if (row === null) throw new Error("Read the relay's identity: the database has none");
  return { ...row, schemaVersion };
}

/** The verbs that look at the whole. Every call belongs inside a transaction. */
export function upkeepVerbs(database: Database) {
  const counted = database.prepare<StoreCounts, []>(
    `SELECT (SELECT count(*) FROM agents WHERE removed_at IS NULL) AS agents, (SELECT count(*) FROM messages) AS messages,
       (SELECT coalesce(sum(newest_seq - acknowledged_seq), 0) FROM agents WHERE removed_at IS NULL) AS unread,
       (SELECT count(*) FROM obligations WHERE closed_at IS NULL) AS obligationsOpen`,
  );
  const forgetOutcomes = database.prepare(
    "DELETE FROM outcomes WHERE rowid IN (SELECT rowid FROM outcomes WHERE at < ?1 LIMIT ?2)",
  );
  const forgetTokens = database.prepare(
    `DELETE FROM tokens WHERE rowid IN (
       SELECT rowid FROM tokens WHERE kind = 'agent' AND expires_at <= ?1 LIMIT ?2)`,
  );

  return {
    counts(): StoreCounts {
      const counts = counted.get();
      if (counts === null) throw new Error("Count the rows of the store: there was no answer");
      return counts;
    },
    /** Forgets a bounded number of rows; asked again until it forgets none. */
    prune(now: number, keyWindowMs: number): number {
      const outcomes = forgetOutcomes.run(now - keyWindowMs, limits.pruneRowsMax).changes;
      return outcomes + forgetTokens.run(now, limits.pruneRowsMax).changes;
    },
  };
}
