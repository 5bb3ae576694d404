/**
 * Real processes of `bin/agent-relay` for tests: run to their end, or started and waited for. Every world has a
 * folder of its own, ports are the system's choice, and whatever was started is ended by its number.
 */
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

export const root = resolve(import.meta.dir, "../..");
export const program = join(root, "bin/agent-relay");

export type Options = {
  env?: Record<string, string>;
  cwd?: string;
  stdin?: string;
  /** Another launcher than the repository's own. */
  program?: string;
};
export type Ended = { code: number | null; stdout: string; stderr: string };

/** A process that serves until it is ended. Its output goes to files, so it never waits for a reader. */
export type Serving = {
  pid: number;
  /** Lines of standard output so far. */
  lines(): string[];
  stderr(): string;
  /** The first line of output as JSON; rejects with what was said instead. */
  ready<Value = Ready>(): Promise<Value>;
  /** Line number `index` of the output, once it is whole. */
  line(index: number): Promise<string>;
  signal(name: NodeJS.Signals): void;
  /** Exit code, or 128 + number for a signal, as a shell tells it. */
  ended: Promise<number>;
  /** SIGTERM and the end of it. */
  stop(): Promise<number>;
};

/** The ready lines of `up`, `run` and `proxy` together. */
export type Ready = {
  event: string;
  url: string;
  mcpUrl: string;
  operatorTokenFile: string;
  secretFile: string;
  agentId: string;
  pid: number;
};

export type World = {
  folder: string;
  home: string;
  /** Runs the program to its end; `--home` is added where the arguments say `HOME`. */
  cli(args: string[], options?: Options): Promise<Ended>;
  start(args: string[], options?: Options): Serving;
  /** `up` on any port, ready. */
  up(...more: string[]): Promise<Serving & { url: string }>;
  /** What its processes wrote to standard error, the end of each: for the word of a test that failed. */
  written(): string;
  close(): Promise<void>;
};

/** A folder, and the processes started in it. */
export function openWorld(): World {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-e2e-"));
  const home = join(folder, "home");
  const started: Serving[] = [];
  const withHome = (args: string[]) => args.flatMap((arg) => (arg === "HOME" ? ["--home", home] : [arg]));
  const start = (args: string[], options: Options = {}) => {
    const serving = serve(withHome(args), join(folder, `process-${started.length}`), options);
    started.push(serving);
    return serving;
  };
  return {
    folder,
    home,
    start,
    cli: (args, options = {}) => runToEnd(withHome(args), options),
    async up(...more) {
      const relay = start(["up", "--port", "0", "HOME", "--json", ...more]);
      const { url } = await relay.ready();
      return { ...relay, url };
    },
    written: () => started.map(({ pid, stderr }) => `--- ${pid}\n${stderr().slice(-8_000)}`).join("\n"),
    async close() {
      await Promise.all(started.map((serving) => serving.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves with the first value that is not undefined; rejects after `ms`. */
export async function until<Value>(
  what: string,
  probe: () => Value | undefined | Promise<Value | undefined>,
  ms = 15_000,
): Promise<Value> {
  const end = performance.now() + ms;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`Waited ${ms} ms in vain: ${what}`);
    await Bun.sleep(10);
  }
}

/** Every file and folder below a path with its mode and content, to see that nothing was written. */
export function snapshot(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((one) => {
      const stat = statSync(one);
      const mode = (stat.mode & 0o777).toString(8);
      return `${one} ${mode} ${stat.isFile() ? Bun.hash(readFileSync(one)) : ""}`;
    });
}

/** The official SDK client at an endpoint. */
export async function connect(url: string, secret: string, era: "legacy" | "modern"): Promise<Client> {
  const client = new Client(
    { name: `e2e-${era}`, version: "1.0.0" },
    { versionNegotiation: { mode: era === "legacy" ? "legacy" : { pin: "2026-07-28" } } },
  );
  const headers = { Authorization: `Bearer ${secret}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return client;
}

/** The person's environment less everything that would point the program at their own relay or home. */
function environmentFor(options: Options): Record<string, string> {
  const own = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith("AGENT_RELAY_"),
  );
  return { ...Object.fromEntries(own), ...options.env };
}

async function runToEnd(args: string[], options: Options): Promise<Ended> {
  const child = Bun.spawn([options.program ?? program, ...args], {
    cwd: options.cwd ?? root,
    env: environmentFor(options),
    stdin: options.stdin === undefined ? "ignore" : Buffer.from(options.stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  const textOf = (stream: ReadableStream<Uint8Array>) => new Response(stream).text();
  const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr), child.exited]);
  return { code: child.exitCode, stdout, stderr };
}

function serve(args: string[], path: string, options: Options): Serving {
  const files = { out: `${path}.out`, err: `${path}.err` };
  const out = openSync(files.out, "w", 0o600);
  const err = openSync(files.err, "w", 0o600);
  const child = Bun.spawn([options.program ?? program, ...args], {
    cwd: options.cwd ?? root,
    env: environmentFor(options),
    stdin: "ignore",
    stdout: out,
    stderr: err,
  });
  closeSync(out);
  closeSync(err);
  let running = true;
  const ended = child.exited.then((code) => {
    running = false;
    return code;
  });
  const lines = () => readFileSync(files.out, "utf8").split("\n").slice(0, -1);
  const stderr = () => readFileSync(files.err, "utf8");
  const line = (index: number) =>
    until(`line ${index} of ${args.join(" ")}`, () => {
      const found = lines()[index];
      if (found === undefined && !running)
        throw new Error(`${args.join(" ")} ended before it said that: ${stderr()}`);
      return found;
    });
  return {
    pid: child.pid,
    lines,
    stderr,
    line,
    ready: async <Value>() => JSON.parse(await line(0)) as Value,
    signal: (name) => void (running && child.kill(name)),
    ended,
    stop() {
      if (running) child.kill("SIGTERM");
      return ended;
    },
  };
}
