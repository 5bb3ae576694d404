/**
 * The tables of an outbox file and how a file becomes current. Forward only, in one transaction; a file of a newer
 * program is refused, never read by guessing.
 */
import type { Database } from "bun:sqlite";
import { type SealedRow, type SealedStore, storeChecksumOf, wholeChecksumOf } from "./checksum.ts";

/** Version this program writes (`PRAGMA user_version`). */
export const schemaVersion = 6;

const migrations: readonly string[] = [
  `
  CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id TEXT NOT NULL,
    relay_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch INTEGER NOT NULL,
    key TEXT NOT NULL UNIQUE,
    message_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    call_id TEXT,
    arguments TEXT,
    excerpt TEXT NOT NULL,
    recipient TEXT,
    recipient_id TEXT,
    parent TEXT,
    bytes INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    ambiguous INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    first_failure_at INTEGER,
    detail TEXT,
    result TEXT,
    ended_at INTEGER,
    seen INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX records_open ON records (id) WHERE ended_at IS NULL;
  CREATE INDEX records_ended ON records (ended_at) WHERE ended_at IS NOT NULL;
  CREATE INDEX records_unseen ON records (fingerprint) WHERE seen = 0;
  CREATE TABLE notices (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    record_id INTEGER NOT NULL,
    reason TEXT NOT NULL,
    tool TEXT NOT NULL,
    key TEXT NOT NULL,
    message_id TEXT NOT NULL,
    recipient TEXT,
    excerpt TEXT NOT NULL,
    detail TEXT NOT NULL,
    enqueued_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    more INTEGER NOT NULL DEFAULT 0,
    seen_at INTEGER
  ) STRICT;
  CREATE INDEX notices_pending ON notices (seq) WHERE seen_at IS NULL;
  `,
  `
  ALTER TABLE records ADD COLUMN checksum TEXT NOT NULL DEFAULT '';
  ALTER TABLE store ADD COLUMN paused_at INTEGER;
  ALTER TABLE store ADD COLUMN generation INTEGER;
  `,
  // Equal writes are found in memory, waiting ones by reading all: an index costs a page of the log for each commit.
  `
  DROP INDEX records_open;
  DROP INDEX records_unseen;
  `,
  // For finding a write again, so no part of the checksum.
  "ALTER TABLE records ADD COLUMN trace TEXT;",
  // No change of the tables: new rows are sealed otherwise, which an older program would take for damage.
  "SELECT 5;",
  // Without a checksum a damaged row could say that the file is another agent's, a damaged header that it is newer.
  `
  ALTER TABLE store ADD COLUMN format INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE store ADD COLUMN checksum TEXT NOT NULL DEFAULT '';
  `,
];

/** The version of an open file; 0 when it is new. */
export function versionOf(database: Database): number {
  const row = database.query("PRAGMA user_version").get() as { user_version: number };
  return row.user_version;
}

/** First version whose open rows carry a checksum. */
export const checksumVersion = 2;
/** First version whose store row carries one. */
export const storeChecksumVersion = 6;

/** Brings the file to `schemaVersion`. Called inside a transaction, and not for a newer file. */
export function migrate(database: Database): void {
  const before = versionOf(database);
  for (const [index, statements] of migrations.entries()) {
    if (index < versionOf(database)) continue;
    database.run(statements);
    database.run(`PRAGMA user_version = ${index + 1}`);
  }
  if (before > 0 && before < checksumVersion) seal(database);
  if (before > 0 && before < schemaVersion) sealStore(database);
}

/** The row gets the format that the file has now: with another one than its header the file would count as damaged. */
function sealStore(database: Database): void {
  const row = database.query<SealedStore, []>("SELECT * FROM store").get();
  if (row === null) return;
  const checksum = storeChecksumOf({ ...row, format: schemaVersion });
  database.query("UPDATE store SET format = ?, checksum = ?").run(schemaVersion, checksum);
}

/** What the only row of `store` says. */
export type NewStore = { storeId: string; relayId: string; agentId: string; createdAt: number };

/** Says of a new file whose it is; does nothing when that is said already. */
export function addStore(database: Database, { storeId, relayId, agentId, createdAt }: NewStore): void {
  const sealed = { store_id: storeId, relay_id: relayId, agent_id: agentId, format: schemaVersion };
  database
    .query(
      `INSERT INTO store (one, store_id, relay_id, agent_id, epoch, created_at, format, checksum)
       VALUES (1, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT DO NOTHING`,
    )
    .run(storeId, relayId, agentId, createdAt, schemaVersion, storeChecksumOf(sealed));
}

/** Rows that were made before there were checksums get theirs. */
function seal(database: Database): void {
  const rows = database.query<SealedRow & { id: number }, []>("SELECT * FROM records").all();
  const set = database.query("UPDATE records SET checksum = ? WHERE id = ?");
  for (const row of rows) set.run(wholeChecksumOf(row), row.id);
}
