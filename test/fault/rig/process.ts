/** Starting and ending the rig's processes, by their own ids. Each prints one line of JSON when it is ready. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { type Crash, crashVariable } from "./points.ts";

export type Started<Ready> = {
  ready: Ready;
  pid: number;
  /** Resolves when it has ended. */
  ended: Promise<void>;
  running(): boolean;
  signal(name: NodeJS.Signals): void;
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL when that does not end it. */
  stop(): Promise<void>;
};

export type StartOptions = {
  file: string;
  argument: string;
  logFile: string;
  crash?: Crash | undefined;
  environment?: Record<string, string>;
  /** Runs the process under another program, such as strace or unshare. */
  under?: readonly string[];
  /** The ready line must be there by then, ms. */
  readyMs?: number;
};

const stopMs = 8_000;

/**
 * Starts a file with Bun; undefined when it died of its crash before it was ready.
 * @throws when it ended otherwise or said nothing
 */
export async function start<Ready>(options: StartOptions): Promise<Started<Ready> | undefined> {
  const { file, argument, logFile, crash, under = [] } = options;
  const log = openSync(logFile, "a", 0o600);
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("AGENT_RELAY_"));
  const child = Bun.spawn([...under, process.execPath, file, argument], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: log,
    env: {
      ...Object.fromEntries(own),
      ...options.environment,
      ...(crash === undefined ? {} : { [crashVariable]: JSON.stringify(crash) }),
    },
  });
  closeSync(log);
  let running = true;
  const ended = child.exited.then(() => {
    running = false;
  });
  // Under another program the process has a number of its own, which its ready line tells.
  let target = child.pid;
  const signal = (name: NodeJS.Signals) => {
    if (running) tryKill(target, name);
  };
  const late = setTimeout(() => child.kill("SIGKILL"), options.readyMs ?? 20_000);
  const line = await firstLine(child.stdout);
  clearTimeout(late);
  if (line === undefined) {
    await ended;
    if (crash !== undefined && child.signalCode === "SIGKILL") return undefined;
    const said = readFileSync(logFile, "utf8").slice(-1_500);
    throw new Error(`Start ${file}: it ended with ${child.exitCode ?? child.signalCode}: ${said}`);
  }
  const ready = JSON.parse(line) as Ready & { pid?: number };
  target = ready.pid ?? child.pid;
  return {
    ready,
    pid: target,
    ended,
    running: () => running,
    signal,
    async kill() {
      signal("SIGKILL");
      await ended;
    },
    async stop() {
      signal("SIGCONT");
      signal("SIGTERM");
      const late = setTimeout(() => signal("SIGKILL"), stopMs);
      await ended;
      clearTimeout(late);
    },
  };
}

function tryKill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended a moment ago.
  }
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return undefined;
    text += decoder.decode(value, { stream: true });
    const end = text.indexOf("\n");
    if (end < 0) continue;
    reader.releaseLock();
    return text.slice(0, end);
  }
}
