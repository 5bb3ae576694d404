/**
 * Calls per second of 32 clients through the proxy and through its npm peers, to the same upstream, taking turns:
 * `mcp-proxy` as a library in one process, and `mcp-proxy` in front of `mcp-remote`. The peers are installed below a
 * folder of the system's temporary one. `tools/bun bench/peers.ts --rounds N`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { firstLine, launch, type Program, stopAll, until } from "../examples/demo/programs.ts";
import { waitingClock } from "../src/base/clock.ts";
import { spreadOf } from "./figures.ts";
import type { Path } from "./outage/drill.ts";
import { agentRelayPath, bridgePath } from "./outage/paths.ts";

const root = resolve(import.meta.dir, "..");
const bun = join(root, "tools", "bun");
const clock = waitingClock;
const readySchema = z.object({ url: z.string() });
const measurementSchema = z.object({ calls: z.number(), failed: z.number(), perSecond: z.number() });
const clients = 32;
const eras = ["modern", "legacy"] as const;

/** The library as its document shows it: one client to the upstream, one server for each session. */
const libraryProgram = `
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Server } from "@modelcontextprotocol/server";
import { proxyServer, startHTTPServer } from "mcp-proxy";
const client = new Client({ name: "bench", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2])));
const serverCapabilities = client.getServerCapabilities();
const createServer = async () => {
  const server = new Server(client.getServerVersion(), { capabilities: serverCapabilities });
  await proxyServer({ client, server, serverCapabilities });
  return server;
};
const port = Number(process.argv[3]);
await startHTTPServer({ createServer, port, host: "127.0.0.1" });
console.log(JSON.stringify({ url: "http://127.0.0.1:" + port + "/mcp" }));
`;

const { values: options } = parseArgs({
  args: Bun.argv.slice(2),
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "2" } },
});

process.exitCode = await main(Number(options.rounds), Number(options.seconds) * 1_000);
process.exit();

async function main(rounds: number, measureMs: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-peers-"));
  const closers: (() => Promise<void>)[] = [];
  try {
    const echo = start(folder, "echo", [bun, join(root, "bench", "echo.ts")]);
    closers.push(() => stopAll([echo], 3_000, clock));
    const { url } = await ready(echo);
    const paths: Path[] = [];
    for (const open of [agentRelayPath({ folder, clock }), bridgePath({ folder, clock })]) {
      const path = await open(url);
      paths.push(path);
      closers.push(() => path.close());
    }
    paths.push(await openLibrary(folder, url, closers));
    const rows = new Map<string, number[]>();
    for (let round = 0; round < rounds; round += 1) {
      for (const path of paths) {
        for (const era of eras) {
          const name = `${path.name}, ${era}`;
          rows.set(name, [...(rows.get(name) ?? []), measure(path, era, measureMs)]);
        }
      }
      console.error(`round ${round + 1} of ${rounds}`);
    }
    conclude(rows, paths[0]?.name ?? "");
    return 0;
  } finally {
    for (const close of closers.reverse()) await close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function start(folder: string, name: string, command: string[]): Program {
  return launch({ name, command, folder, environment: process.env });
}

async function ready(program: Program) {
  const wait = { what: program.name, forMs: 20_000, clock, signal: new AbortController().signal };
  return readySchema.parse(JSON.parse(await until(wait, () => firstLine(program, 0))));
}

/** After the bridge, whose installation it shares. */
async function openLibrary(
  folder: string,
  upstreamUrl: string,
  closers: (() => Promise<void>)[],
): Promise<Path> {
  const script = join(folder, "peers", "library.mjs");
  writeFileSync(script, libraryProgram);
  const program = start(folder, "library", ["node", script, upstreamUrl, String(freePort())]);
  const close = () => stopAll([program], 3_000, clock);
  closers.push(close);
  const { url } = await ready(program);
  return { name: "mcp-proxy as a library", target: { url, secret: undefined }, close };
}

function freePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  return port;
}

/** Calls per second; 0 where the path does not serve this era. */
function measure({ name, target }: Path, era: (typeof eras)[number], measureMs: number): number {
  const order = {
    url: target.url,
    secret: target.secret ?? "none",
    clients,
    warmupMs: 1_000,
    measureMs,
    era,
  };
  const load = spawnSync(bun, [join(root, "bench", "load.ts"), JSON.stringify(order)], {
    encoding: "utf8",
    timeout: measureMs + 20_000,
  });
  const result = measurementSchema.safeParse(JSON.parse(load.stdout.trim() || "{}"));
  if (!result.success || result.data.failed > 0) {
    console.error(`${name}, ${era}: ${result.data?.failed ?? "all"} calls failed ${load.stderr.slice(-200)}`);
    return 0;
  }
  return result.data.perSecond;
}

function conclude(rows: ReadonlyMap<string, readonly number[]>, ours: string): void {
  const spreads = [...rows].map(([name, values]) => ({ name, ...spreadOf(values) }));
  for (const { name, median, min, max } of spreads)
    console.log(`${name}: ${median.toFixed(0)} calls/s (${min.toFixed(0)}–${max.toFixed(0)})`);
  const best = (own: boolean) =>
    Math.max(...spreads.filter(({ name }) => name.startsWith(ours) === own).map(({ median }) => median));
  console.log(`${clients} clients: ${(best(true) / best(false)).toFixed(1)} × the best peer`);
}
