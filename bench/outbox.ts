/**
 * The outbox against its targets: durable writes against raw commits of the same engine, the event loop under a slow
 * disk, an outbox that drains over a slow wire, and opening it again. Ratios come from rounds that take turns.
 * `tools/bun bench/outbox.ts [--json] [--write] [--only enqueue|disk|drain]`; `--write` puts them into docs/performance.md.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../src/base/clock.ts";
import { silentLog } from "../src/base/log.ts";
import { realRandom } from "../src/base/random.ts";
import { workerClient } from "../src/base/worker.ts";
import { limits } from "../src/limits.ts";
import { type OutboxHandle, openOutbox } from "../src/outbox/outbox.ts";
import { createClient } from "../src/sdk/client.ts";
import { relayDeliverer } from "../src/sdk/deliverer.ts";
import { startServer } from "../src/server.ts";
import { asId, type StoreId, uuidV7 } from "../src/wire/id.ts";
import { tokenHash, tokenText } from "../src/wire/token.ts";
import type { Deliverer } from "../src/wire/write.ts";
import { spreadOf } from "./figures.ts";
import type { RawMethods } from "./outbox/raw.worker.ts";
import { type Enqueue, type Result, report, type SlowDisk, withSection } from "./outbox/report.ts";
import { away, call, percentile, slowWire } from "./outbox/world.ts";

const document = join(import.meta.dir, "../docs/performance.md");
const rounds = 5;
const roundMs = 1_200;
const records = 10_000;
/** Fingerprint and checksum, message id, tool, recipient, numbers. */
const restOfRow = "r".repeat(2 * 64 + 36 + 18 + 3 + 24);
const wide = {
  ...limits,
  outboxRecordsMax: 10_000_000,
  outboxBytesMax: 2 ** 40,
  outboxFileBytesMax: 2 ** 34,
};
const folder = mkdtempSync(join(Bun.env.BENCH_DIR ?? tmpdir(), "bench-outbox-"));
const only = Bun.argv[Bun.argv.indexOf("--only") + 1];
const say = (line: string) => void (Bun.argv.includes("--json") || process.stdout.write(`${line}\n`));
const wants = (part: string) => !Bun.argv.includes("--only") || only === part;

type Load = { perSecond: number; p50Ms: number; p99Ms: number };

/** So many writers, each with one write under way, for the time of a round. */
async function load(writers: number, write: (text: string) => Promise<unknown>): Promise<Load> {
  const took: number[] = [];
  const began = performance.now();
  const writer = async (number: number) => {
    for (let count = 0; performance.now() - began < roundMs; count += 1) {
      const before = performance.now();
      await write(`${began} ${number} ${count}`);
      took.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, number) => writer(number)));
  const seconds = (performance.now() - began) / 1_000;
  return { perSecond: took.length / seconds, p50Ms: percentile(took, 0.5), p99Ms: percentile(took, 0.99) };
}

function outboxIn(
  name: string,
  deliverer: Deliverer | ((id: StoreId) => Deliverer),
  agentId = "agent",
): Promise<OutboxHandle> {
  const world = { clock: realClock, random: realRandom, log: silentLog, limits: wide };
  return openOutbox({
    ...world,
    dir: join(folder, name),
    relayId: "relay",
    agentId: asId(agentId),
    deliverer,
  });
}

async function enqueue(writers: number) {
  const outbox = await outboxIn(`enqueue-${writers}`, away);
  const worker = new Worker(new URL("./outbox/raw.worker.ts", import.meta.url));
  const raw = workerClient<RawMethods>(worker, "raw");
  await raw.call("open", join(folder, `raw-${writers}`, "raw.sqlite"));
  const paths = {
    raw: (text: string) =>
      raw.call("insert", {
        key: `mcp-relay_send_message-${uuidV7(realClock.now(), realRandom.bytes(10))}`,
        body: JSON.stringify(call(text).arguments),
        rest: restOfRow,
      }),
    outbox: (text: string) => outbox.write(call(text), 0),
  };
  const found: Record<keyof typeof paths, Load[]> = { raw: [], outbox: [] };
  for (const path of Object.values(paths)) await load(writers, path); // warm
  for (let round = 0; round < rounds; round += 1)
    for (const path of ["raw", "outbox"] as const) found[path].push(await load(writers, paths[path]));
  await outbox.close();
  await raw.close();
  const ratios = found.outbox.map(
    ({ perSecond }, index) => perSecond / (found.raw[index]?.perSecond ?? Number.NaN),
  );
  const over = (loads: Load[], of: (load: Load) => number) => spreadOf(loads.map(of));
  const result: Enqueue = {
    writers,
    raw: over(found.raw, ({ perSecond }) => perSecond),
    outbox: over(found.outbox, ({ perSecond }) => perSecond),
    ratio: spreadOf(ratios),
    p50: over(found.outbox, ({ p50Ms }) => p50Ms),
    p99: over(found.outbox, ({ p99Ms }) => p99Ms),
    rawP99: over(found.raw, ({ p99Ms }) => p99Ms),
  };
  const { ratio, p99 } = result;
  say(
    `enqueue, ${writers} writers: ${ratio.median.toFixed(2)} × raw (target 0.70), p99 ${p99.median.toFixed(2)} ms (target 5 ms at 8)`,
  );
  return result;
}

/** The event loop while every flush takes 300 ms, injected by strace. */
async function slowDisk() {
  if (Bun.which("strace") === null) {
    say("slow disk: left out, strace is not installed");
    return undefined;
  }
  const script = join(import.meta.dir, "outbox/slow-disk.ts");
  const inject = ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_exit=300000"];
  const command = [
    "strace",
    "-f",
    "-qq",
    "--seccomp-bpf",
    ...inject,
    "-o",
    "/dev/null",
    process.execPath,
    script,
  ];
  const child = Bun.spawn([...command, join(folder, "slow")], { stdout: "pipe", stderr: "inherit" });
  return JSON.parse(await new Response(child.stdout).text()) as SlowDisk;
}

/** A relay with two agents; the sender's outbox reaches it over a wire of 20 ms there and back. */
async function drain() {
  const server = await startServer({ home: join(folder, "home"), port: 0, log: silentLog, version: "0.0.0" });
  const operatorToken = readFileSync(server.operatorTokenFile, "utf8").trim();
  const operator = createClient({ url: server.url, token: () => operatorToken });
  // The speed of the way is measured, not the brake on a sender.
  await operator.setProfile({ name: "default", limits: { burst: 1_000_000, perMinute: 1_000_000 } });
  const runnerToken = tokenText("runner", realRandom.bytes(32));
  const enrol = (agentName: string, secretHash: string) =>
    operator.enrolRunner({ agentName, provider: "exec", machine: "bench", secretHash });
  await enrol("bob", tokenHash(tokenText("runner", realRandom.bytes(32))));
  const { agentId } = await enrol("alice", tokenHash(runnerToken));
  const first = await slowWire(0, Number(new URL(server.url).port), 10);
  first.close();
  // Over the wire, but with the name that the relay goes by.
  const { host } = new URL(server.url);
  const client = createClient({
    ...{ url: server.url, token: () => runnerToken },
    fetch: (url, init) =>
      fetch(url.replace(host, `127.0.0.1:${first.port}`), {
        ...init,
        headers: { ...init.headers, Host: host },
      }),
  });
  const deliverer = (storeId: StoreId) => relayDeliverer(client, storeId);
  const outbox = await outboxIn("drain", deliverer, agentId);
  for (let from = 0; from < records; from += 100)
    await Promise.all(Array.from({ length: 100 }, (_, index) => outbox.write(call(`${from + index}`), 0)));
  await outbox.close();
  const opening = performance.now();
  const again = await outboxIn("drain", deliverer, agentId);
  const openMs = performance.now() - opening;
  const queued = again.status().depth;
  await Bun.sleep(2_000); // The outage goes on until its probe is the rule.
  const wire = await slowWire(first.port, Number(new URL(server.url).port), 10);
  const back = performance.now();
  let firstMs = Number.NaN;
  while (again.status().depth > 0 && performance.now() - back < 60_000) {
    if (Number.isNaN(firstMs) && again.status().depth < queued) firstMs = performance.now() - back;
    await Bun.sleep(2);
  }
  const drainMs = performance.now() - back;
  const left = again.status().depth;
  await again.close();
  wire.close();
  await server.close();
  return { queued, openMs, firstMs, drainMs, left };
}

try {
  const result: Result = {
    enqueue: wants("enqueue") ? [await enqueue(1), await enqueue(8), await enqueue(64)] : [],
    slowDisk: wants("disk") ? await slowDisk() : undefined,
    drain: wants("drain") ? await drain() : undefined,
  };
  const text = report(
    result,
    `Median of ${rounds} rounds (least–greatest), ${roundMs / 1_000} s each after as much warm-up; ${cpus().length} cores.`,
  );
  say(text);
  if (Bun.argv.includes("--write"))
    writeFileSync(document, withSection(readFileSync(document, "utf8"), text));
  if (Bun.argv.includes("--json")) process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
