/**
 * What ten minutes of churn leave behind: sessions that are opened and never ended, streams that are opened and
 * dropped, calls in between. `tools/bun bench/churn.ts --minutes N` prints the resident memory of the proxy's process
 * tree as it goes, and at the end how much it has grown since its first quarter.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { firstLine, launch, type Program, stopAll, until } from "../examples/demo/programs.ts";
import { sleep, waitingClock } from "../src/base/clock.ts";
import { spreadOf } from "./figures.ts";
import { residentMiB } from "./process.ts";

type Target = { readonly url: string; readonly headers: Record<string, string> };

const root = resolve(import.meta.dir, "..");
const bun = join(root, "tools", "bun");
const readySchema = z.object({ url: z.string(), secretFile: z.string().optional() });
const clock = waitingClock;
const sampleMs = 5_000;
const lanes = 8;
const clientInfo = { name: "churn", version: "1" };
const envelope = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

const { values: options } = parseArgs({
  args: Bun.argv.slice(2),
  options: { minutes: { type: "string", default: "10" } },
});

process.exitCode = await main(Number(options.minutes) * 60_000);
process.exit();

async function main(ms: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-churn-"));
  const programs: Program[] = [];
  const start = (name: string, command: string[]) => {
    const program = launch({ name, command, folder, environment: process.env });
    programs.push(program);
    return program;
  };
  try {
    const upstream = await ready(start("echo", [bun, join(root, "bench", "echo.ts")]));
    const home = join(folder, "home");
    const command = [
      join(root, "bin", "agent-relay"),
      "proxy",
      "--upstream",
      upstream.url,
      "--home",
      home,
      "--json",
    ];
    const proxy = start("agent-relay", command);
    const { url, secretFile = "" } = await ready(proxy);
    const authorization = `Bearer ${readFileSync(secretFile, "utf8").trim()}`;
    const accept = "application/json, text/event-stream";
    const target = { url, headers: { authorization, accept, "content-type": "application/json" } };
    await churn(target, proxy, ms);
    return 0;
  } finally {
    await stopAll(programs, 6_000, clock);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function ready(program: Program) {
  const wait = { what: program.name, forMs: 15_000, clock, signal: new AbortController().signal };
  return readySchema.parse(JSON.parse(await until(wait, () => firstLine(program, 0))));
}

async function churn(target: Target, proxy: Program, ms: number): Promise<void> {
  const end = clock.monotonic() + ms;
  const count = { rounds: 0 };
  const lane = async (index: number) => {
    while (clock.monotonic() < end) {
      await (index % 2 === 0 ? legacyRound(target) : modernRound(target));
      count.rounds += 1;
    }
  };
  const samples: number[] = [];
  const sample = async () => {
    while (clock.monotonic() < end) {
      samples.push(residentMiB(proxy.pid));
      console.log(
        `${((ms - end + clock.monotonic()) / 60_000).toFixed(1)} min: ${samples.at(-1)?.toFixed(0)} MiB`,
      );
      await sleep(clock, Math.min(sampleMs, ms / 20));
    }
  };
  await Promise.all([...Array.from({ length: lanes }, (_, index) => lane(index)), sample()]);
  const quarter = Math.ceil(samples.length / 4);
  const early = spreadOf(samples.slice(quarter, 2 * quarter)).median;
  const late = spreadOf(samples.slice(-quarter)).median;
  await sleep(clock, 15_000);
  console.log(
    `${count.rounds} sessions and streams opened and dropped in ${ms / 60_000} min: ${early.toFixed(0)} MiB in the ` +
      `second quarter, ${late.toFixed(0)} MiB in the last, ${Math.max(...samples).toFixed(0)} MiB at most, ` +
      `${residentMiB(proxy.pid).toFixed(0)} MiB 15 s after the end`,
  );
}

/** A session that is never ended, with a stream that is dropped and a call. */
async function legacyRound(target: Target): Promise<void> {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
  const opened = await post(target, { id: 1, method: "initialize", params });
  const session = { "mcp-session-id": opened.headers.get("mcp-session-id") ?? "" };
  await dropped((signal) => fetch(target.url, { headers: { ...target.headers, ...session }, signal }));
  await post(
    target,
    { id: 2, method: "tools/call", params: { name: "echo", arguments: { text: "x" } } },
    session,
  );
}

/** A subscription that is dropped, and a call. */
async function modernRound(target: Target): Promise<void> {
  const headers = (method: string) => ({ "mcp-protocol-version": "2026-07-28", "mcp-method": method });
  const notifications = { toolsListChanged: true };
  const method = "subscriptions/listen";
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { notifications, _meta: envelope } });
  await dropped((signal) =>
    fetch(target.url, { method: "POST", headers: { ...target.headers, ...headers(method) }, body, signal }),
  );
  const params = { name: "echo", arguments: { text: "x" }, _meta: envelope };
  await post(
    target,
    { id: 2, method: "tools/call", params },
    { ...headers("tools/call"), "mcp-name": "echo" },
  );
}

async function post(target: Target, message: object, more: Record<string, string> = {}): Promise<Response> {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  const response = await fetch(target.url, { method: "POST", headers: { ...target.headers, ...more }, body });
  const text = await response.text();
  if (!response.ok) throw new Error(`Ask the proxy: HTTP ${response.status} ${text.slice(0, 200)}`);
  return response;
}

/** Opens a stream, reads its first bytes and goes away. */
async function dropped(open: (signal: AbortSignal) => Promise<Response>): Promise<void> {
  const end = new AbortController();
  const response = await open(end.signal);
  if (!response.ok) throw new Error(`Open a stream: HTTP ${response.status}`);
  await response.body?.getReader().read();
  end.abort();
}
