/**
 * The floor of the bench: rows of as many bytes by the same engine with the same settings, in a worker that gets each by
 * itself and commits those together that came together. It has no guard against repeated calls, no hash, no marks, and delivers nothing.
 */
import type { Database } from "bun:sqlite";
import { openSqlite } from "../../src/base/sqlite.ts";
import { serveWorker } from "../../src/base/worker.ts";

/** `rest` stands for what else a row of the outbox has: fingerprint, checksum, ids, names, times. */
export type Row = { key: string; body: string; rest: string };
/** What the worker is asked. */
export type RawMethods = {
  open(path: string): void;
  insert(row: Row): number;
};

serve();

function serve(): void {
  let database: Database | undefined;
  let insert: ((row: Row) => number) | undefined;
  const methods: RawMethods = {
    open(path) {
      const opened = openSqlite({ path, exclusive: true, secureDelete: true });
      opened.run(
        "CREATE TABLE raw (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL, rest TEXT NOT NULL) STRICT",
      );
      const statement = opened.query<{ id: number }, [string, string, string]>(
        "INSERT INTO raw (key, body, rest) VALUES (?, ?, ?) RETURNING id",
      );
      insert = ({ key, body, rest }) => statement.get(key, body, rest)?.id ?? 0;
      database = opened;
    },
    insert: (row) => insert?.(row) ?? 0,
  };
  serveWorker(methods, (runs) => {
    database?.run("BEGIN IMMEDIATE");
    const began = database !== undefined;
    for (const run of runs) run();
    if (began) database?.run("COMMIT");
  });
}
