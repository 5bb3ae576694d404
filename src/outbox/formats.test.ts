/** Files of older formats, and what a changed row of theirs and ours is taken for. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newRecordOf } from "../../test/fixtures/outbox/new-record.ts";
import { limits } from "../limits.ts";
import { asId, uuidOf } from "../wire/id.ts";
import { type SealedRow, wholeChecksumOf } from "./checksum.ts";
import { Engine } from "./engine.ts";
import { newLife } from "./record.ts";
import type { LoadReply } from "./rows.ts";
import { schemaVersion } from "./schema.ts";
import { storeLimits } from "./store.ts";

const left: string[] = [];
afterEach(() => {
  for (const dir of left.splice(0)) rmSync(dir, { recursive: true, force: true });
});

const now = 1_700_000_000_000;

function open(dir: string) {
  const engine = new Engine();
  const reply = engine.methods.load({
    ...{ dir, relayId: "relay", agentId: "agent", newStoreId: uuidOf(dir), pid: 1, now },
    ...{ limits: storeLimits(limits), discard: { afterId: 0, keys: [] } },
  }) as Extract<LoadReply, { status: "opened" }>;
  const close = () => {
    engine.methods.close({});
    engine.runTogether([]);
  };
  const commit = (run: () => void) => engine.runTogether([run]);
  return { ...engine.methods, commit, reply, close };
}

/** A closed file with one write that waits, and whatever is done to it. */
function fileWith(change: (database: Database) => unknown): string {
  const dir = mkdtempSync(join(tmpdir(), "outbox-formats-"));
  left.push(dir);
  const { enqueue, commit, close } = open(dir);
  commit(() => enqueue(newRecordOf("key-1", "body")));
  close();
  const database = new Database(join(dir, "outbox.sqlite"));
  change(database);
  database.close();
  return dir;
}

/** As a program before format 5 left it: arguments as they came, all columns under the checksum. */
function asFormat4(database: Database): void {
  database.run(`UPDATE records SET arguments = '{"to":"bob","body":"body"}'`);
  const row = database.query<SealedRow, []>("SELECT * FROM records").get() as SealedRow;
  database.run("UPDATE records SET checksum = ?", [wholeChecksumOf(row)]);
  for (const column of ["format", "checksum"]) database.run(`ALTER TABLE store DROP COLUMN ${column}`);
  database.run("PRAGMA user_version = 4");
}

const sent = [{ id: 1, record: { key: "key-1", arguments: { to: "bob", body: "body" } } }];
const rejected = {
  changes: [
    {
      ...{ id: 1, life: { ...newLife, state: "rejected" as const, detail: "no bob" } },
      end: { at: now, result: undefined, notice: "rejected" as const },
    },
  ],
  ...{ seenRecords: [], seenNotices: [], now },
};

describe("O16: a row that waits is as it was stored, or it is damage", () => {
  test.each([
    ["format 4", asFormat4],
    ["this format", () => {}],
  ])("a write of %s is sent as it was stored, and sent again by a person", (_, change) => {
    const dir = fileWith(change);
    const { reply, close, payloads, save, retry } = open(dir);
    expect([reply.damage, reply.records.length]).toEqual([undefined, 1]);
    expect(payloads({ ids: [1] })).toMatchObject(sent);
    save(rejected);
    const again = { id: 1, key: asId("key-2") as never, messageId: asId(uuidOf("again")) as never, now };
    expect(retry(again)).toMatchObject({ status: "stored", record: { id: 2 } });
    expect(payloads({ ids: [2] })).toMatchObject([
      { id: 2, record: { key: "key-2", arguments: { to: "bob" } } },
    ]);
    close();
    const database = new Database(join(dir, "outbox.sqlite"));
    expect(database.query("PRAGMA user_version").get()).toEqual({ user_version: schemaVersion });
    database.close();
    const later = open(dir);
    expect([later.reply.damage, later.payloads({ ids: [2] }).length]).toEqual([undefined, 1]);
    later.close();
  });

  const changes = [
    "arguments = replace(arguments, 'body', 'bodx')",
    "recipient = 'ann'",
    "tool = 'relay_reply'",
  ].flatMap((change) => [
    ["format 4", change, asFormat4] as const,
    ["this format", change, () => {}] as const,
  ]);

  test.each(changes)("of %s, %s is damage", (_, change, format) => {
    const dir = fileWith((database) => {
      format(database);
      database.run(`UPDATE records SET ${change}`);
    });
    const { reply, close } = open(dir);
    expect(reply).toMatchObject({ records: [], damage: { lost: 1, kept: 0 } });
    expect(reply.damage?.why).toContain("is not as it was stored");
    close();
  });
});
