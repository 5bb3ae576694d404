/**
 * The sole place that starts programs. A child has either a process group of its own, or, at a terminal, shares the
 * group of this program: a new session would take the terminal away from it, and the keys for interrupt and suspend
 * would no longer reach it. Either way it is signalled with all it has started, and does not outlive this program.
 */
import { accessSync, constants, statSync } from "node:fs";
import { resolve } from "node:path";
import { limits } from "../limits.ts";
import type { Clock } from "./clock.ts";
import { endLine, lifelineScript, watchLine } from "./lifeline.ts";
import { lineSplitter } from "./lines.ts";
import {
  endFamily,
  type FamilyEnd,
  familyGone,
  familyOf,
  type ProcessAccess,
  type ProcessIdentity,
} from "./process-family.ts";
import { type ProcessRow, parsePs, psArguments, readProcEntry, readProcFolder } from "./process-table.ts";

export type { FamilyEnd, ProcessIdentity } from "./process-family.ts";

/** Output of the child line by line, each at most `limits.outputLineBytesMax` long. */
export type LineStdio = {
  stdout(line: string): void;
  stderr(line: string): void;
  /** `ignore` is an empty input; the default. */
  stdin?: "pipe" | "ignore";
};

export type SpawnRequest = {
  /** Program and arguments. A program without a slash is looked up in the child's own PATH. */
  command: readonly string[];
  /** The child's whole environment. */
  env: Readonly<Record<string, string>>;
  cwd: string;
  stdio: "inherit" | LineStdio;
  /** A process group (and session) of its own; false at a terminal. */
  processGroup: boolean;
  /** False for a child that is to outlive this program. */
  lifeline?: boolean;
};

/** How a process ended: an exit code, or the signal that ended it. */
export type ExitResult = { code: number | null; signal: NodeJS.Signals | null };

export type ChildProcess = {
  readonly pid: number;
  readonly group: number | undefined;
  /** Undefined when the child was gone before it could be looked at. */
  readonly startTime: string | undefined;
  /** Resolves when the program has ended; never rejects. */
  readonly exited: Promise<ExitResult>;
  /** Resolves when the last line was handed out. A descendant that keeps the output open delays it. */
  readonly outputEnded: Promise<void>;
  /** Signals the child and everything it has started; how many processes there were. */
  signalGroup(signal: NodeJS.Signals): number;
  /** True as soon as the child and everything it has started are gone, false after `ms`. */
  gone(clock: Clock, ms: number): Promise<boolean>;
  /** Writes to the child's input; false when there is none or it is closed. */
  write(text: string): boolean;
  closeInput(): void;
  /** Gives up what is left: output that is still open, and the lifeline. Call once the child has ended. */
  release(): void;
};

/** Why a program could not be started. */
export type SpawnFailure = "not-found" | "not-executable" | "bad-folder" | "failed";

/** A program could not be started; nothing runs. */
export class SpawnError extends Error {
  override readonly name = "SpawnError";
  readonly why: SpawnFailure;

  constructor(why: SpawnFailure, message: string, cause?: unknown) {
    super(message, { cause });
    this.why = why;
  }
}

/** Starts a program. Throws `SpawnError`. */
export function spawnChild(request: SpawnRequest): ChildProcess {
  const [name, ...args] = request.command;
  if (name === undefined || name === "")
    throw new SpawnError("not-found", "Start a program: no name was given");
  if (!isFolder(request.cwd))
    throw new SpawnError("bad-folder", `Start ${name}: the working folder ${request.cwd} is not a folder`);
  const program = findProgram(name, request.env.PATH ?? "", request.cwd);
  if (typeof program !== "string") throw program.error;
  const lifeline = request.lifeline === false ? undefined : openLifeline();
  const lines = request.stdio === "inherit" ? undefined : request.stdio;
  try {
    const child = Bun.spawn([program, ...args], {
      env: { ...request.env },
      cwd: request.cwd,
      stdin: lines === undefined ? "inherit" : lines.stdin === "pipe" ? "pipe" : "ignore",
      stdout: lines === undefined ? "inherit" : "pipe",
      stderr: lines === undefined ? "inherit" : "pipe",
      detached: request.processGroup,
    });
    const group = request.processGroup ? child.pid : undefined;
    lifeline?.tell(watchLine(child.pid, group));
    return wrap(child, { group, lines, lifeline });
  } catch (error) {
    lifeline?.tell(endLine);
    throw new SpawnError(
      "failed",
      `Start ${program}: ${error instanceof Error ? error.message : error}`,
      error,
    );
  }
}

/**
 * The path of a program.
 * @param name a name to look for in `searchPath`, or a path relative to `cwd`
 */
export function findProgram(name: string, searchPath: string, cwd: string): string | { error: SpawnError } {
  if (!name.includes("/")) {
    const found = Bun.which(name, { PATH: searchPath, cwd });
    if (found !== null) return found;
    const error = `Start ${name}: there is no such program on PATH (${searchPath === "" ? "empty" : searchPath})`;
    return { error: new SpawnError("not-found", error) };
  }
  const path = resolve(cwd, name);
  try {
    if (!statSync(path).isFile())
      return {
        error: new SpawnError("not-executable", `Start ${path}: it is not a file, a program was wanted`),
      };
  } catch (cause) {
    return { error: new SpawnError("not-found", `Start ${path}: there is no such file`, cause) };
  }
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch (cause) {
    return { error: new SpawnError("not-executable", `Start ${path}: the file may not be executed`, cause) };
  }
}

/** When the process was started, as `ProcessRow.startTime`; undefined when there is none of that number. */
export function processStart(pid: number): string | undefined {
  const rows = readProcEntry(pid) ?? readProcesses();
  return rows.find((row) => row.pid === pid)?.startTime;
}

/**
 * Ends what an earlier run of this program has recorded and left behind. Never signals a process that merely got the
 * same number.
 */
export function endRecordedGroup(recorded: ProcessIdentity, clock: Clock): Promise<FamilyEnd> {
  return endFamily(recorded, machine, { clock, askMs: limits.childStopMs, forceMs: limits.childStopMs });
}

const machine: ProcessAccess = { read: readProcesses, kill: tryKill, self: process.pid };

type Lifeline = { tell(line: string): void };
type BunChild = Bun.Subprocess<"inherit" | "pipe" | "ignore", "inherit" | "pipe", "inherit" | "pipe">;
type Parts = { group: number | undefined; lines: LineStdio | undefined; lifeline: Lifeline | undefined };

function wrap(child: BunChild, parts: Parts): ChildProcess {
  const startTime = processStart(child.pid);
  const identity = { pid: child.pid, group: parts.group, startTime: startTime ?? "gone" };
  const family = familyOf(identity, machine);
  const outputs = [
    readLines(child.stdout, parts.lines?.stdout),
    readLines(child.stderr, parts.lines?.stderr),
  ];
  return {
    pid: child.pid,
    group: parts.group,
    startTime,
    exited: child.exited.then(() => exitResult(child)),
    outputEnded: Promise.all(outputs.map(({ ended }) => ended)).then(() => {}),
    signalGroup: (signal) => family.signal(signal),
    gone: (clock, ms) => familyGone(family, clock, ms),
    write: (text) => writeInput(child, text),
    closeInput: () => closeInput(child),
    release() {
      parts.lifeline?.tell(endLine);
      for (const { cancel } of outputs) cancel();
    },
  };
}

function exitResult(child: BunChild): ExitResult {
  const signal = child.signalCode;
  // A signal without a name is told as a shell tells it.
  if (typeof signal === "number") return { code: 128 + signal, signal: null };
  return { code: child.exitCode, signal };
}

function openLifeline(): Lifeline {
  const shell = Bun.spawn(["/bin/sh", "-c", lifelineScript, "agent-relay-lifeline"], {
    env: { PATH: "/usr/bin:/bin" },
    cwd: "/",
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    detached: true,
  });
  shell.unref();
  return {
    tell(line) {
      try {
        shell.stdin.write(line);
        void shell.stdin.flush();
        if (line === endLine) void shell.stdin.end();
      } catch {
        // The shell is gone: it was ended from outside, or told its end before.
      }
    },
  };
}

function readLines(
  stream: ReadableStream<Uint8Array> | number | undefined,
  onLine: ((line: string) => void) | undefined,
): { ended: Promise<void>; cancel(): void } {
  if (!(stream instanceof ReadableStream) || onLine === undefined)
    return { ended: Promise.resolve(), cancel() {} };
  const reader = stream.getReader();
  const splitter = lineSplitter(limits.outputLineBytesMax, onLine);
  const read = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      splitter.push(value);
    }
    splitter.end();
  };
  return { ended: read(), cancel: () => void reader.cancel().catch(() => {}) };
}

function writeInput(child: BunChild, text: string): boolean {
  if (typeof child.stdin !== "object" || child.exitCode !== null || child.signalCode !== null) return false;
  try {
    child.stdin.write(text);
    void child.stdin.flush();
    return true;
  } catch {
    return false;
  }
}

function closeInput(child: BunChild): void {
  if (typeof child.stdin !== "object") return;
  try {
    void child.stdin.end();
  } catch {
    // Closed already.
  }
}

function tryKill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

function readProcesses(): readonly ProcessRow[] {
  const rows = readProcFolder();
  if (rows !== undefined) return rows;
  return parsePs(runPs(psArguments));
}

function runPs(args: readonly string[]): string {
  const result = Bun.spawnSync(["/bin/ps", ...args], { env: { LC_ALL: "C" }, stderr: "ignore" });
  if (result.exitCode !== 0) throw new Error(`Read the process table: ps ended with ${result.exitCode}`);
  return result.stdout.toString();
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
