/** What an agent does follows from the events of its session, whatever their order. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { SessionEvent } from "./session-event.ts";
import { endedStatus, firstStatus, nextStatus, type SessionState, sessionStates } from "./status.ts";

const turn = { text: "done", how: "completed" } as const;
const events: Record<SessionEvent["type"], SessionEvent> = {
  started: { type: "started" },
  ready: { type: "ready" },
  conversation: { type: "conversation", id: "c1" },
  "turn-began": { type: "turn-began" },
  "turn-ended": { type: "turn-ended", turn },
  "approval-wanted": { type: "approval-wanted", what: "Bash" },
  "approval-given": { type: "approval-given" },
  "tool-began": { type: "tool-began", name: "Bash" },
  "tool-ended": { type: "tool-ended", name: "Bash", failed: true },
  taken: { type: "taken", injection: "i1" },
  dropped: { type: "dropped", injection: "i1" },
  alive: { type: "alive" },
  trouble: { type: "trouble", what: "x" },
  forgotten: { type: "forgotten" },
  exited: { type: "exited" },
};
const names = Object.keys(events) as SessionEvent["type"][];
const after = (...types: SessionEvent["type"][]) =>
  types.reduce((status, type, index) => nextStatus(status, events[type], (index + 1) * 10), firstStatus(0));

/** Frozen: every state, and what each event makes of it; what is not named stays. */
const table: Record<SessionState, Partial<Record<SessionEvent["type"], SessionState>>> = {
  starting: {
    ready: "idle",
    "turn-began": "busy",
    "tool-began": "busy",
    "approval-wanted": "waiting_approval",
    "turn-ended": "idle",
  },
  idle: {
    started: "starting",
    exited: "starting",
    "turn-began": "busy",
    "tool-began": "busy",
    "approval-wanted": "waiting_approval",
  },
  busy: {
    started: "starting",
    exited: "starting",
    ready: "idle",
    "turn-ended": "idle",
    "approval-wanted": "waiting_approval",
  },
  waiting_approval: {
    started: "starting",
    exited: "starting",
    ready: "idle",
    "approval-given": "busy",
    "turn-began": "busy",
    "tool-ended": "busy",
    "turn-ended": "idle",
  },
  ended: {},
};

describe.each([...sessionStates])("%s", (state) => {
  test.each(names)("%s", (type) => {
    const status = { ...firstStatus(0), state };
    expect(nextStatus(status, events[type], 10).state).toBe(table[state][type] ?? state);
  });
});

test("a whole turn with a tool that a person allowed is counted", () => {
  const status = after(
    ...(["started", "ready", "turn-began", "approval-wanted", "tool-began", "tool-ended"] as const),
    ...(["approval-given", "turn-ended"] as const),
  );
  expect(status).toMatchObject({ state: "idle", lastTurn: turn, toolsRunning: 0, approval: undefined });
  expect(status.figures).toMatchObject({
    ...{ starts: 1, turns: 1, turnsFailed: 0, toolCalls: 1, toolsFailed: 1, approvals: 1 },
    tools: { Bash: 1 },
    busyMs: 50,
  });
});

test("what a person has to allow is told while it waits", () => {
  expect(after("ready", "turn-began", "approval-wanted").approval).toBe("Bash");
  expect(after("ready", "turn-began", "approval-wanted", "alive").approval).toBe("Bash");
});

test("the end is final, and keeps what was last known", () => {
  const ended = endedStatus(after("ready", "turn-began", "turn-ended"), 99);
  expect(nextStatus(ended, events["turn-began"], 100)).toBe(ended);
  expect(ended).toMatchObject({ state: "ended", lastTurn: turn });
});

test("names of tools are bounded, no tool runs outside a turn, and time in turns never shrinks", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...names), fc.nat({ max: 99 }))), (story) => {
      let status = firstStatus(0);
      story.forEach(([type, n], index) => {
        const event = type === "tool-began" ? { type, name: `tool${n}` } : events[type];
        const next = nextStatus(status, event, index);
        expect(next.figures.busyMs).toBeGreaterThanOrEqual(status.figures.busyMs);
        expect(next.state === "idle" || next.state === "starting" ? next.toolsRunning : 0).toBe(0);
        expect(Object.keys(next.figures.tools).length).toBeLessThan(42);
        status = next;
      });
    }),
  );
});
