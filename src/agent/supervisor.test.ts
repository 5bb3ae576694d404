/** Stopping, forcing and restarting real programs. */
import { describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { agent, agentEnv, isAlive, until } from "../../test/fixtures/agents/agents.ts";
import { realClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import type { ProcessIdentity } from "../base/process.ts";
import { seededRandom } from "../base/random.ts";
import { type SupervisorOptions, supervise } from "./supervisor.ts";

function run(command: readonly string[], options: Partial<SupervisorOptions> = {}) {
  const lines: string[] = [];
  const children: ProcessIdentity[] = [];
  const supervisor = supervise({
    plan: () => ({ status: "ready", command, env: agentEnv }),
    cwd: tmpdir(),
    stdio: { stdout: (line) => void lines.push(line), stderr: (line) => void lines.push(line) },
    terminal: false,
    policy: { when: "never" },
    clock: realClock,
    random: seededRandom(1),
    log: silentLog,
    limits: { childStopMs: 300, outputDrainMs: 300 },
    onChild: (child) => void children.push(child),
    ...options,
  });
  return { supervisor, lines, children };
}
/** The numbers that a program has printed; a missing line is an error, not a process that is gone. */
const pidsOf = (line: string | undefined) => {
  if (line === undefined || !/^\d+( \d+)*$/.test(line)) throw new Error(`No process numbers: ${line}`);
  return line.split(" ").map(Number);
};
const restarting = { when: "onFailure", baseMs: 5, capMs: 10, crashesMax: 3, stableMs: 60_000 } as const;

describe("an agent that ends by itself", () => {
  test("its exit code is passed on", async () => {
    const { supervisor } = run(agent("silent.sh", "7"));
    expect(await supervisor.ended).toEqual({ code: 7, signal: null, cause: "exited" });
  });

  test("all its lines have arrived by then", async () => {
    const { supervisor, lines } = run(agent("chatty.ts"));
    await supervisor.ended;
    expect(lines.at(-1)).toBe("the end");
  });

  test("what it leaves behind ends with it, also when it must be forced", async () => {
    const { supervisor, lines } = run(agent("leaves-child.sh"));
    expect(await supervisor.ended).toEqual({ code: 0, signal: null, cause: "exited" });
    expect(pidsOf(lines[0]).map(isAlive)).toEqual([false]);
  });
});

describe("stop", () => {
  test("a polite agent is asked, and its own exit code is kept", async () => {
    const { supervisor, lines } = run(agent("polite.sh"), {
      limits: { childStopMs: 5_000, outputDrainMs: 300 },
    });
    await until("the agent is ready", () => lines.includes("ready"));
    expect(await supervisor.stop()).toEqual({ code: 7, signal: null, cause: "stopped" });
    expect(lines).toContain("asked");
  });

  test("a stubborn agent is forced after the time it is given", async () => {
    const { supervisor, lines } = run(agent("ignores-sigterm.sh"));
    await until("the agent is ready", () => lines.includes("ready"));
    const asked = performance.now();
    expect(await supervisor.stop()).toEqual({ code: null, signal: "SIGKILL", cause: "killed" });
    expect(performance.now() - asked).toBeGreaterThanOrEqual(295);
  });

  const modes: [string, boolean][] = [
    ["in its own group", false],
    ["at a terminal", true],
  ];
  test.each(modes)("takes every descendant: %s", async (_, terminal) => {
    const { supervisor, lines, children } = run(agent("forks-child.sh"), { terminal });
    await until("the children are named", () => lines.length > 0);
    const pids = [...pidsOf(lines[0]), children[0]?.pid ?? 0];
    expect(pids.map(isAlive)).toEqual([true, true, true]);
    expect((await supervisor.stop()).cause).toBe("stopped");
    expect(pids.map(isAlive)).toEqual([false, false, false]);
  });

  test("several stops, before and after the end, get the same end", async () => {
    const { supervisor } = run(agent("forever.sh"));
    const [one, two] = await Promise.all([supervisor.stop(), supervisor.stop()]);
    expect(two).toEqual(one);
    expect(await supervisor.stop()).toEqual(one);
  });

  test("the first cause wins: a stop after the agent's own end changes nothing", async () => {
    const { supervisor, lines } = run(agent("leaves-child.sh"));
    await until("the agent's own end", () => supervisor.state.name === "ended");
    expect((await supervisor.stop()).cause).toBe("exited");
    expect(pidsOf(lines[0]).map(isAlive)).toEqual([false]);
  });
});

describe("interrupt", () => {
  test("is passed on to an agent in its own group, and its end is waited for", async () => {
    const { supervisor, lines } = run(agent("polite.sh"));
    await until("the agent is ready", () => lines.includes("ready"));
    supervisor.interrupt();
    expect(await supervisor.ended).toEqual({ code: 8, signal: null, cause: "exited" });
  });

  test("is not passed on at a terminal, where the agent has got it already", async () => {
    const { supervisor, lines } = run(agent("polite.sh"), { terminal: true });
    await until("the agent is ready", () => lines.includes("ready"));
    supervisor.interrupt();
    expect(await supervisor.stop()).toEqual({ code: 7, signal: null, cause: "stopped" });
  });
});

describe("at a real terminal", () => {
  test("the agent has the terminal, and an interrupt by key reaches it once while its runner waits", async () => {
    let screen = "";
    const runner = Bun.spawn(agent("at-terminal.ts"), {
      env: agentEnv,
      terminal: {
        cols: 80,
        rows: 24,
        data(_, bytes) {
          screen += Buffer.from(bytes).toString();
        },
      },
    });
    await until("the agent is ready", () => screen.includes("ready"));
    runner.terminal?.write("\x03");
    expect(await runner.exited).toBe(0);
    await until("the runner's word", () => screen.includes("ended"));
    expect(screen).toContain("on a terminal");
    expect(screen.match(/interrupted/g)).toHaveLength(1);
    expect(screen).toContain('ended {"code":8,"signal":null,"cause":"exited"}');
  });
});

describe("stopping a suspended agent", () => {
  test("lets it go on, so that it can end by itself", async () => {
    const { supervisor, lines, children } = run(agent("polite.sh"), {
      limits: { childStopMs: 5_000, outputDrainMs: 300 },
    });
    await until("the agent is ready", () => lines.includes("ready"));
    process.kill(children[0]?.pid ?? 0, "SIGSTOP");
    expect(await supervisor.stop()).toEqual({ code: 7, signal: null, cause: "stopped" });
  });
});

describe("an agent that cannot be started", () => {
  const faults: [string, Partial<SupervisorOptions>, string][] = [
    ["an unknown program", {}, "no-such-program"],
    ["a refused plan", { plan: () => ({ status: "refused", reason: "no way" }) }, "no way"],
    ["no working folder", { cwd: "/no/such/folder" }, "/no/such/folder"],
  ];
  test.each(faults)("%s", async (_, options, text) => {
    const { supervisor } = run(["no-such-program"], options);
    const end = await supervisor.ended;
    expect(end).toMatchObject({ code: null, signal: null, cause: "spawn-failed" });
    expect(end.fault).toContain(text);
  });
});

describe("restart on failure", () => {
  test("a crash loop is ended, each start with a fresh plan", async () => {
    let plans = 0;
    const plan = () => {
      plans += 1;
      return { status: "ready", command: agent("crash.sh", String(plans)), env: agentEnv } as const;
    };
    const { supervisor } = run([], { plan, policy: restarting });
    expect(await supervisor.ended).toEqual({ code: 3, signal: null, cause: "crash-loop" });
    expect(plans).toBe(3);
  });

  test("a stop while it waits ends it", async () => {
    const policy = { ...restarting, baseMs: 60_000, capMs: 60_000 };
    const { supervisor } = run(agent("crash.sh", "4"), { policy });
    await until("the wait", () => supervisor.state.name === "restarting");
    expect(await supervisor.stop()).toEqual({ code: 4, signal: null, cause: "stopped" });
  });
});

test("a record that cannot be written does not take the agent down", async () => {
  const onChild = () => {
    throw new Error("disk full");
  };
  const { supervisor } = run(agent("silent.sh", "5"), { onChild });
  expect((await supervisor.ended).code).toBe(5);
});
