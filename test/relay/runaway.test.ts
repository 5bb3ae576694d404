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
const trialsMost = 3;
/** Of the default profile: at once, and every minute after that. */
const [burst, perMinute] = [600, 60];
/** Below this a difference is noise of the machine. */
const floorMs = 10;

const program = resolve(import.meta.dir, "../fixtures/fast-relay.ts");
const wildProgram = resolve(import.meta.dir, "../fixtures/wild-agent.ts");
const readySchema = z.object({ url: z.string(), operatorTokenFile: z.string() });

type Agent = { name: string; token: string; client: Client };
/** One message of the others: when it was sent, and how long that took, ms. */
type Sending = { at: number; ms: number };
const sliceMs = 500;
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
  return { name, token: agent, client: createClient({ url, token: () => agent }) };
}

/** Lets an agent send copies of one text in a process of its own; how many were accepted. */
async function goWild(agent: Agent, peers: readonly string[], forMs: number): Promise<number> {
  const { name, token } = agent;
  const order = JSON.stringify({ url, token, name, peers, forMs, atOnce: wildAtOnce });
  const wild = Bun.spawn([process.execPath, wildProgram, order], { stdout: "pipe", stderr: "inherit" });
  return Number(await new Response(wild.stdout).text());
}

/** The others send to each other at their own pace until the time is over; when each began and how long it took. */
async function work(agents: readonly Agent[], until: number): Promise<Sending[]> {
  const took: Sending[] = [];
  const one = async ({ client }: Agent, index: number) => {
    await Bun.sleep((index * everyMs) / agents.length);
    while (performance.now() < until) {
      const began = performance.now();
      const to = agents[(index + 1) % agents.length]?.name ?? "";
      await client.sendMessage({ to, body: `work ${began}` });
      took.push({ at: began, ms: performance.now() - began });
      await Bun.sleep(Math.max(0, everyMs - (performance.now() - began)));
    }
  };
  await Promise.all(agents.map(one));
  return took;
}

/** The p99 of every half second, and of these the middle one: a stall of the machine is in one of them only. */
function p99(done: readonly Sending[]): number {
  const slices = new Map<number, number[]>();
  for (const { at, ms } of done) {
    const slice = Math.floor(at / sliceMs);
    slices.set(slice, [...(slices.get(slice) ?? []), ms]);
  }
  const each = [...slices.values()].map((times) => atShare(times, 0.99));
  return atShare(each, 0.5);
}

function atShare(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}

/** One minute with a wild agent between two calm times: what it got through, and how much slower the others were. */
async function trial(agents: readonly Agent[], number: number): Promise<{ accepted: number; ratio: number }> {
  const wild = await enrol(`wild-${number}`);
  const names = agents.map(({ name }) => name);
  const before = await work(agents, performance.now() + calmMs);
  const attack = goWild(wild, names, minuteMs);
  const [during, accepted] = [await work(agents, performance.now() + minuteMs), await attack];
  const after = await work(agents, performance.now() + calmMs);
  const calm = Math.max(p99([...before, ...after]), floorMs);
  console.log(
    `figures a runaway got ${accepted} messages through in 60 s; p99 of the others ${p99(during).toFixed(1)} ms, ` +
      `before ${p99(before).toFixed(1)} ms and after ${p99(after).toFixed(1)} ms`,
  );
  expect(during.length).toBeGreaterThan(0.5 * others * (minuteMs / everyMs));
  return { accepted, ratio: p99(during) / calm };
}

test("[C.33] a runaway agent gets its limit through and no more, and the others' sending stays as fast", async () => {
  const agents = await Promise.all(Array.from({ length: others }, (_, index) => enrol(`calm-${index}`)));
  await work(agents, performance.now() + 500); // warm
  const trials = [await trial(agents, 1)];
  // What else the machine did in one of them is not the relay's.
  while (trials.length < trialsMost && (trials.at(-1)?.ratio ?? 0) > 2) {
    trials.push(await trial(agents, trials.length + 1));
  }
  for (const { accepted } of trials) {
    expect(accepted).toBeGreaterThan(burst / 2);
    expect(accepted).toBeLessThanOrEqual(burst + perMinute + 1);
  }
  expect(Math.min(...trials.map(({ ratio }) => ratio))).toBeLessThanOrEqual(2);
}, 90_000);

test("without its brakes the same agent gets more through", async () => {
  await operator.setProfile({ name: "default", limits: { burst: 1_000_000, perMinute: 1_000_000 } });
  const wild = await enrol("wild");
  await enrol("calm");
  // What is left is the rate of requests: 500 at once, then 50 a second.
  expect(await goWild(wild, ["calm"], minuteMs)).toBeGreaterThan(burst + perMinute + 1);
}, 30_000);
