/** Group commit: one call's failure is its own, a failed commit is everybody's. */

import type { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { openSqlite } from "../base/sqlite.ts";
import { type Group, groupCommit } from "./group.ts";

let database: Database;
let group: Group;

beforeEach(() => {
  database = openSqlite({ path: ":memory:", exclusive: false });
  database.run("CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT");
  database.run(
    `CREATE TABLE child (id INTEGER PRIMARY KEY, filler TEXT,
       parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED) STRICT`,
  );
  group = groupCommit(database);
});
afterEach(() => database.close(true));

const insert = (id: number) => database.run("INSERT INTO parent (id) VALUES (?)", [id]);
const rows = () => database.query<{ id: number }, []>("SELECT id FROM parent ORDER BY id").all();

/** A call as a worker makes it: its error is kept for its own answer. */
function call(answers: unknown[], work: () => unknown): () => void {
  return () => {
    try {
      answers.push(group.call(work) ?? "done");
    } catch (error) {
      answers.push(error instanceof Error ? error.message : error);
    }
  };
}

describe("a group", () => {
  test("[P2.8] a call that fails takes back all of itself and nothing of the others", () => {
    const answers: unknown[] = [];
    group.all([
      call(answers, () => insert(1)),
      call(answers, () => {
        insert(2);
        insert(1);
      }),
      call(answers, () => {
        insert(3);
        throw new Error("refused");
      }),
      call(answers, () => insert(4)),
    ]);
    expect(answers).toEqual([
      expect.anything(),
      "UNIQUE constraint failed: parent.id",
      "refused",
      expect.anything(),
    ]);
    expect(rows()).toEqual([{ id: 1 }, { id: 4 }]);
    expect(database.inTransaction).toBe(false);
  });

  test("[P2.8] when the commit fails, every call fails and nothing is visible", () => {
    const answers: unknown[] = [];
    const calls = [
      call(answers, () => insert(1)),
      call(answers, () => database.run("INSERT INTO child (parent) VALUES (99)")),
    ];
    expect(() => group.all(calls)).toThrow("FOREIGN KEY constraint failed");
    expect(rows()).toEqual([]);
    expect(database.inTransaction).toBe(false);
    group.all([call(answers, () => insert(2))]);
    expect(rows()).toEqual([{ id: 2 }]);
  });

  test("[P2.8] when a failure ends the transaction, no later call commits alone", () => {
    const answers: unknown[] = [];
    const calls = [
      call(answers, () => insert(1)),
      call(answers, () => {
        // What the engine does by itself when the disk fails in the middle of a statement.
        database.run("ROLLBACK");
        throw new Error("disk I/O error");
      }),
      call(answers, () => insert(3)),
    ];
    expect(() => group.all(calls)).toThrow("disk I/O error");
    expect(answers.slice(1)).toEqual(["disk I/O error", "disk I/O error"]);
    expect(rows()).toEqual([]);
    group.all([call(answers, () => insert(4))]);
    expect(rows()).toEqual([{ id: 4 }]);
  });

  test("[P2.8] a full disk ends the transaction: the whole group fails, the next one works", () => {
    const answers: unknown[] = [];
    const pages = database.query<{ page_count: number }, []>("PRAGMA page_count").get()?.page_count ?? 0;
    database.run(`PRAGMA max_page_count = ${pages + 2}`);
    const big = "x".repeat(100_000);
    const calls = [
      call(answers, () => insert(1)),
      call(answers, () => database.run("INSERT INTO child (filler) VALUES (?)", [big])),
      call(answers, () => insert(2)),
    ];
    expect(() => group.all(calls)).toThrow("database or disk is full");
    expect(answers.slice(1)).toEqual(["database or disk is full", "database or disk is full"]);
    expect(rows()).toEqual([]);
    group.all([call(answers, () => insert(3))]);
    expect(rows()).toEqual([{ id: 3 }]);
  });
});
