/** The audit log in SQLite: appended to and read, never changed. Every call belongs inside a transaction. */
import type { Database } from "bun:sqlite";
import { type AuditEntry, type AuditRecord, auditHash, auditStart } from "../../wire/audit.ts";
import type { AuditQuery } from "../store.ts";

type AuditRow = Omit<AuditEntry, "facts" | "actorToken" | "actorName" | "subject"> & {
  actorToken: string | null;
  actorName: string | null;
  subject: string | null;
  facts: string;
};

const select = `SELECT seq, at, kind, actor, actor_token AS actorToken, actor_name AS actorName, subject, facts, hash
  FROM audit`;

/** The verbs of the audit log. */
export function auditVerbs(database: Database) {
  const newest = database.prepare<{ seq: number; hash: string }, []>(
    "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1",
  );
  const insert = database.prepare(
    `INSERT INTO audit (seq, at, kind, actor, actor_token, actor_name, subject, facts, hash)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
  );
  const after = database.prepare<AuditRow, [number, number]>(
    `${select} WHERE seq > ?1 ORDER BY seq LIMIT ?2`,
  );
  const before = database.prepare<AuditRow, [number, number]>(
    `${select} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2`,
  );
  const ofKind = database.prepare<AuditRow, [number, number, string]>(
    `${select} WHERE kind = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2`,
  );

  return {
    appendAudit(records: readonly AuditRecord[]): void {
      let { seq, hash } = newest.get() ?? { seq: 0, hash: auditStart };
      for (const record of records) {
        seq += 1;
        hash = auditHash(hash, { ...record, seq });
        const { at, kind, actor, actorToken, actorName, subject, facts } = record;
        const named = [actorToken ?? null, actorName ?? null, subject ?? null] as const;
        insert.run(seq, at, kind, actor, ...named, JSON.stringify(facts), hash);
      }
    },
    readAudit(query: AuditQuery): AuditEntry[] {
      const { limit } = query;
      if ("afterSeq" in query) return after.all(query.afterSeq, limit).map(entryOf);
      const end = query.beforeSeq ?? Number.MAX_SAFE_INTEGER;
      const { kind } = query;
      return (kind === undefined ? before.all(end, limit) : ofKind.all(end, limit, kind)).map(entryOf);
    },
  };
}

function entryOf(row: AuditRow): AuditEntry {
  const { actorToken, actorName, subject, facts, ...rest } = row;
  return {
    ...rest,
    ...(actorToken === null ? {} : { actorToken }),
    ...(actorName === null ? {} : { actorName }),
    ...(subject === null ? {} : { subject }),
    // Written by appendAudit from the same type.
    facts: JSON.parse(facts) as AuditEntry["facts"],
  };
}
