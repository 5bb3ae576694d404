/**
 * One agent among twenty has gone wild: it sends copies of what it gets as fast as it can, to itself and to all. In a
 * minute it gets no more through than its limit, and the others hardly notice.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { realRandom } from "../../src/base/random.ts";
import { type Client, createClient } from "../../src/sdk/client.ts";
import { tokenHash, tokenText } from "../../src/wire/token.ts";

/** The relay's wall clock runs so many times faster: its minute takes six seconds. */
const speed = 10;
const minuteMs = 60_000 / speed;
const calmMs = 3_000;
const others = 19;
/** The others send this often each, and the wild one on so many connections without a pause. */
const everyMs = 100;
const wildAtOnce = 4;
/** Of the default profile: at once, and every minute after that. */
const [burst, perMinute] = [600, 60];
/** Below this a difference is noise of the machine. */
const floorMs = 10;

const program = resolve(import.meta.dir, "../fixtures/fast-relay.ts");
const readySchema = z.object({ url: z.string(), operatorTokenFile: z.string() });

type Agent = { name: string; client: Client };
let folder: string;
let child: Bun.Subprocess<"pipe", "pipe", "inherit">;
let operator: Client;
let url: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "relay-runaway-"));
  const command = [process.execPath, program, join(folder, "home"), String(speed)];
  child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const { value } = await child.stdout.getReader().read();
  const ready = readySchema.parse(JSON.parse(new TextDecoder().decode(value)));
  const token = readFileSync(ready.operatorTokenFile, "utf8").trim();
  url = ready.url;
  operator = createClient({ url, token: () => token });
});
afterEach(async () => {
  await child.stdin.end();
  await child.exited;
  rmSync(folder, { recursive: true, force: true });
});

/** An agent by its own token, as in direct mode: nothing of the runner's brakes it before the relay does. */
async function enrol(name: string): Promise<Agent> {
  const [runner, agent] = [
    tokenText("runner", realRandom.bytes(32)),
    tokenText("agent", realRandom.bytes(32)),
  ];
  const facts = { provider: "exec", machine: "mill", secretHash: tokenHash(runner) };
  await operator.enrolRunner({ agentName: name, ...facts });
  await createClient({ url, token: () => runner }).mintAgentToken({ secretHash: tokenHash(agent) });
  return { name, client: createClient({ url, token: () => agent }) };
}

/** Sends copies of one text until the time is over; how many were accepted. */
async function goWild({ name, client }: Agent, peers: readonly string[], until: number): Promise<number> {
  let accepted = 0;
  let sent = 0;
  const lane = async () => {
    while (performance.now() < until) {
      const to = [name, "@all", ...peers][sent % (peers.length + 2)] ?? name;
      const body = `${sent++}: forward this to everyone, twice, and answer nobody`;
      const done = await client.sendMessage({ to, body }).then(
        () => true,
        () => false,
      );
      if (done) accepted += 1;
    }
  };
  await Promise.all(Array.from({ length: wildAtOnce }, lane));
  return accepted;
}

/** The others send to each other at their own pace until the time is over; how long each took, ms. */
async function work(agents: readonly Agent[], until: number): Promise<number[]> {
  const took: number[] = [];
  const one = async ({ client }: Agent, index: number) => {
    await Bun.sleep((index * everyMs) / agents.length);
    while (performance.now() < until) {
      const began = performance.now();
      const to = agents[(index + 1) % agents.length]?.name ?? "";
      await client.sendMessage({ to, body: `work ${began}` });
      took.push(performance.now() - began);
      await Bun.sleep(Math.max(0, everyMs - (performance.now() - began)));
    }
  };
  await Promise.all(agents.map(one));
  return took;
}

function p99(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
}

test("[C.33] a runaway agent gets its limit through and no more, and the others' sending stays as fast", async () => {
  const agents = await Promise.all(Array.from({ length: others }, (_, index) => enrol(`calm-${index}`)));
  const wild = await enrol("wild");
  const names = agents.map(({ name }) => name);
  await work(agents, performance.now() + 500); // warm
  const before = await work(agents, performance.now() + calmMs);
  const end = performance.now() + minuteMs;
  const [accepted, during] = await Promise.all([goWild(wild, names, end), work(agents, end)]);
  const after = await work(agents, performance.now() + calmMs);
  const calm = Math.max(p99(before), p99(after), floorMs);
  console.log(
    `figures a runaway got ${accepted} messages through in 60 s; p99 of the others ${p99(during).toFixed(1)} ms, ` +
      `before ${p99(before).toFixed(1)} ms and after ${p99(after).toFixed(1)} ms`,
  );
  expect(accepted).toBeGreaterThan(burst / 2);
  expect(accepted).toBeLessThanOrEqual(burst + perMinute + 1);
  expect(p99(during)).toBeLessThan(2 * calm);
  expect(during.length).toBeGreaterThan(0.8 * others * (minuteMs / everyMs));
}, 60_000);

test("without its brakes the same agent gets more through", async () => {
  await operator.setProfile({ name: "default", limits: { burst: 1_000_000, perMinute: 1_000_000 } });
  const wild = await enrol("wild");
  await enrol("calm");
  // What is left is the rate of requests: 500 at once, then 50 a second.
  expect(await goWild(wild, ["calm"], performance.now() + minuteMs)).toBeGreaterThan(burst + perMinute + 1);
}, 30_000);
