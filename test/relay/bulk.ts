/**
 * A relay's database filled with a long past, by SQL and without flushes: a million messages through the product
 * would take longer than the test that needs them. The file must not be in use.
 */
import { Database } from "bun:sqlite";

/** What was filled in, for checks. */
export type Bulk = { messages: number; openObligations: number };

/** Every message of the past that expects a reply, and of these every one that is still owed. */
const expectsEvery = 50;
const openEvery = 500;

/**
 * Adds messages to the agents of the file, the same number to each but for a rest. Every message has its outcome, and
 * some open or closed obligations.
 * @param past how many messages
 */
export function fillPast(path: string, past: number): Bulk {
  const database = new Database(path, { strict: true });
  try {
    for (const pragma of [
      "synchronous = OFF",
      "journal_mode = MEMORY",
      "cache_size = -400000",
      "foreign_keys = OFF",
    ])
      database.run(`PRAGMA ${pragma}`);
    const agents = database
      .query<{ id: string; name: string }, []>("SELECT id, name FROM agents WHERE kind = 'agent' ORDER BY id")
      .all();
    database.run("CREATE TEMP TABLE who (n INTEGER PRIMARY KEY, id TEXT, name TEXT)");
    const insert = database.prepare("INSERT INTO who VALUES (?1, ?2, ?3)");
    for (const [n, { id, name }] of agents.entries()) insert.run(n, id, name);
    database.transaction(() => fill(database, past, agents.length))();
    const { open } = one<{ open: number }>(
      database,
      "SELECT count(*) AS open FROM obligations WHERE closed_at IS NULL",
    );
    database.run("PRAGMA journal_mode = WAL");
    return { messages: past, openObligations: open };
  } finally {
    database.close(true);
  }
}

function fill(database: Database, past: number, agents: number): void {
  const start = Date.now() - 86_400_000;
  // Message n goes to agent n mod agents, from the next one, and is the (n div agents)th of its inbox.
  const numbers = `WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${past})`;
  const id = "printf('%08x-0000-7000-8000-%012x', n / 1000, n)";
  const expects = `(n % ${expectsEvery} = 0)`;
  const people = `FROM numbers JOIN who r ON r.n = numbers.n % ${agents}
    JOIN who s ON s.n = (numbers.n + 1) % ${agents}`;
  const from = people.replaceAll("numbers.n ", "numbers.n ");
  const of = (text: string) => text.replaceAll(/\bn\b/g, "numbers.n");
  database.run(`${numbers} INSERT INTO messages (id, sender_id, recipient, thread_id, late, body, created_at)
    SELECT ${of(id)}, s.id, r.name, ${of(id)}, 0, ${of("'message ' || n || ' of a long past, about nothing in particular'")}, ${start} + numbers.n ${from}`);
  database.run(`${numbers} INSERT INTO inbox (agent_id, seq, message_id, expects_reply)
    SELECT r.id, numbers.n / ${agents} + 1, ${of(id)}, ${of(expects)} ${from}`);
  database.run(`${numbers} INSERT INTO outcomes (agent_id, key, fingerprint, outcome, at)
    SELECT s.id, ${of("'past-' || n")}, ${of("'print-' || n")}, '{"status":"rejected","code":"bad_request","detail":"of the past"}', ${start} + numbers.n ${from}`);
  database.run(`${numbers} INSERT INTO obligations (message_id, debtor_id, creditor_id, opened_at, closed_at, closed_by)
    SELECT ${of(id)}, r.id, s.id, ${start} + numbers.n, iif(${of(`n % ${openEvery}`)} = 0, NULL, ${start} + numbers.n + 9),
      iif(${of(`n % ${openEvery}`)} = 0, NULL, ${of(id)}) ${from} WHERE ${of(expects)}`);
  database.run(
    `UPDATE agents SET newest_seq = coalesce((SELECT max(seq) FROM inbox WHERE agent_id = agents.id), 0)`,
  );
  database.run("UPDATE agents SET acknowledged_seq = newest_seq, acknowledged_at = created_at");
  database.run(`INSERT INTO search (rowid, body, who) SELECT m.number, m.body,
      replace(m.sender_id, '-', '') || ' ' || replace(i.agent_id, '-', '')
    FROM messages m JOIN inbox i ON i.message_id = m.id ORDER BY m.number`);
  database.run("UPDATE search_progress SET number = (SELECT max(number) FROM messages)");
}

/** The only row of a query. */
export function one<Row>(database: Database, sql: string): Row {
  const row = database.query<Row, []>(sql).get();
  if (row === null) throw new Error(`Ask the database: ${sql} gave no row`);
  return row;
}
