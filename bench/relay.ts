/**
 * What the relay bears: messages accepted by batches and by MCP calls, the time from sending to the recipient's feed,
 * and idle feeds on one process. Load and relay are processes of their own; the store is durable SQLite.
 * `tools/bun bench/relay.ts [--only batches,calls,latency,feeds] [--rounds N] [--seconds N] [--write]`
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { stopAll } from "../examples/demo/programs.ts";
import { sleep, waitingClock } from "../src/base/clock.ts";
import { spreadOf } from "./figures.ts";
import { cpuSeconds, residentMiB } from "./process.ts";
import { type Measured, measuredSchema, type Order } from "./relay/order.ts";
import { type Row, report, withSection } from "./relay/report.ts";
import { type BenchAgent, type BenchRelay, enrolAgents, startRelay } from "./relay/world.ts";

const root = resolve(import.meta.dir, "..");
const document = join(root, "docs", "performance.md");
const bun = join(root, "tools", "bun");
const parts = ["batches", "calls", "latency", "feeds"] as const;
const loadWaitMs = 60_000;
/** After opening the feeds and before their memory is read, so that what only the opening needed is gone. */
const settleMs = 5_000;

const { values: options } = parseArgs({
  args: Bun.argv.slice(2),
  options: {
    only: { type: "string", default: parts.join(",") },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    feeds: { type: "string", default: "10000" },
    write: { type: "boolean", default: false },
  },
});
const wanted = (options.only ?? "").split(",");
const rounds = Number(options.rounds);
const measureMs = Number(options.seconds) * 1000;

type Load = { measured: Measured; end(): Promise<void> };

/** Starts the load; resolves when it has measured. `end` lets it go when it holds something open. */
async function load(folder: string, order: Partial<Order> & Pick<Order, "part" | "url" | "agents">) {
  const file = join(folder, "order.json");
  writeFileSync(file, JSON.stringify({ warmupMs: 500, measureMs, ...order }), { mode: 0o600 });
  const child = Bun.spawn([bun, join(root, "bench/relay/load.ts"), file], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    timeout: measureMs + loadWaitMs,
    killSignal: "SIGKILL",
  });
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  if (!text.includes("\n")) throw new Error(`Load by ${order.part}: it ended before it had measured`);
  const result: Load = {
    measured: measuredSchema.parse(JSON.parse(text)),
    async end() {
      await child.stdin.end();
      await child.exited;
    },
  };
  return result;
}

async function rowOf(what: string, relay: BenchRelay, ask: () => Promise<Measured>): Promise<Row> {
  const all: (Measured & { cpuUs: number })[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = cpuSeconds(relay.program.pid);
    const found = await ask();
    const cpu = cpuSeconds(relay.program.pid) - before;
    // The warm-up costs CPU too: it is counted in at the measured rate.
    all.push({ ...found, cpuUs: (cpu / (found.perSecond * ((measureMs + 500) / 1000))) * 1e6 });
    process.stderr.write(`${what}: ${found.perSecond.toFixed(0)}/s, p99 ${found.p99Ms.toFixed(1)} ms\n`);
  }
  const spread = (of: (one: (typeof all)[number]) => number) => spreadOf(all.map(of));
  return {
    what,
    perSecond: spread(({ perSecond }) => perSecond),
    p50: spread(({ p50Ms }) => p50Ms),
    p99: spread(({ p99Ms }) => p99Ms),
    cpuUs: spread(({ cpuUs }) => cpuUs),
  };
}

async function traffic(folder: string, relay: BenchRelay): Promise<Row[]> {
  const agents = await enrolAgents(relay, { prefix: "load", count: 128, speak: true });
  const runners = agents.slice(0, 32);
  const run = async (order: Pick<Order, "part"> & Partial<Order>, who: BenchAgent[]) => {
    const done = await load(folder, { url: relay.url, agents: who, ...order });
    await done.end();
    return done.measured;
  };
  const rows: Row[] = [];
  if (wanted.includes("batches"))
    for (const batch of [200, 20])
      rows.push(
        await rowOf(`batches of ${batch}, 32 runners`, relay, () => run({ part: "batches", batch }, runners)),
      );
  if (wanted.includes("calls"))
    for (const era of ["modern", "legacy"] as const)
      rows.push(
        await rowOf(`MCP calls, ${era}, 32 connections`, relay, () => run({ part: "calls", era }, agents)),
      );
  if (wanted.includes("latency")) {
    // Agents of their own: a feed begins with what its inbox holds.
    const live = await enrolAgents(relay, { prefix: "live", count: 32 * rounds, speak: false });
    let round = 0;
    const next = () => live.slice(32 * round, 32 * ++round);
    rows.push(await rowOf("to the recipient's feed, 500/s", relay, () => run({ part: "latency" }, next())));
  }
  return rows;
}

/** Idle feeds: how many, KiB of resident memory each, and the relay's CPU while they idle, in percent of a core. */
async function idleFeeds(folder: string, relay: BenchRelay) {
  const count = Number(options.feeds);
  const agents = await enrolAgents(relay, { prefix: "idle", count, speak: false });
  await sleep(waitingClock, settleMs);
  const before = residentMiB(relay.program.pid);
  const held = await load(folder, { part: "feeds", url: relay.url, agents });
  await sleep(waitingClock, settleMs);
  const after = residentMiB(relay.program.pid);
  const cpuBefore = cpuSeconds(relay.program.pid);
  await sleep(waitingClock, 2 * settleMs);
  const cpu = (cpuSeconds(relay.program.pid) - cpuBefore) / ((2 * settleMs) / 1000);
  const descriptors = /Max open files\s+(\d+)/.exec(
    readFileSync(`/proc/${relay.program.pid}/limits`, "utf8"),
  )?.[1];
  await held.end();
  return {
    count,
    kibEach: ((after - before) * 1024) / count,
    openedPerSecond: held.measured.perSecond,
    idleCpuPercent: cpu * 100,
    descriptors: Number(descriptors),
    residentMiB: after,
  };
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(Bun.env.BENCH_DIR ?? tmpdir(), "agent-relay-bench-"));
  const programs = [];
  try {
    const relay = await startRelay(folder);
    programs.push(relay.program);
    const idle = wanted.includes("feeds") ? await idleFeeds(folder, relay) : undefined;
    const rows = await traffic(folder, relay);
    const text = report({ rows, idle, rounds, seconds: measureMs / 1000, cores: cpus().length });
    console.log(text);
    if (options.write) writeFileSync(document, withSection(readFileSync(document, "utf8"), text));
  } finally {
    await stopAll(programs, 6_000, waitingClock);
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
process.exit();
