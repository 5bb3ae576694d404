/**
 * Brings a database to the schema of this program: numbered steps, each one transaction, counted in `user_version`.
 * It never goes back, and never touches a database that is newer or belongs to another program.
 */
import type { Database } from "bun:sqlite";
import firstSql from "./sqlite/0001_first.sql" with { type: "text" };
import laneUseSql from "./sqlite/0002_lane_use.sql" with { type: "text" };
import identitySql from "./sqlite/0003_identity.sql" with { type: "text" };
import messagesSql from "./sqlite/0004_messages.sql" with { type: "text" };
import obligationsSql from "./sqlite/0005_obligations.sql" with { type: "text" };
import auditSql from "./sqlite/0006_audit.sql" with { type: "text" };
import endedSql from "./sqlite/0007_ended_obligations.sql" with { type: "text" };
import makersSql from "./sqlite/0008_token_makers.sql" with { type: "text" };

/** One step. Numbers count from 1 without gaps and are never used again. */
export type Migration = { readonly version: number; readonly name: string; readonly sql: string };

export const migrations: readonly Migration[] = [
  { version: 1, name: "0001_first", sql: firstSql },
  { version: 2, name: "0002_lane_use", sql: laneUseSql },
  { version: 3, name: "0003_identity", sql: identitySql },
  { version: 4, name: "0004_messages", sql: messagesSql },
  { version: 5, name: "0005_obligations", sql: obligationsSql },
  { version: 6, name: "0006_audit", sql: auditSql },
  { version: 7, name: "0007_ended_obligations", sql: endedSql },
  { version: 8, name: "0008_token_makers", sql: makersSql },
];

/** Marks a file as a relay's database (SQLite `application_id`): the letters ARLY. */
export const applicationId = 0x41_52_4c_59;

/** The database cannot be used by this program. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

/**
 * Applies every step that the database does not have yet.
 * @param list the steps; tests pass their own
 * @returns the version that holds now
 * @throws SchemaError when the database is newer than the list or belongs to another program
 */
export function migrate(database: Database, list: readonly Migration[] = migrations): number {
  const newest = list.at(-1)?.version ?? 0;
  const before = pragma(database, "user_version");
  assertOurs(database, before);
  if (before > newest) {
    throw new SchemaError(
      `Open the relay's database: its schema is version ${before}, this program knows up to ${newest}; ` +
        "use the newer program that wrote it",
    );
  }
  for (const step of list) if (step.version > before) apply(database, step);
  return newest;
}

/** The schema as text: one statement per object, in the order of their names within each kind. */
export function dumpSchema(database: Database): string {
  const rows = database
    .query<{ sql: string }, []>(
      `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
       ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, name`,
    )
    .all();
  const head = `-- Written by tools/schema-dump.ts: do not edit. Schema version ${pragma(database, "user_version")}.`;
  return `${head}\n\n${rows.map(({ sql }) => `${sql};\n`).join("\n")}`;
}

function assertOurs(database: Database, version: number): void {
  const id = pragma(database, "application_id");
  if (id === applicationId) return;
  const tables = database.query<{ n: number }, []>("SELECT count(*) AS n FROM sqlite_schema").get()?.n ?? 0;
  if (id === 0 && version === 0 && tables === 0) return;
  throw new SchemaError(
    `Open the relay's database: the file belongs to another program (application id ${id}, ${tables} objects); ` +
      "a database of Agent Relay or no file was wanted",
  );
}

function apply(database: Database, step: Migration): void {
  database.run("BEGIN IMMEDIATE");
  try {
    database.run(step.sql);
    database.run(`PRAGMA application_id = ${applicationId}`);
    database.run(`PRAGMA user_version = ${step.version}`);
    database.run("COMMIT");
  } catch (error) {
    if (database.inTransaction) database.run("ROLLBACK");
    throw new SchemaError(`Apply migration ${step.name}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

function pragma(database: Database, name: "user_version" | "application_id"): number {
  const row = database.query<Record<string, number>, []>(`PRAGMA ${name}`).get();
  return row?.[name] ?? 0;
}
