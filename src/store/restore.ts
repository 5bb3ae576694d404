/**
 * Backups of a relay's database on disk: looking into one, and putting one in the place of the database. A restored
 * database begins a new generation, so that nobody takes what it does not know for what has not happened.
 */
import type { Database } from "bun:sqlite";
import { copyFileSync, existsSync, linkSync, lstatSync, renameSync, rmSync } from "node:fs";
import { openSqlite, readSqlite, SqliteBusyError, syncFile } from "../base/sqlite.ts";
import { applicationId, migrate, migrations } from "./migrate.ts";
import { auditVerbs } from "./sqlite/audit.ts";

/** What a backup is. */
export type BackupFacts = {
  relayId: string;
  generation: number;
  schemaVersion: number;
  messages: number;
  agents: number;
  /** Newest entry of its audit log: with a note of it a later cut of the log shows. */
  auditSeq: number;
  auditHash: string;
  bytes: number;
};

/** The file cannot be restored here. */
export class RestoreError extends Error {
  override readonly name = "RestoreError";
}

/**
 * Looks into a backup without changing it: every page and index is checked.
 * @throws RestoreError when it is no backup, is damaged, or was made by a newer program
 */
export function inspectBackup(file: string): BackupFacts {
  if (!existsSync(file) || !lstatSync(file).isFile())
    throw new RestoreError(`Read ${file}: there is no such file`);
  let database: Database | undefined;
  try {
    database = readSqlite(file);
    return factsOf(database, file);
  } catch (error) {
    if (error instanceof RestoreError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new RestoreError(`Read ${file}: it is not a backup of Agent Relay, or it is damaged: ${why}`, {
      cause: error,
    });
  } finally {
    database?.close(true);
  }
}

export type RestoreOptions = {
  /** The backup. */
  file: string;
  /** Where the relay's database is, or will be. */
  path: string;
  /** ms since 1970. */
  now: number;
};

/** What was done. */
export type Restored = BackupFacts & {
  /** Where the database that was there before is now. */
  aside: string | undefined;
  /** Tokens that were revoked after the backup was made, and stay revoked. */
  revoked: number;
};

/** A restore that was interrupted leaves this beside the database. */
export function unfinishedRestore(path: string): string {
  return `${path}.restoring`;
}

/**
 * Puts a backup in the place of the database. The old database is kept aside. At every moment there is either the
 * old or the new one, or the start of a relay is refused (`unfinishedRestore`).
 * @throws RestoreError, and SqliteBusyError when a relay uses the database
 */
export function restoreBackup({ file, path, now }: RestoreOptions): Restored {
  const facts = inspectBackup(file);
  const current = closeCurrent(path);
  if (current.status === "usable" && current.relayId !== facts.relayId) {
    throw new RestoreError(
      `Restore ${file}: it is of relay ${facts.relayId}, the database here is of ${current.relayId}; use another home`,
    );
  }
  const fresh = unfinishedRestore(path);
  rmSync(fresh, { force: true });
  copyFileSync(file, fresh);
  // Without the numbers of the lost database a number that it may have used must not come again.
  const known = current.status === "usable" ? current.generation : Math.floor(now / 1_000);
  const generation = Math.max(known, facts.generation) + 1;
  const revocations = current.status === "usable" ? current.revocations : [];
  const revoked = beginGeneration(fresh, { generation, now, revocations, facts });
  const aside = current.status === "none" ? undefined : setAside(path, now);
  renameSync(fresh, path);
  syncFile(path);
  return { ...facts, generation, aside, revoked };
}

type Revocation = { id: string; at: number };
type Current =
  | { status: "none" | "damaged" }
  | { status: "usable"; relayId: string; generation: number; revocations: Revocation[] };

/** Makes the database of now one file that nobody has open, and reads what the next one has to know. */
function closeCurrent(path: string): Current {
  if (!existsSync(path)) return { status: "none" };
  let database: Database | undefined;
  try {
    database = openSqlite({ path, exclusive: true });
    migrate(database);
    const identity = identityOf(database);
    const revocations = database
      .query<Revocation, []>("SELECT id, revoked_at AS at FROM tokens WHERE revoked_at IS NOT NULL")
      .all();
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
    return { status: "usable", ...identity, revocations };
  } catch (error) {
    if (error instanceof SqliteBusyError) throw error;
    return { status: "damaged" };
  } finally {
    database?.close(true);
  }
}

function beginGeneration(
  path: string,
  {
    generation,
    now,
    revocations,
    facts,
  }: { generation: number; now: number; revocations: Revocation[]; facts: BackupFacts },
): number {
  const database = openSqlite({ path, exclusive: true });
  try {
    migrate(database);
    const work = database.transaction(() => {
      database.query("UPDATE identity SET generation = ?1").run(generation);
      // A session that was granted after the backup is unknown then, and its owner opens the lane anew.
      database.run("DELETE FROM lanes");
      const revoke = database.query("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL");
      let revoked = 0;
      for (const { id, at } of revocations) revoked += revoke.run(id, at).changes;
      const about = { generation, from: facts.generation, messages: facts.messages, revokedSince: revoked };
      auditVerbs(database).appendAudit([{ kind: "relay_restored", at: now, actor: "machine", facts: about }]);
      return revoked;
    });
    const revoked = work.immediate();
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
    return revoked;
  } finally {
    database.close(true);
  }
}

/** The old database under another name; its log goes with it, because it would spoil the new one. */
function setAside(path: string, now: number): string {
  const aside = `${path}.before-restore-${now}`;
  linkSync(path, aside);
  for (const part of ["-wal", "-shm"]) if (existsSync(path + part)) renameSync(path + part, aside + part);
  return aside;
}

function factsOf(database: Database, file: string): BackupFacts {
  const number = (sql: string) =>
    Object.values(database.query<Record<string, number>, []>(sql).get() ?? {})[0] ?? 0;
  if (number("PRAGMA application_id") !== applicationId) {
    throw new RestoreError(`Read ${file}: it is not a database of Agent Relay`);
  }
  const schemaVersion = number("PRAGMA user_version");
  const newest = migrations.at(-1)?.version ?? 0;
  if (schemaVersion > newest) {
    throw new RestoreError(
      `Read ${file}: its schema is version ${schemaVersion}, this program knows up to ${newest}; use the newer program`,
    );
  }
  const check = database.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get()?.quick_check;
  if (check !== "ok") throw new RestoreError(`Read ${file}: it is damaged: ${check}`);
  const audit = database
    .query<{ auditSeq: number; auditHash: string }, []>(
      "SELECT seq AS auditSeq, hash AS auditHash FROM audit ORDER BY seq DESC LIMIT 1",
    )
    .get();
  return {
    ...identityOf(database),
    schemaVersion,
    messages: number("SELECT count(*) FROM messages"),
    agents: number("SELECT count(*) FROM agents"),
    auditSeq: audit?.auditSeq ?? 0,
    auditHash: audit?.auditHash ?? "",
    bytes: lstatSync(file).size,
  };
}

function identityOf(database: Database): { relayId: string; generation: number } {
  const row = database
    .query<{ relayId: string; generation: number }, []>(
      "SELECT relay_id AS relayId, generation FROM identity WHERE one = 1",
    )
    .get();
  if (row === null)
    throw new RestoreError("Read the database: it has no identity, so no relay has ever used it");
  return row;
}
