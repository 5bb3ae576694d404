/** What agents do, in SQLite, as their runners last said it. Every call belongs inside a transaction. */
import type { Database } from "bun:sqlite";
import type { AgentId } from "../../wire/id.ts";
import type { ReportedState } from "../../wire/presence.ts";
import type { StoredPresence } from "../store.ts";

/** The verbs about presence. */
export function presenceVerbs(database: Database) {
  const before = database.prepare<{ state: ReportedState }, [string]>(
    "SELECT state FROM presence WHERE agent_id = ?1",
  );
  const note = database.prepare<unknown, [string, string, number]>(
    `INSERT INTO presence (agent_id, state, since, heard_at) VALUES (?1, ?2, ?3, ?3)
     ON CONFLICT (agent_id) DO UPDATE SET
       since = CASE WHEN state = ?2 THEN since ELSE ?3 END, state = ?2, heard_at = ?3`,
  );
  const all = database.prepare<StoredPresence, []>(
    "SELECT agent_id AS agentId, state, since, heard_at AS heardAt FROM presence ORDER BY agent_id",
  );
  return {
    reportPresence(agentId: AgentId, state: ReportedState, now: number): boolean {
      const known = before.get(agentId);
      note.run(agentId, state, now);
      return known?.state !== state;
    },
    presences: (): StoredPresence[] => all.all(),
  };
}
