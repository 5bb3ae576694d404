/** Migrations: numbered, all or nothing, never backwards, never on somebody else's database. */

import type { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openSqlite } from "../base/sqlite.ts";
import { applicationId, dumpSchema, type Migration, migrate, migrations, SchemaError } from "./migrate.ts";

const steps: Migration[] = [
  { version: 1, name: "0001_one", sql: "CREATE TABLE one (id INTEGER PRIMARY KEY) STRICT" },
  {
    version: 2,
    name: "0002_two",
    sql: "CREATE TABLE two (id INTEGER PRIMARY KEY) STRICT; INSERT INTO one VALUES (7)",
  },
];

function withDatabase(body: (database: Database) => void): () => void {
  return () => {
    const database = openSqlite({ path: ":memory:", exclusive: false });
    try {
      body(database);
    } finally {
      database.close(true);
    }
  };
}
const tables = (database: Database) =>
  database
    .query<{ name: string }, []>("SELECT name FROM sqlite_schema ORDER BY name")
    .all()
    .map(({ name }) => name);
const pragma = (database: Database, name: string) =>
  database.query<Record<string, number>, []>(`PRAGMA ${name}`).get()?.[name];

describe("migrate", () => {
  test(
    "applies what is missing, once",
    withDatabase((database) => {
      expect(migrate(database, steps.slice(0, 1))).toBe(1);
      expect(tables(database)).toEqual(["one"]);
      expect(migrate(database, steps)).toBe(2);
      expect(migrate(database, steps)).toBe(2);
      expect(tables(database)).toEqual(["one", "two"]);
      expect(database.query("SELECT id FROM one").all()).toEqual([{ id: 7 }]);
      expect(pragma(database, "user_version")).toBe(2);
      expect(pragma(database, "application_id")).toBe(applicationId);
    }),
  );

  test(
    "a step that fails leaves nothing of itself, and keeps the steps before it",
    withDatabase((database) => {
      const broken = {
        version: 2,
        name: "0002_broken",
        sql: "CREATE TABLE two (id); INSERT INTO nowhere VALUES (1)",
      };
      expect(() => migrate(database, [...steps.slice(0, 1), broken])).toThrow(
        "Apply migration 0002_broken: no such table: nowhere",
      );
      expect(tables(database)).toEqual(["one"]);
      expect(pragma(database, "user_version")).toBe(1);
      expect(database.inTransaction).toBe(false);
    }),
  );

  test(
    "refuses a database from the future and does not touch it",
    withDatabase((database) => {
      migrate(database, steps);
      expect(() => migrate(database, steps.slice(0, 1))).toThrow(SchemaError);
      expect(() => migrate(database, steps.slice(0, 1))).toThrow("version 2, this program knows up to 1");
      expect(pragma(database, "user_version")).toBe(2);
    }),
  );

  const foreign: [string, string][] = [
    ["with tables", "CREATE TABLE notes (id INTEGER PRIMARY KEY)"],
    ["with a version", "PRAGMA user_version = 1"],
    ["with another application id", "PRAGMA application_id = 12345"],
  ];
  for (const [what, sql] of foreign) {
    test(
      `refuses a database of another program: ${what}`,
      withDatabase((database) => {
        database.run(sql);
        const before = tables(database);
        expect(() => migrate(database, steps)).toThrow("belongs to another program");
        expect(tables(database)).toEqual(before);
      }),
    );
  }

  test("versions count from 1 without gaps and carry their number in their name", () => {
    expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1));
    expect(migrations.map(({ name }) => Number(name.slice(0, 4)))).toEqual(
      migrations.map(({ version }) => version),
    );
  });

  test("the committed dump is what the migrations make", async () => {
    const committed = await Bun.file(join(import.meta.dir, "sqlite/schema.sql")).text();
    const database = openSqlite({ path: ":memory:", exclusive: false });
    migrate(database);
    expect(committed).toBe(dumpSchema(database));
    database.close(true);
  });
});

test(
  "0004 numbers the messages that are there in their order, keeps every reference, and what was acknowledged is read",
  withDatabase((database) => {
    const upTo = (version: number) => migrations.filter((step) => step.version <= version);
    migrate(database, upTo(3));
    database.run(`
      INSERT INTO agents (id, name, kind, provider, machine, profile, created_at, newest_seq, acknowledged_seq,
        acknowledged_at) VALUES ('a', 'a', 'agent', 'exec', 'mill', 'default', 1, 2, 1, 7);
      INSERT INTO messages (id, sender_id, recipient, thread_id, late, body, created_at)
        VALUES ('z', 'a', 'a', 'z', 0, 'first', 1), ('b', 'a', 'a', 'z', 0, 'second', 1);
      INSERT INTO inbox (agent_id, seq, message_id, expects_reply) VALUES ('a', 1, 'z', 0), ('a', 2, 'b', 1);
      INSERT INTO obligations (message_id, debtor_id, creditor_id, opened_at) VALUES ('b', 'a', 'a', 1);`);
    migrate(database);
    expect(
      database.query("SELECT number, id, body, hops, urgent FROM messages ORDER BY number").all(),
    ).toEqual([
      { number: 1, id: "z", body: "first", hops: 0, urgent: 0 },
      { number: 2, id: "b", body: "second", hops: 0, urgent: 0 },
    ]);
    expect(database.query("SELECT seq, read_at FROM inbox ORDER BY seq").all()).toEqual([
      { seq: 1, read_at: 7 },
      { seq: 2, read_at: null },
    ]);
    expect(database.query("PRAGMA foreign_key_check").all()).toEqual([]);
    expect(() => database.run("DELETE FROM messages WHERE id = 'b'")).toThrow("FOREIGN KEY");
  }),
);
