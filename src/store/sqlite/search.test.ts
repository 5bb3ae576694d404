/** The full-text index of SQLite by itself: what is forgotten leaves no word behind, and the asker's id narrows it. */
import type { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { openSqlite } from "../../base/sqlite.ts";
import { asId } from "../../wire/id.ts";
import { migrate } from "../migrate.ts";
import { messageVerbs } from "./messages.ts";

const uuid = (n: number) => `0190a000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const [ada, bob] = [uuid(1), uuid(2)];

let database: Database;
beforeEach(() => {
  database = openSqlite({ path: ":memory:", exclusive: false });
  migrate(database);
  for (const [id, name] of [
    [ada, "ada"],
    [bob, "bob"],
  ] as const)
    database.run(
      `INSERT INTO agents (id, name, kind, provider, machine, profile, created_at)
       VALUES (?1, ?2, 'agent', 'exec', 'mill', 'default', 1)`,
      [id, name],
    );
});
afterEach(() => database.close(true));

const found = (match: string) =>
  database.query<{ rowid: number }, [string]>("SELECT rowid FROM search WHERE search MATCH ?1").all(match);

function send(verbs: ReturnType<typeof messageVerbs>, count: number): void {
  const writes = Array.from({ length: count }, (_, n) => ({
    key: asId(`k${n}`),
    messageId: asId(uuid(10 + n)),
    tool: "relay_send_message",
    arguments: { to: "bob", body: `needle ${n}` },
    enqueuedAt: new Date(5).toISOString(),
  }));
  verbs.applyWrites({ sender: asId(ada), scopes: ["message:send"], writes, keyWindowMs: 1_000 } as never, 5);
}

test("a forgotten message leaves no word in the index, and neither sender nor recipient", () => {
  const verbs = messageVerbs(database);
  send(verbs, 3);
  expect(verbs.indexMessages()).toBe(3);
  verbs.acknowledgeInbox(asId(bob), 3, 6);
  expect(verbs.pruneMessages({ before: 10, after: 0 })).toEqual({ gone: 2, next: 3 });
  expect(found("needle")).toEqual([{ rowid: 3 }]);
  expect(found(`who : ${ada.replaceAll("-", "")}`)).toEqual([{ rowid: 3 }]);
  expect(found(`who : ${bob.replaceAll("-", "")}`)).toEqual([{ rowid: 3 }]);
});

test("sender and recipient are words of an entry, and of no text", () => {
  const verbs = messageVerbs(database);
  send(verbs, 1);
  verbs.indexMessages();
  for (const id of [ada, bob]) {
    expect(found(`who : ${id.replaceAll("-", "")}`)).toEqual([{ rowid: 1 }]);
    expect(found(`body : ${id.replaceAll("-", "")}`)).toEqual([]);
  }
});

test("a number is not used again when the newest messages are forgotten with the rest", () => {
  const verbs = messageVerbs(database);
  send(verbs, 2);
  verbs.acknowledgeInbox(asId(bob), 2, 6);
  verbs.pruneMessages({ before: 10, after: 0 });
  expect(database.query("SELECT number FROM messages").all()).toEqual([{ number: 2 }]);
});
