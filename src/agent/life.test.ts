/** Every cell of the life of an agent's process, and its restart policy. */
import { describe, expect, test } from "bun:test";
import { exitCodeOf, type LifeEvent, type LifeState, type RestartPolicy, step } from "./life.ts";

const never: RestartPolicy = { when: "never" };
const onFailure: RestartPolicy = {
  when: "onFailure",
  baseMs: 100,
  capMs: 350,
  crashesMax: 4,
  stableMs: 1_000,
};

const good = { code: 0, signal: null };
const bad = { code: 3, signal: null };
const states = {
  starting: { name: "starting", crashes: 1 },
  running: { name: "running", crashes: 1, since: 500 },
  asked: { name: "stopping", stage: "asked" },
  forced: { name: "stopping", stage: "forced" },
  restarting: { name: "restarting", crashes: 2, at: 900, exit: bad },
  ended: { name: "ended", cause: "exited", exit: good },
} as const satisfies Record<string, LifeState>;
const events = {
  spawned: { name: "spawned", now: 700 },
  spawnFailed: { name: "spawn-failed" },
  exited: { name: "exited", now: 700, exit: good, chance: 0.5 },
  crashed: { name: "exited", now: 700, exit: bad, chance: 0.5 },
  stopAsked: { name: "stop-asked" },
  stopDeadline: { name: "stop-deadline" },
  restartDue: { name: "restart-due" },
} as const satisfies Record<string, LifeEvent>;

const restart = { name: "restarting", crashes: 2, at: 800, exit: bad } as const;
const askedNow = [states.asked, "ask", "watch-stop"] as const;
type Cell = readonly [LifeState, ...string[]];
/** What the machine answers; a state of its own means that nothing changes. */
const wanted: Record<keyof typeof states, Record<keyof typeof events, Cell>> = {
  starting: {
    spawned: [{ name: "running", crashes: 1, since: 700 }],
    spawnFailed: [{ name: "ended", cause: "spawn-failed", exit: undefined }],
    exited: [{ name: "ended", cause: "exited", exit: good }],
    crashed: [restart, "watch-restart"],
    stopAsked: askedNow,
    stopDeadline: [states.starting],
    restartDue: [states.starting],
  },
  running: {
    spawned: [states.running],
    spawnFailed: [states.running],
    exited: [{ name: "ended", cause: "exited", exit: good }],
    crashed: [restart, "watch-restart"],
    stopAsked: askedNow,
    stopDeadline: [states.running],
    restartDue: [states.running],
  },
  asked: {
    spawned: [states.asked, "ask"],
    spawnFailed: [{ name: "ended", cause: "stopped", exit: undefined }],
    exited: [{ name: "ended", cause: "stopped", exit: good }],
    crashed: [{ name: "ended", cause: "stopped", exit: bad }],
    stopAsked: [states.asked],
    stopDeadline: [states.forced, "force"],
    restartDue: [states.asked],
  },
  forced: {
    spawned: [states.forced, "force"],
    spawnFailed: [{ name: "ended", cause: "stopped", exit: undefined }],
    exited: [{ name: "ended", cause: "killed", exit: good }],
    crashed: [{ name: "ended", cause: "killed", exit: bad }],
    stopAsked: [states.forced],
    stopDeadline: [states.forced],
    restartDue: [states.forced],
  },
  restarting: {
    spawned: [states.restarting],
    spawnFailed: [states.restarting],
    exited: [states.restarting],
    crashed: [states.restarting],
    stopAsked: [{ name: "ended", cause: "stopped", exit: bad }],
    stopDeadline: [states.restarting],
    restartDue: [{ name: "starting", crashes: 2 }, "spawn"],
  },
  ended: {
    spawned: [states.ended],
    spawnFailed: [states.ended],
    exited: [states.ended],
    crashed: [states.ended],
    stopAsked: [states.ended],
    stopDeadline: [states.ended],
    restartDue: [states.ended],
  },
};

const stateNames = Object.keys(states) as (keyof typeof states)[];
const eventNames = Object.keys(events) as (keyof typeof events)[];
const cells = stateNames.flatMap((state) => eventNames.map((event) => [state, event] as const));

describe("every state answers every event", () => {
  test.each(cells)("%s, %s", (state, event) => {
    const [next, ...actions] = wanted[state][event];
    expect(step(states[state], events[event], onFailure)).toEqual({ state: next, actions } as never);
  });
});

describe("restarts", () => {
  test("never: whatever the end, the agent's end is the runner's", () => {
    const ended = { name: "ended", cause: "exited", exit: bad } as const;
    expect(step(states.running, events.crashed, never)).toEqual({ state: ended, actions: [] });
  });

  test("the delay doubles up to its cap, then the loop is ended", () => {
    const crash = { name: "exited", now: 0, exit: bad, chance: 0.999_999 } as const;
    const after = (crashes: number) => step({ name: "running", crashes, since: 0 }, crash, onFailure).state;
    const delays = [0, 1, 2].map((crashes) => Math.round((after(crashes) as typeof restart).at));
    expect(delays).toEqual([100, 200, 350]);
    expect(after(3)).toEqual({ name: "ended", cause: "crash-loop", exit: bad });
  });

  test("an agent that ran long enough begins to count again", () => {
    const running: LifeState = { name: "running", crashes: 3, since: 0 };
    expect(step(running, { ...events.crashed, now: 1_000 }, onFailure).state).toMatchObject({ crashes: 1 });
    expect(step(running, { ...events.crashed, now: 999 }, onFailure).state).toMatchObject({
      cause: "crash-loop",
    });
  });

  const wishes = [
    [{ code: null, signal: "SIGINT" }],
    [{ code: 130, signal: null }],
    [{ code: 0, signal: null }],
  ] as const;
  test.each(wishes)("%j is not a crash", (exit) => {
    expect(step(states.running, { ...events.crashed, exit }, onFailure).state).toEqual({
      name: "ended",
      cause: "exited",
      exit,
    });
  });
});

test("the exit code that is passed on", () => {
  const number = () => 9;
  expect(exitCodeOf({ cause: "exited", exit: bad }, number)).toBe(3);
  expect(exitCodeOf({ cause: "killed", exit: { code: null, signal: "SIGKILL" } }, number)).toBe(137);
  expect(exitCodeOf({ cause: "spawn-failed", exit: undefined }, number)).toBe(127);
  expect(exitCodeOf({ cause: "stopped", exit: undefined }, number)).toBe(0);
});
