/**
 * `tools/bun bench/start.ts`: how long `agent-relay run` takes until the agent's program is executed, with the relay
 * reachable and not. The program is a script that makes a file and ends: the file's time is when it ran. It also asks the
 * endpoint at once, so a run counts only when the endpoint answered its first request.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Spread, spreadOf } from "./figures.ts";

const root = resolve(import.meta.dir, "..");
const program = join(root, "bin/agent-relay");
const rounds = Number(process.argv[2] ?? 15);
/** The budget, and what it is measured against. */
const budgetMs = 250;

const folder = mkdtempSync(join(tmpdir(), "agent-relay-start-"));
const home = join(folder, "home");
const marks = { ran: join(folder, "ran"), answered: join(folder, "answered") };

/** What the runner takes for the program of the agent. */
function makeAgent(): string {
  const path = join(folder, "agent");
  const ask = `${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" })}`;
  const lines = [
    "#!/bin/sh",
    `: > '${marks.ran}'`,
    `curl -s -o /dev/null -w '%{http_code}' -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \\`,
    `  -H "authorization: Bearer $AGENT_RELAY_SESSION_TOKEN" -H 'mcp-protocol-version: 2025-11-25' \\`,
    `  -d '${ask}' "$AGENT_RELAY_MCP_URL" > '${marks.answered}'`,
  ];
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, `${lines.join("\n")}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Milliseconds from the start of the launcher to the start of the program. */
async function once(command: readonly string[]): Promise<number> {
  for (const mark of Object.values(marks)) rmSync(mark, { force: true });
  const startedAt = performance.timeOrigin + performance.now();
  const child = Bun.spawn([...command], {
    cwd: folder,
    env: environment(),
    stdio: ["ignore", "ignore", "pipe"],
  });
  const code = await child.exited;
  if (!existsSync(marks.ran))
    throw new Error(`${command.join(" ")} ended with ${code}: ${await new Response(child.stderr).text()}`);
  const answered = readFileSync(marks.answered, "utf8");
  if (answered !== "200") throw new Error(`The endpoint answered its first request with ${answered}`);
  return statSync(marks.ran, { bigint: false }).mtimeMs - startedAt;
}

function environment(): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: folder, LANG: "C.UTF-8" };
}

async function measure(command: readonly string[]): Promise<Spread> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) times.push(await once(command));
  return spreadOf(times);
}

/** A bare start of the runtime, for comparison: what no program of ours can be faster than. */
async function bareStart(): Promise<Spread> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const startedAt = performance.now();
    await Bun.spawn([join(root, "tools/bun"), "-e", "0"], { stdio: ["ignore", "ignore", "ignore"] }).exited;
    times.push(performance.now() - startedAt);
  }
  return spreadOf(times);
}

function row(name: string, { median, min, max }: Spread): string {
  return `| ${name} | ${[median, min, max].map((ms) => ms.toFixed(0)).join(" | ")} |`;
}

async function main(): Promise<void> {
  const agent = makeAgent();
  const relay = Bun.spawn([program, "up", "--port", "0", "--home", home, "--json"], {
    env: environment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const reader = relay.stdout.getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    const { url } = JSON.parse(first) as { url: string };
    const command = [program, "run", "exec", "--name", "ada", "--relay", url, "--home", home, "--", agent];
    // The first run enrols the agent; it is not what a person waits for every day.
    await once(command);
    const bare = await bareStart();
    const reachable = await measure(command);
    relay.kill("SIGKILL");
    await relay.exited;
    const absent = await measure(command);
    console.log("| start of the agent's program after `agent-relay run`, ms | median | min | max |");
    console.log("|---|---|---|---|");
    console.log(row("an empty program of the runtime, for comparison", bare));
    console.log(row("relay reachable", reachable));
    console.log(row("relay not reachable", absent));
    const kept = Math.max(reachable.median, absent.median) <= budgetMs;
    console.log(`\nbudget: at most ${budgetMs} ms: ${kept ? "kept" : "not kept"}`);
  } finally {
    relay.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
