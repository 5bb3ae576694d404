/** Starting, signalling and outliving, with real tiny programs. */
import { afterEach, describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { agent, agentEnv, isAlive, until } from "../../test/fixtures/agents/agents.ts";
import { limits } from "../limits.ts";
import { realClock } from "./clock.ts";
import { truncationMark } from "./lines.ts";
import {
  type ChildProcess,
  endRecordedGroup,
  type LineStdio,
  processStart,
  SpawnError,
  type SpawnRequest,
  spawnChild,
} from "./process.ts";

const started: ChildProcess[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.signalGroup("SIGKILL");
    await child.exited;
    child.release();
  }
});

function start(command: readonly string[], options: Partial<SpawnRequest> & { stdin?: "pipe" } = {}) {
  const { stdin = "ignore", ...rest } = options;
  const out: string[] = [];
  const err: string[] = [];
  const stdio: LineStdio = {
    stdout: (line) => void out.push(line),
    stderr: (line) => void err.push(line),
    stdin,
  };
  const child = spawnChild({ command, env: agentEnv, cwd: tmpdir(), stdio, processGroup: true, ...rest });
  started.push(child);
  return { child, out, err };
}

function failure(request: Partial<SpawnRequest>): SpawnError {
  try {
    start(["true"], request);
  } catch (error) {
    if (error instanceof SpawnError) return error;
    throw error;
  }
  throw new Error("The program was started");
}

describe("starting", () => {
  test("environment, arguments and folder are exactly those given, odd names included", async () => {
    const env = { ...agentEnv, A: "1", "a.b-c": "2", "BASH_FUNC_f%%": "() { :\n}" };
    const { child, out } = start(agent("echo-env.ts", "--x", "", "a b"), { env, cwd: "/" });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    await child.outputEnded;
    expect(JSON.parse(out.join(""))).toEqual({ env, argv: ["--x", "", "a b"], cwd: "/" });
  });

  const refusals: [string, Partial<SpawnRequest>, string, string][] = [
    ["an unknown name", { command: ["no-such-program"] }, "not-found", "no-such-program"],
    ["an unknown path", { command: ["/no/such/program"] }, "not-found", "/no/such/program"],
    ["a folder", { command: ["/usr/bin/"] }, "not-executable", "not a file"],
    ["a file without the right", { command: ["/etc/passwd"] }, "not-executable", "/etc/passwd"],
    ["no name", { command: [] }, "not-found", "no name"],
    ["a folder that is not there", { cwd: "/no/such/folder" }, "bad-folder", "/no/such/folder"],
    ["an empty PATH", { env: {} }, "not-found", "PATH (empty)"],
  ];
  test.each(refusals)("%s is refused by name", (_, request, why, text) => {
    const error = failure(request);
    expect(error.why).toBe(why as SpawnError["why"]);
    expect(error.message).toContain(text);
  });
});

describe("ends and output", () => {
  const ends: [string, string[], { code: number | null; signal: string | null }][] = [
    ["silent", agent("silent.sh"), { code: 0, signal: null }],
    ["an exit code", agent("silent.sh", "7"), { code: 7, signal: null }],
    ["a signal", agent("crash.sh"), { code: null, signal: "SIGKILL" }],
  ];
  test.each(ends)("%s", async (_, command, wanted) => {
    expect(await start(command).child.exited).toEqual(wanted as Awaited<ChildProcess["exited"]>);
  });

  test("every line arrives in order; a line that is too long is cut and marked", async () => {
    const { child, out } = start(agent("chatty.ts"));
    await child.outputEnded;
    expect(out).toHaveLength(1_002);
    expect(out.slice(0, 1_000)).toEqual(Array.from({ length: 1_000 }, (_, index) => `line ${index + 1}`));
    expect(out[1_000]).toBe("x".repeat(limits.outputLineBytesMax) + truncationMark);
    expect(out[1_001]).toBe("the end");
  });

  test("input is written until it is closed", async () => {
    const { child, out } = start(agent("echo-input.sh"), { stdin: "pipe" });
    expect(child.write("one\ntwo\n")).toBe(true);
    child.closeInput();
    expect(await child.exited).toEqual({ code: 0, signal: null });
    await child.outputEnded;
    expect(out).toEqual(["got one", "got two", "bye"]);
    expect(child.write("three\n")).toBe(false);
  });

  test("a child without input takes none", () => {
    expect(start(agent("forever.sh")).child.write("x\n")).toBe(false);
  });
});

describe("signals", () => {
  const modes: [string, boolean][] = [
    ["in its own group", true],
    ["in the group of its starter", false],
  ];
  test.each(modes)("reach every descendant, also one in another session: %s", async (_, processGroup) => {
    const { child, out } = start(agent("forks-child.sh"), { processGroup });
    await until("the children are named", () => out.length > 0);
    const pids = (out[0] ?? "").split(" ").map(Number);
    expect(pids.map(isAlive)).toEqual([true, true]);
    expect(child.signalGroup("SIGKILL")).toBeGreaterThanOrEqual(3);
    expect(await child.gone(realClock, 2_000)).toBe(true);
    expect(pids.map(isAlive)).toEqual([false, false]);
    expect(await child.exited).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("what a child left behind in its group is still reached after its end", async () => {
    const { child, out } = start(agent("leaves-child.sh"));
    await child.exited;
    await until("the child is named", () => out.length > 0);
    expect(isAlive(Number(out[0]))).toBe(true);
    expect(child.signalGroup("SIGTERM")).toBe(1);
    expect(await child.gone(realClock, 50)).toBe(false);
    child.signalGroup("SIGKILL");
    expect(await child.gone(realClock, 2_000)).toBe(true);
    await child.outputEnded;
  });

  test("no signal goes to a child that is gone", async () => {
    const { child } = start(agent("silent.sh"));
    await child.exited;
    expect(child.signalGroup("SIGTERM")).toBe(0);
  });
});

describe("lifeline", () => {
  const programs: [string, string, string, number][] = [
    ["own group, polite", "group", "forks-child.sh", 2_000],
    ["terminal, polite", "terminal", "forks-child.sh", 2_000],
    ["own group, stubborn", "group", "ignores-sigterm.sh", 4_000],
    ["terminal, stubborn", "terminal", "ignores-sigterm.sh", 4_000],
  ];
  test.concurrent.each(programs)(
    "a killed owner's child goes with all it started: %s",
    async (_, mode, program, ms) => {
      const lines: string[] = [];
      const owner = spawnChild({
        command: agent("owner.ts", mode, ...agent(program)),
        env: agentEnv,
        cwd: tmpdir(),
        stdio: { stdout: (line) => void lines.push(line), stderr: () => {} },
        processGroup: true,
        lifeline: false,
      });
      await until("both have spoken", () => lines.length === 2);
      const pids = lines.flatMap((line) => line.split(" ").map(Number)).filter((pid) => pid > 0);
      expect(pids.map(isAlive)).not.toContain(false);
      process.kill(owner.pid, "SIGKILL");
      await until("all are gone", () => !pids.some(isAlive), ms);
    },
  );
});

describe("a recorded group", () => {
  test("is ended with its descendants", async () => {
    const { child, out } = start(agent("forks-child.sh"), { lifeline: false });
    await until("the children are named", () => out.length > 0);
    const recorded = { pid: child.pid, group: child.pid, startTime: child.startTime ?? "" };
    expect(await endRecordedGroup(recorded, realClock)).toBe("ended");
    expect((out[0] ?? "").split(" ").map(Number).map(isAlive)).toEqual([false, false]);
    expect(await endRecordedGroup(recorded, realClock)).toBe("gone");
  });

  test("whose number belongs to another process now is left alone", async () => {
    const { child } = start(agent("forever.sh"));
    const recorded = { pid: child.pid, group: child.pid, startTime: "another start" };
    expect(await endRecordedGroup(recorded, realClock)).toBe("recycled");
    expect(isAlive(child.pid)).toBe(true);
  });

  test("this program knows its own start, and that of no process", () => {
    expect(processStart(process.pid)).toBeString();
    expect(processStart(2 ** 22 + 1)).toBeUndefined();
  });
});
