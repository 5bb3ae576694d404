/** Insights in SQLite: the newest so many, and which kinds are wanted. Every call belongs inside a transaction. */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { AgentId } from "../../wire/id.ts";
import { type Insight, type InsightKind, insightKinds } from "../../wire/insight.ts";
import type { InsightQuery, StoredInsight } from "../store.ts";

type InsightRow = Omit<StoredInsight, "facts"> & { facts: string };

const select = `SELECT i.number, i.id, a.name AS agentName, i.kind, i.at, i.received_at AS receivedAt, i.facts
  FROM insights i CROSS JOIN agents a ON a.id = i.agent_id`;
/** Names of features of this kind in the table of features. */
const prefix = "insight:";

/** The verbs about insights. */
export function insightVerbs(database: Database) {
  const wanted = database.prepare<{ enabled: number }, [string]>(
    "SELECT enabled FROM features WHERE name = ?1",
  );
  const off = database.prepare<{ name: string }, []>(
    "SELECT name FROM features WHERE enabled = 0 ORDER BY name",
  );
  const change = database.prepare<unknown, [string, number, number]>(
    `INSERT INTO features (name, enabled, changed_at) VALUES (?1, ?2, ?3)
     ON CONFLICT (name) DO UPDATE SET enabled = ?2, changed_at = ?3`,
  );
  const insert = database.prepare<{ number: number }, [string, string, string, number, number, string]>(
    `INSERT INTO insights (id, agent_id, kind, at, received_at, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (id) DO NOTHING RETURNING number`,
  );
  const forget = database.prepare<unknown, [number]>("DELETE FROM insights WHERE number <= ?1");
  // Few rows are looked through, because few are kept.
  const list = database.prepare<InsightRow, [number, string | null, string | null, number]>(
    `${select} WHERE i.number < ?1 AND (?2 IS NULL OR i.kind = ?2) AND (?3 IS NULL OR i.agent_id = ?3)
     ORDER BY i.number DESC LIMIT ?4`,
  );
  const isEnabled = (kind: InsightKind) => wanted.get(prefix + kind)?.enabled !== 0;

  return {
    addInsight(agentId: AgentId, insight: Insight, now: number): "stored" | "known" | "disabled" {
      const { id, kind, at, facts } = insight;
      if (!isEnabled(kind)) return "disabled";
      const row = insert.get(id, agentId, kind, at, now, JSON.stringify(facts));
      if (row === null) return "known";
      forget.run(row.number - limits.insightsMax);
      return "stored";
    },
    listInsights: ({
      before = Number.MAX_SAFE_INTEGER,
      kind,
      agentId,
      limit,
    }: InsightQuery): StoredInsight[] =>
      list.all(before, kind ?? null, agentId ?? null, limit).map((row) => ({
        ...row,
        // Written above from the same type.
        facts: JSON.parse(row.facts) as Insight["facts"],
      })),
    disabledInsights(): InsightKind[] {
      const names = new Set(off.all().map(({ name }) => name));
      return insightKinds.filter((kind) => names.has(prefix + kind));
    },
    setInsightKind(kind: InsightKind, enabled: boolean, now: number): boolean {
      if (isEnabled(kind) === enabled) return false;
      change.run(prefix + kind, enabled ? 1 : 0, now);
      return true;
    },
  };
}
