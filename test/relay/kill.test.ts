/**
 * A relay with a million messages is killed 50 times in the middle of writing. Each time it is up again within a
 * second, and everything that it acknowledged is there once, in order and without gaps. Again with AGENT_RELAY_TEST_SEED.
 */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { createClient } from "../../src/sdk/client.ts";
import { runningRelay } from "../fixtures/running-relay.ts";
import { type Bulk, fillPast } from "./bulk.ts";
import { databaseFaults, fileFaults } from "./kill-check.ts";
import { below, type Sent, Writer } from "./kill-load.ts";
import { type RelayProcess, startRelayProcess } from "./relay-process.ts";

const kills = 50;
const past = 1_000_000;
const agents = 200;
const writers = 8;
const startMost = 1_000;
const seed = Number(process.env.AGENT_RELAY_TEST_SEED ?? Date.now() % 1_000_000_000);

let folder: string;
let home: string;
let bulk: Bulk;
let random: Random;
const ledgers: Writer[] = [];
/** The newest seq of each writer's inbox that was read and found right. */
const read = new Map<string, number>();
/** The relay that runs now, for a test that fails in the middle. */
let running: RelayProcess | undefined;

beforeAll(async () => {
  random = seededRandom(seed);
  folder = mkdtempSync(join(tmpdir(), "relay-kill-"));
  home = join(folder, "home");
  await using relay = await runningRelay({ home });
  // The brakes that stop a runaway agent would stop the writers.
  const limits = { burst: 1_000_000, perMinute: 1_000_000 };
  await relay.operator.setProfile({ name: "default", limits });
  const all = Array.from({ length: agents }, (_, index) => `agent-${index}`);
  for (let at = 0; at < agents; at += 20) {
    const enrolled = await Promise.all(all.slice(at, at + 20).map((name) => relay.enrol(name)));
    for (const { name, runnerToken } of enrolled.slice(0, Math.max(0, writers - at)))
      ledgers.push(new Writer(name, runnerToken, random));
  }
  await relay.server.close();
  const began = performance.now();
  bulk = fillPast(file(), past);
  for (const { name } of ledgers) read.set(name, past / agents);
  console.log(`figures a past of ${past} messages was loaded in ${seconds(performance.now() - began)}`);
}, 120_000);
afterAll(async () => {
  await running?.kill();
  rmSync(folder, { recursive: true, force: true });
});

const file = () => join(home, "relay", "relay.sqlite");
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** Reads what came since the last round; the faults, and what is owed goes to the ledgers. */
async function readOn(relay: RelayProcess): Promise<string[]> {
  const byId = new Map(ledgers.flatMap(({ sent }) => sent.map((one) => [one.id, one] as const)));
  const faults = await Promise.all(
    ledgers.map(async (ledger) => {
      const { name, token } = ledger;
      const client = createClient({ url: relay.url, token: () => token });
      const wrong: string[] = [];
      for (;;) {
        const afterSeq = read.get(name) ?? 0;
        const { messages, more } = await client.readInbox({ agent: name, afterSeq, limit: 200 });
        for (const [index, message] of messages.entries()) {
          const sent = byId.get(message.id);
          if (message.seq !== afterSeq + 1 + index)
            wrong.push(`${name}: seq ${message.seq} after ${afterSeq + index}`);
          if (sent === undefined || sent.to !== name) wrong.push(`${name}: nobody sent ${message.id}`);
          if (message.expectsReply) ledger.owed.push({ id: message.id, from: message.from });
        }
        read.set(name, messages.at(-1)?.seq ?? afterSeq);
        if (!more) return wrong;
      }
    }),
  );
  return faults.flat();
}

/** Writers at full speed until the relay is killed after a while; how many batches were under way then. */
async function writeUntilKilled(relay: RelayProcess): Promise<number> {
  let gone = false;
  const names = ledgers.map(({ name }) => name);
  const writing = ledgers.map((ledger) => ledger.write(relay.url, names, () => gone));
  await Promise.race([Bun.sleep(100 + below(random, 250)), Promise.all(writing)]);
  gone = true;
  const underWay = ledgers.filter(({ inFlight }) => inFlight).length;
  await relay.kill();
  await Promise.all(writing);
  return underWay;
}

test(`[P2.4] [P2.8] [C.32] killed ${kills} times under load with ${past} messages: nothing acknowledged is lost (seed ${seed})`, async () => {
  const starts: number[] = [];
  const underWay: number[] = [];
  const began = performance.now();
  for (let round = 0; round < kills; round += 1) {
    const relay = await startRelayProcess(home);
    running = relay;
    starts.push(relay.startMs);
    expect(await readOn(relay)).toEqual([]);
    underWay.push(await writeUntilKilled(relay));
  }
  const relay = await startRelayProcess(home);
  starts.push(relay.startMs);
  expect(await readOn(relay)).toEqual([]);
  const operator = createClient({ url: relay.url, token: () => relay.operatorToken });
  const status = await operator.getStatus({});
  expect(await relay.stop()).toBe(0);

  const sent = ledgers.flatMap((ledger) => ledger.sent);
  const acknowledged = sent.filter((one) => one.acknowledged).length;
  const sorted = [...starts].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  console.log(
    `figures ${kills} kills in ${seconds(performance.now() - began)}: ${acknowledged} acknowledged of ${sent.length}, ` +
      `up again in ${middle.toFixed(0)} ms (at most ${sorted.at(-1)?.toFixed(0)} ms), ` +
      `${underWay.filter((count) => count > 0).length} kills hit batches under way`,
  );
  const database = new Database(file(), { strict: true });
  expect(databaseFaults(database, sent).slice(0, 5)).toEqual([]);
  expect(fileFaults(database)).toEqual([]);
  database.close(true);
  expect(status.messages).toBeGreaterThanOrEqual(bulk.messages + acknowledged);
  expect(status.obligationsOpen).toBeGreaterThan(bulk.openObligations);
  expect(middle).toBeLessThan(startMost);
  // A kill that hits nothing proves nothing.
  expect(underWay.filter((count) => count > 0).length).toBeGreaterThan(kills * 0.8);
  expect(acknowledged).toBeGreaterThan(kills * 100);
}, 180_000);

type Damage = { which: (one: Sent) => boolean; sql: string; said: RegExp };

/** Damage of the kinds that a relay without the promise would leave, to one write, and what the check says of each. */
const damages: Record<string, Damage> = {
  "a message that is gone": {
    which: () => true,
    sql: "DELETE FROM inbox WHERE message_id = ?1",
    said: /acknowledged and gone/,
  },
  "a gap": {
    which: () => true,
    sql: "UPDATE inbox SET seq = seq + 1000000 WHERE message_id = ?1",
    said: /has a gap/,
  },
  "an obligation that is gone": {
    which: ({ expectsReply }) => expectsReply,
    sql: "DELETE FROM obligations WHERE message_id = ?1",
    said: /the obligation is gone/,
  },
  "a reply that closed nothing": {
    which: ({ replyTo }) => replyTo !== undefined,
    sql: "UPDATE obligations SET closed_at = NULL, closed_by = NULL WHERE closed_by = ?1",
    said: /still owed/,
  },
};

for (const [what, { which, sql, said }] of Object.entries(damages)) {
  test(`the check finds ${what}`, () => {
    const database = new Database(file(), { strict: true });
    const sent = ledgers.flatMap((ledger) => ledger.sent);
    const victim = sent.findLast((one) => one.acknowledged && which(one));
    database.run("PRAGMA foreign_keys = OFF");
    database.run("BEGIN");
    database.run(sql, [victim?.id ?? ""]);
    const faults = databaseFaults(database, sent);
    database.run("ROLLBACK");
    database.close(true);
    expect(faults.join("\n")).toMatch(said);
  });
}
