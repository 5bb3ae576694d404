/** The floor of the bench: rows of the same size by the same engine, behind the same worker, in grouped commits. */
import type { Database } from "bun:sqlite";
import { openSqlite } from "../../src/base/sqlite.ts";
import { serveWorker } from "../../src/base/worker.ts";

/** What the worker is asked. */
export type RawMethods = {
  open(path: string): void;
  insert(row: { key: string; body: string }): number;
};

serve();

function serve(): void {
  let database: Database | undefined;
  let insert: ((row: { key: string; body: string }) => number) | undefined;
  const methods: RawMethods = {
    open(path) {
      const opened = openSqlite({ path, exclusive: true, secureDelete: true });
      opened.run(
        "CREATE TABLE raw (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL) STRICT",
      );
      const statement = opened.query<{ id: number }, [string, string]>(
        "INSERT INTO raw (key, body) VALUES (?, ?) RETURNING id",
      );
      insert = ({ key, body }) => statement.get(key, body)?.id ?? 0;
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
