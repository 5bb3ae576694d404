/** The ways to the upstream that the drill compares, each as the processes it needs. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { firstLine, launch, type Program, stopAll, until } from "../../examples/demo/programs.ts";
import { type Clock, sleep } from "../../src/base/clock.ts";
import { nginxConfiguration } from "../nginx.ts";
import type { Path } from "./drill.ts";

export type PathPlace = { readonly folder: string; readonly clock: Clock };
export type PathOpener = (upstreamUrl: string) => Promise<Path>;

const root = resolve(import.meta.dir, "../..");
const readySchema = z.object({ url: z.string(), secretFile: z.string() });

/** `agent-relay proxy`. */
export function agentRelayPath({ folder, clock }: PathPlace): PathOpener {
  return async (upstreamUrl) => {
    const home = join(folder, "home");
    const command = [
      join(root, "bin/agent-relay"),
      "proxy",
      "--upstream",
      upstreamUrl,
      "--home",
      home,
      "--json",
    ];
    const program = launch({ name: "agent-relay", command, folder, environment: process.env });
    const wait = { what: "agent-relay", forMs: 10_000, clock, signal: new AbortController().signal };
    const ready = readySchema.parse(JSON.parse(await until(wait, () => firstLine(program, 0))));
    const secret = readFileSync(ready.secretFile, "utf8").trim();
    return path("agent-relay proxy", { url: ready.url, secret }, { program, clock });
  };
}

/** Nothing in between. */
export function directPath(): PathOpener {
  return async (url) => ({ name: "direct", target: { url, secret: undefined }, async close() {} });
}

/** nginx, one worker, no buffering of responses. */
export function nginxPath({ folder, clock }: PathPlace): PathOpener {
  return async (upstreamUrl) => {
    const nginx = Bun.which("nginx", { PATH: `${process.env.PATH}:/usr/sbin` });
    if (nginx === null) throw new Error("Find nginx: it is not installed, the drill compares with it");
    const port = freePort();
    const configuration = join(folder, "nginx.conf");
    writeFileSync(configuration, nginxConfiguration({ folder, port, upstream: upstreamUrl }));
    const command = [nginx, "-p", folder, "-e", join(folder, "error.log"), "-c", configuration];
    const program = launch({ name: "nginx", command, folder, environment: process.env });
    await listening(port, clock);
    const url = `http://127.0.0.1:${port}/mcp`;
    return path("nginx", { url, secret: undefined }, { program, clock });
  };
}

/** Pinned versions of the peers; they are installed below the folder, never into the project. */
const peers = ["mcp-proxy@6.7.19", "mcp-remote@0.15.1"];

/** `mcp-proxy` in front of `mcp-remote`, the way their documents put an HTTP server behind them. */
export function bridgePath({ folder, clock }: PathPlace): PathOpener {
  return async (upstreamUrl) => {
    const scratch = join(folder, "peers");
    mkdirSync(scratch, { recursive: true });
    writeFileSync(join(scratch, "package.json"), '{"private":true}\n');
    const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...peers];
    const installed = spawnSync("npm", args, { cwd: scratch, encoding: "utf8" });
    if (installed.status !== 0)
      throw new Error(`Install ${peers.join(" and ")}: ${installed.stderr.slice(-400)}`);
    const bin = (name: string) => join(scratch, "node_modules", ".bin", name);
    const port = freePort();
    const remote = [bin("mcp-remote"), upstreamUrl, "--transport", "http-only", "--allow-http", "--silent"];
    const front = ["--host", "127.0.0.1", "--port", String(port), "--server", "stream", "--", ...remote];
    const environment = { ...process.env, MCP_REMOTE_CONFIG_DIR: join(scratch, "auth") };
    const command = [bin("mcp-proxy"), ...front];
    const program = launch({ name: "bridge", command, folder, environment });
    await listening(port, clock);
    const url = `http://127.0.0.1:${port}/mcp`;
    return path("mcp-proxy + mcp-remote", { url, secret: undefined }, { program, clock });
  };
}

function path(name: string, target: Path["target"], own: { program: Program; clock: Clock }): Path {
  return { name, target, close: () => stopAll([own.program], 3_000, own.clock) };
}

function freePort(): number {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const { port = 0 } = server;
  server.stop(true);
  return port;
}

/** Waits until somebody accepts connections there. */
async function listening(port: number, clock: Clock): Promise<void> {
  const end = clock.monotonic() + 20_000;
  while (clock.monotonic() < end) {
    const open = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).catch(
      () => undefined,
    );
    open?.end();
    if (open !== undefined) return;
    await sleep(clock, 50);
  }
  throw new Error(`Wait for port ${port}: nobody listens there after 20 s`);
}
