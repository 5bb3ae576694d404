/**
 * The sole place that opens SQLite. A file is opened so that a commit means fsync; every setting is read back,
 * and opening fails when the engine did not take it. Called inside a worker: its calls block.
 */
import { Database } from "bun:sqlite";
import { chmodSync, closeSync, existsSync, fsyncSync, lstatSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";

export type SqliteOptions = {
  /** File path, or `:memory:` for tests. */
  path: string;
  /** One connection owns the file until it closes: a second opener is refused. */
  exclusive: boolean;
  /** Erase deleted content from the file. */
  secureDelete?: boolean;
  /** Memory for pages, KiB, and savepoints kept in memory too: for large transactions. SQLite's own 2,000 by default. */
  cacheKib?: number;
  /** Pages that the log grows by before they are written into the file, which takes two flushes; 256 by default. */
  checkpointPages?: number;
};

/** The database is in use by another process. */
export class SqliteBusyError extends Error {
  override readonly name = "SqliteBusyError";
}

/** Opens or makes a database: folder 0700, file 0600, WAL, `synchronous=FULL`, foreign keys. */
export function openSqlite(options: SqliteOptions): Database {
  const memory = options.path === ":memory:";
  if (!memory) prepareFile(options.path);
  const database = new Database(options.path, { create: true, strict: true });
  try {
    configure(database, options, memory);
    return database;
  } catch (error) {
    database.close();
    if (isBusy(error))
      throw new SqliteBusyError(`Open ${options.path}: another process uses it`, { cause: error });
    throw error;
  }
}

/** Opens a database that nobody writes to, for looking into it: nothing is made, changed or locked. */
export function readSqlite(path: string): Database {
  const database = new Database(path, { readonly: true, strict: true });
  database.run("PRAGMA trusted_schema = OFF");
  return database;
}

/** Flushes a file and the entry of its name. */
export function syncFile(path: string): void {
  syncPath(path);
  syncPath(dirname(path));
}

/** True for SQLITE_BUSY and SQLITE_LOCKED. */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && /database is locked|SQLITE_BUSY|SQLITE_LOCKED/.test(`${error.message}`);
}

function configure(database: Database, options: SqliteOptions, memory: boolean): void {
  // In exclusive mode the lock is taken by the first write, so it is taken here rather than at the first record.
  set(
    database,
    "locking_mode",
    options.exclusive ? "EXCLUSIVE" : "NORMAL",
    options.exclusive ? "exclusive" : "normal",
  );
  database.run(`PRAGMA busy_timeout = ${options.exclusive ? 200 : 5000}`);
  if (!memory) set(database, "journal_mode", "WAL", "wal");
  set(database, "synchronous", "FULL", 2);
  set(database, "foreign_keys", "ON", 1);
  set(database, "trusted_schema", "OFF", 0);
  const { checkpointPages = 256 } = options;
  set(database, "wal_autocheckpoint", String(checkpointPages), checkpointPages);
  if (options.cacheKib !== undefined) {
    set(database, "cache_size", `-${options.cacheKib}`, -options.cacheKib);
    set(database, "temp_store", "MEMORY", 2);
  }
  if (options.secureDelete === true) set(database, "secure_delete", "ON", 1);
  if (process.platform === "darwin") {
    set(database, "fullfsync", "ON", 1);
    set(database, "checkpoint_fullfsync", "ON", 1);
  }
  if (options.exclusive && !memory) database.run("BEGIN EXCLUSIVE; COMMIT");
}

function set(database: Database, pragma: string, value: string, wanted: string | number): void {
  database.run(`PRAGMA ${pragma} = ${value}`);
  const row = database.query(`PRAGMA ${pragma}`).get() as Record<string, unknown> | null;
  const got = row === null ? undefined : Object.values(row)[0];
  if (got !== wanted) throw new Error(`SQLite did not take ${pragma}=${value}: it is ${String(got)}`);
}

function prepareFile(path: string): void {
  const folder = dirname(path);
  const made = !existsSync(folder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (made) syncPath(dirname(folder));
  if (existsSync(path)) {
    if (lstatSync(path).isSymbolicLink())
      throw new Error(`Open ${path}: it is a symbolic link, a file was wanted`);
  } else {
    closeSync(openSync(path, "wx", 0o600));
    syncPath(folder);
  }
  chmodSync(path, 0o600);
}

function syncPath(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
