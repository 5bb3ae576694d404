/**
 * Starting, freezing and killing the processes of the demo, by process id only. Their output goes to files, so that
 * nothing is lost when one of them is killed, and so that it can be searched afterwards.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Clock, sleep } from "../../src/base/clock.ts";

/** A process that was started, with the files its output goes to. */
export type Program = {
  readonly name: string;
  readonly pid: number;
  readonly outFile: string;
  readonly logFile: string;
  /** Resolves with the exit code; null after a signal. */
  readonly ended: Promise<number | null>;
  running(): boolean;
  signal(name: NodeJS.Signals): void;
};

/** How to start a process. */
export type Launch = {
  name: string;
  command: string[];
  folder: string;
  environment: Record<string, string | undefined>;
};

/** Starts a process in a session of its own, so that a Ctrl-C in the terminal reaches only the demo itself. */
export function launch(options: Launch): Program {
  const outFile = join(options.folder, `${options.name}.out`);
  const logFile = join(options.folder, `${options.name}.log`);
  const out = openSync(outFile, "a", 0o600);
  const log = openSync(logFile, "a", 0o600);
  let code: number | null | undefined;
  try {
    const child = Bun.spawn(options.command, {
      stdin: "ignore",
      stdout: out,
      stderr: log,
      env: withoutOurs(options.environment),
      detached: true,
    });
    const ended = child.exited.then(() => {
      code = child.exitCode;
      return code;
    });
    return {
      name: options.name,
      pid: child.pid,
      outFile,
      logFile,
      ended,
      running: () => code === undefined,
      signal: (name) => {
        if (code === undefined) child.kill(name);
      },
    };
  } finally {
    closeSync(out);
    closeSync(log);
  }
}

/** The environment less everything that would point the product at the person's own relay or home. */
function withoutOurs(environment: Record<string, string | undefined>): Record<string, string> {
  const entries = Object.entries(environment).filter(([name]) => !name.startsWith("AGENT_RELAY_"));
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** How long to wait for something, and for what, in words. */
export type Wait = { what: string; forMs: number; clock: Clock; signal: AbortSignal };

/** Asks again every few milliseconds until there is a value; throws when the time is over or the signal aborts. */
export async function until<Value>(wait: Wait, probe: () => Value | undefined): Promise<Value> {
  const end = wait.clock.monotonic() + wait.forMs;
  for (;;) {
    const value = probe();
    if (value !== undefined) return value;
    if (wait.signal.aborted) throw new Error(`Wait for ${wait.what}: stopped`);
    if (wait.clock.monotonic() >= end)
      throw new Error(`Wait for ${wait.what}: nothing within ${wait.forMs / 1000} s`);
    await sleep(wait.clock, 10, wait.signal);
  }
}

/** The first whole line of a program's output, once it is there; throws with the end of its log when it has ended. */
export function firstLine(program: Program, skip: number): string | undefined {
  const text = readFileSync(program.outFile, "utf8").slice(skip);
  const end = text.indexOf("\n");
  if (end >= 0) return text.slice(0, end);
  if (!program.running()) throw new Error(`${program.name} ended before it was ready: ${tail(program)}`);
  return undefined;
}

/** The end of a program's log, for error messages. */
export function tail(program: Program): string {
  return readFileSync(program.logFile, "utf8").trim().slice(-600) || "it logged nothing";
}

/** Asks programs to end, waits, then forces them; resolves when all have ended. */
export async function stopAll(programs: readonly Program[], graceMs: number, clock: Clock): Promise<void> {
  for (const program of programs) {
    program.signal("SIGCONT");
    program.signal("SIGTERM");
  }
  const ended = Promise.all(programs.map(({ ended }) => ended));
  await Promise.race([ended, sleep(clock, graceMs)]);
  for (const program of programs) program.signal("SIGKILL");
  await ended;
}

/** Ends processes left behind by a killed runner: only those whose command line holds `mark`. */
export function endLeftovers(pids: Iterable<number>, mark: string): void {
  for (const pid of pids) {
    const command = Bun.spawnSync(["ps", "-o", "args=", "-p", String(pid)]).stdout.toString();
    if (!command.includes(mark)) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended between the two calls.
    }
  }
}
