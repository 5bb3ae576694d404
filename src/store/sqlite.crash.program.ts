/**
 * Fixture of the crash test: writes batches to a store without end, and prints each key once it is acknowledged.
 * Arguments: path of the database, a word that makes the keys of this run its own.
 */
import { realClock } from "../base/clock.ts";
import { realRandom } from "../base/random.ts";
import { type AgentId, asId, type IdempotencyKey, messageIdOf, type TokenId, uuidOf } from "../wire/id.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Write } from "./store.ts";

const [path = "", word = ""] = process.argv.slice(2);
const batchSize = 5;

await main();

async function main(): Promise<void> {
  const store = await openSqliteStore({ path, clock: realClock, random: realRandom });
  const sender = async (name: string): Promise<never> => {
    const enrolment = await store.enrol(
      {
        agentId: asId<AgentId>(uuidOf("agent", name)),
        name,
        provider: "exec",
        machine: "mill",
        profile: "default",
        takeover: false,
        token: { id: asId<TokenId>(uuidOf("token", name)), kind: "runner", hash: name, scopes: [], note: "" },
      },
      realClock.now(),
    );
    if (enrolment.status !== "enrolled") throw new Error(`Enrol ${name}: ${enrolment.status}`);
    const { id } = enrolment.agent;
    for (let batch = 0; ; batch++) {
      const writes = Array.from({ length: batchSize }, (_, n) =>
        write(id, `${name}.${word}.${batch * batchSize + n}`),
      );
      const result = await store.applyWrites(
        { sender: id, scopes: ["message:send"], writes, keyWindowMs: 86_400_000 },
        realClock.now(),
      );
      if (result.status !== "applied") throw new Error(`Apply: ${result.status}`);
      process.stdout.write(result.outcomes.map(({ status, key }) => `${status} ${key}\n`).join(""));
    }
  };
  await Promise.all(["one", "two", "three"].map(sender));
}

function write(sender: AgentId, name: string): Write {
  const key = asId<IdempotencyKey>(name);
  return {
    key,
    messageId: messageIdOf(sender, key, false),
    tool: "relay_send_message",
    arguments: { to: "one", body: name },
    enqueuedAt: new Date(realClock.now()).toISOString(),
  };
}
