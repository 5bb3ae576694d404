/** How SQLite finds the rows of each statement: nothing that is asked often may read a whole table. */
import type { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { openSqlite } from "../../base/sqlite.ts";
import { migrate } from "../migrate.ts";
import { agentVerbs } from "./agents.ts";
import { quarantineVerbs } from "./brakes.ts";
import { insightVerbs } from "./insights.ts";
import { messageVerbs } from "./messages.ts";
import { obligationVerbs } from "./obligations.ts";
import { presenceVerbs } from "./presence.ts";
import { tokenVerbs } from "./tokens.ts";
import { upkeepVerbs } from "./upkeep.ts";
import { writeVerbs } from "./writes.ts";

/** Every statement that these verbs prepare. */
function statementsOf(make: (database: Database) => void): { sql: string; plan: string[] }[] {
  const database = openSqlite({ path: ":memory:", exclusive: false });
  migrate(database);
  const statements: string[] = [];
  const recorder = Object.create(database, {
    prepare: {
      value: (sql: string) => {
        statements.push(sql);
        return database.prepare(sql);
      },
    },
  }) as Database;
  make(recorder);
  const plans = statements
    .filter((sql) => !/^(SAVEPOINT|RELEASE|ROLLBACK)/.test(sql))
    .map((sql) => ({ sql, plan: planOf(database, sql) }));
  database.close(true);
  return plans;
}

function planOf(database: Database, sql: string): string[] {
  const rows = database.query<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${sql}`).all();
  return rows.map(({ detail }) => detail);
}

/** Steps of a plan that read a table or an index from one end to the other. `family` and constants are small. */
const scans = (plans: { sql: string; plan: string[] }[]) =>
  plans.flatMap(({ sql, plan }) =>
    plan
      .filter((step) => /^SCAN (?!CONSTANT|f\b|family\b)|AUTOMATIC|TEMP B-TREE/.test(step))
      .map((step) => `${step} in ${sql}`),
  );

test("writes read no whole table and sort nothing", () => {
  const plans = statementsOf(writeVerbs);
  expect(plans.length).toBeGreaterThan(10);
  expect(scans(plans)).toEqual([]);
});

test("inboxes, threads, receipts and the search go along an index; only what is bounded is sorted or read whole", () => {
  const found = scans(statementsOf(messageVerbs));
  const bounded = [
    // A message has few inbox rows; they are sorted so that one's own comes first.
    /^USE TEMP B-TREE FOR ORDER BY in .*ORDER BY i\.agent_id <> \?1/s,
    // The full-text index itself, newest first without sorting.
    /^SCAN x VIRTUAL TABLE INDEX .* in .*search MATCH \?2/s,
    // At most `limits.channelsMax` channels of `limits.fanOutMax` members.
    /^SCAN (channels|c) in .*FROM channels/s,
    /^USE TEMP B-TREE FOR ORDER BY in .*FROM channel_members c/s,
  ];
  expect(found.filter((step) => !bounded.some((pattern) => pattern.test(step)))).toEqual([]);
  expect(found).toHaveLength(bounded.length + 1);
});

test("tokens and agents are found by index; only the lists read everything", () => {
  const found = scans(statementsOf((database) => agentVerbs(database, tokenVerbs(database))));
  expect(
    found.filter((step) => !/ORDER BY (t\.created_at DESC|name)|agent_id = \?1 AND kind/.test(step)),
  ).toEqual([]);
});

test("forgetting goes along the index of age", () => {
  const found = scans(statementsOf(upkeepVerbs));
  expect(found.filter((step) => !step.includes("count(*)"))).toEqual([]);
});

test("owed replies go along their indexes; what reads everything is small or is for people", () => {
  const found = scans(
    statementsOf((database) => {
      obligationVerbs(database, writeVerbs(database).applyWrites);
      quarantineVerbs(database);
      presenceVerbs(database);
      insightVerbs(database);
    }),
  );
  const few = [
    // The oldest of all that is owed by anybody, in the order of their index.
    /^SCAN o USING INDEX obligations_by_age in /,
    // One row for each agent, and for each feature that was switched.
    /^SCAN (presence|features) in /,
  ];
  expect(found.filter((step) => !few.some((pattern) => pattern.test(step)))).toEqual([]);
});

test("the check itself sees a whole table being read", () => {
  const found = scans(
    statementsOf((database) => {
      database.prepare("SELECT 1 FROM messages WHERE body = ?1");
    }),
  );
  expect(found).toHaveLength(1);
});
