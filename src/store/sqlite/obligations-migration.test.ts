/** A database in which removed agents still owe replies: those end, and whoever waited is told. All others stay. */
import { expect, test } from "bun:test";
import { openSqlite } from "../../base/sqlite.ts";
import { asId } from "../../wire/id.ts";
import { migrate, migrations } from "../migrate.ts";
import { obligationVerbs } from "./obligations.ts";
import { writeVerbs } from "./writes.ts";

const start = 1_800_000_000_000;

test("what a removed agent owed ends with the migration; what is open or was answered stays as it is", () => {
  const database = openSqlite({ path: ":memory:", exclusive: false });
  try {
    migrate(database, migrations.slice(0, 6));
    for (const [name, removed] of [
      ["ada", "NULL"],
      ["bob", "NULL"],
      ["gone", `${start + 5}`],
    ]) {
      database.run(
        `INSERT INTO agents (id, name, kind, provider, machine, profile, created_at, removed_at)
         VALUES ('${name}', '${name}', 'agent', 'exec', 'mill', 'default', ${start}, ${removed})`,
      );
    }
    for (const [number, id] of ["to-bob", "to-gone", "answered", "answer"].entries()) {
      database.run(
        `INSERT INTO messages (number, id, sender_id, recipient, thread_id, body, created_at, late)
         VALUES (${number + 1}, '${id}', 'ada', 'bob', '${id}', '?', ${start}, 0)`,
      );
    }
    const owe = (id: string, debtor: string, rest: string) =>
      database.run(
        `INSERT INTO obligations (message_id, debtor_id, creditor_id, opened_at, closed_at, closed_by, step, next_at)
         VALUES ('${id}', '${debtor}', 'ada', ${start}, ${rest})`,
      );
    owe("to-bob", "bob", `NULL, NULL, 1, ${start + 9}`);
    owe("to-gone", "gone", "NULL, NULL, 3, NULL");
    owe("answered", "gone", `${start + 1}, 'answer', 0, NULL`);
    migrate(database);
    const { tellEnded, outstanding, stepObligations } = obligationVerbs(
      database,
      writeVerbs(database).applyWrites,
    );
    const ada = asId<never>("ada");
    expect(outstanding(ada, 10)).toMatchObject({ owed: [], awaited: [{ messageId: "to-bob", step: 1 }] });
    expect(tellEnded(ada, start + 10)).toMatchObject([{ messageId: "to-gone" }]);
    expect(stepObligations(start + 8)).toEqual({ moves: [], nextAt: start + 9 });
  } finally {
    database.close(true);
  }
});
