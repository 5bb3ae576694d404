/** A relay that is killed while it writes: what it acknowledged is there, and nothing is there in part. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../base/clock.ts";
import { realRandom } from "../base/random.ts";
import type { Message } from "../wire/message.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { RelayStore } from "./store.ts";

const program = join(import.meta.dir, "../../test/fixtures/store-writer.ts");
const kills = 5;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "relay-crash-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("P2: every write acknowledged before SIGKILL is there once, in order and without gaps [P2.4] [P2.8]", async () => {
  const path = join(folder, "relay.db");
  const acknowledged: string[] = [];
  for (let round = 1; round <= kills; round++) {
    const lines = await runUntilKilled(
      path,
      `r${round}`,
      round * 40 + Math.floor(realRandom.fraction() * 100),
    );
    acknowledged.push(...lines);
    const store = await openSqliteStore({ path, clock: realClock, random: realRandom });
    const messages = await wholeInbox(store, "one");
    const { messages: count } = await store.counts();
    await store.close();

    expect(lines.filter((line) => !line.startsWith("committed "))).toEqual([]);
    const bodies = messages.map(({ body }) => body);
    expect(new Set(bodies).size).toBe(bodies.length);
    expect(count).toBe(bodies.length);
    const there = new Set(bodies);
    expect(acknowledged.filter((line) => !there.has(line.slice("committed ".length)))).toEqual([]);
    expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, index) => index + 1));
    for (const sender of ["one", "two", "three"]) {
      const numbers = bodies.filter((body) => body.startsWith(`${sender}.r${round}.`)).map(numberOf);
      expect(numbers).toEqual(numbers.map((_, index) => index));
      // A batch is one transaction: all five of it, or none.
      expect(numbers.length % 5).toBe(0);
    }
  }
  expect(acknowledged.length).toBeGreaterThan(kills * 40);
}, 20_000);

/** Lines that the program printed before it was killed, once there were this many. */
async function runUntilKilled(path: string, word: string, lineCount: number): Promise<string[]> {
  const child = Bun.spawn([process.execPath, program, path, word], { stdout: "pipe", stderr: "inherit" });
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split("\n").length > lineCount) child.kill("SIGKILL");
  }
  await child.exited;
  if (child.signalCode !== "SIGKILL") throw new Error(`The program ended by itself: ${child.exitCode}`);
  // The last line may be cut: only a line with its newline was printed whole.
  return text.split("\n").slice(0, -1);
}

async function wholeInbox(store: RelayStore, name: string): Promise<Message[]> {
  const agent = await store.agentByName(name);
  if (agent === undefined) throw new Error(`There is no agent ${name}`);
  const messages: Message[] = [];
  for (;;) {
    const afterSeq = messages.at(-1)?.seq ?? 0;
    const page = await store.readInbox({ agentId: agent.id, afterSeq, unread: false, limit: 200 });
    messages.push(...page.messages);
    if (!page.more) return messages;
  }
}

function numberOf(body: string): number {
  return Number(body.split(".")[2]);
}
