/** What only the SQLite twin has: a file, its owner, and the ways in which opening it fails. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../base/clock.ts";
import { seededRandom } from "../base/random.ts";
import { openSqlite, SqliteBusyError } from "../base/sqlite.ts";
import { asId } from "../wire/id.ts";
import { migrate, migrations, SchemaError } from "./migrate.ts";
import { writeVerbs } from "./sqlite/writes.ts";
import { openSqliteStore } from "./sqlite.ts";

let folder: string;
let path: string;
const open = (seed = 1) =>
  openSqliteStore({ path, clock: new VirtualClock(1_800_000_000_000), random: seededRandom(seed) });
const uuid = (n: number) => `0190a000-0000-7000-8000-${String(n).padStart(12, "0")}`;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "relay-sqlite-"));
  path = join(folder, "home", "relay.db");
});
afterEach(() => rm(folder, { recursive: true }));

describe("opening", () => {
  test("makes the relay's id once, from clock and random", async () => {
    const first = await open();
    expect(first.identity).toMatchObject({ generation: 1, schemaVersion: migrations.length });
    expect(first.identity.relayId).toMatch(/^01a3185c-5000-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    await first.close();
    const second = await open(2);
    expect(second.identity).toEqual(first.identity);
    await second.close();
  });

  test("[P4.6] the file is 0600 in a folder of 0700", async () => {
    const store = await open();
    await store.listAgents();
    const names = await readdir(join(folder, "home"));
    const modes = await Promise.all(names.map((name) => stat(join(folder, "home", name))));
    expect(names).toContain("relay.db");
    expect(modes.map(({ mode }) => (mode & 0o777).toString(8))).toEqual(names.map(() => "600"));
    expect(((await stat(join(folder, "home"))).mode & 0o777).toString(8)).toBe("700");
    await store.close();
  });

  test("a second owner of the file is refused and changes nothing; after the first has closed it may", async () => {
    const first = await open();
    const refused = await open().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(SqliteBusyError);
    expect(`${refused}`).toContain(
      `${path}: another process uses it; stop that relay or choose another home`,
    );
    expect(await first.listAgents()).toEqual([]);
    await first.close();
    const next = await open();
    await next.close();
  });

  test("a database from the future is refused by name", async () => {
    await (await open()).close();
    const raw = new Database(path);
    raw.run("PRAGMA user_version = 99");
    raw.close(true);
    const refused = await open().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(SchemaError);
    expect(`${refused}`).toContain(`its schema is version 99, this program knows up to ${migrations.length}`);
    expect(`${refused}`).toContain(path);
  });

  test("a file that is no database is refused and left as it was", async () => {
    await Bun.write(path, "shopping list\n".repeat(100));
    const refused = await open().catch((error: unknown) => error);
    expect(`${refused}`).toBe(`Error: Open the relay's database ${path}: file is not a database`);
    expect(await Bun.file(path).text()).toBe("shopping list\n".repeat(100));
  });
});

describe("a batch", () => {
  test("P2: after a write that the store refused to hold, the later ones wait for it", () => {
    const database = openSqlite({ path: ":memory:", exclusive: false });
    migrate(database);
    database.run(
      `INSERT INTO agents (id, name, kind, provider, machine, profile, created_at)
       VALUES (?, 'ada', 'agent', 'exec', 'mill', 'default', 1)`,
      [uuid(1)],
    );
    database.run(`CREATE TRIGGER fault BEFORE INSERT ON outcomes WHEN NEW.key = 'k2'
                  BEGIN SELECT RAISE(ABORT, 'planted'); END`);
    const writes = ["k1", "k2", "k3"].map((key, index) => ({
      key: asId<never>(key),
      messageId: asId<never>(uuid(10 + index)),
      tool: "relay_send_message",
      arguments: { to: "ada", body: key },
      enqueuedAt: new Date(1).toISOString(),
    }));
    database.run("BEGIN");
    const batch = {
      sender: asId<never>(uuid(1)),
      scopes: ["message:send"],
      writes,
      keyWindowMs: 10,
    } as const;
    const result = writeVerbs(database).applyWrites(batch, 5);
    database.run("COMMIT");
    expect(result).toMatchObject({
      status: "applied",
      outcomes: [
        { status: "committed", key: "k1" },
        { status: "deferred", key: "k2", code: "internal" },
        { status: "deferred", key: "k3", code: "internal" },
      ],
    });
    expect(database.query("SELECT body FROM messages").all()).toEqual([{ body: "k1" }]);
    expect(database.query("SELECT seq FROM inbox").all()).toEqual([{ seq: 1 }]);
    expect(database.query("SELECT newest_seq AS newest FROM agents").all()).toEqual([{ newest: 1 }]);
    database.close(true);
  });
});
