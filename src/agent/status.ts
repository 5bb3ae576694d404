/**
 * What an agent is doing, as a pure machine over the events of its session: every state answers every event. The last
 * turn and the figures for the analysis at the end are kept beside it, in bounded room.
 */
import type { SessionEvent, Turn } from "./session-event.ts";

export const sessionStates = ["starting", "idle", "busy", "waiting_approval", "ended"] as const;
export type SessionState = (typeof sessionStates)[number];

/** Figures of the whole session. */
export type SessionFigures = {
  starts: number;
  turns: number;
  turnsFailed: number;
  turnsInterrupted: number;
  toolCalls: number;
  toolsFailed: number;
  approvals: number;
  troubles: number;
  /** Calls by tool, at most `toolNamesMax` names; the rest is under `other`. */
  tools: Readonly<Record<string, number>>;
  /** In turns, ms. */
  busyMs: number;
};

export type SessionStatus = {
  readonly state: SessionState;
  /** Since when, monotonic ms. */
  readonly since: number;
  /** The last event of any kind, monotonic ms. */
  readonly heardAt: number;
  /** Tools that run now. */
  readonly toolsRunning: number;
  /** What a person has to allow. */
  readonly approval: string | undefined;
  readonly lastTurn: Turn | undefined;
  readonly figures: SessionFigures;
};

const toolNamesMax = 40;
type EventType = SessionEvent["type"];

const noFigures: SessionFigures = {
  ...{ starts: 0, turns: 0, turnsFailed: 0, turnsInterrupted: 0, toolCalls: 0, toolsFailed: 0 },
  ...{ approvals: 0, troubles: 0, tools: {}, busyMs: 0 },
};

/** The status before the first start. */
export function firstStatus(now: number): SessionStatus {
  return {
    ...{ state: "starting", since: now, heardAt: now, toolsRunning: 0 },
    ...{ approval: undefined, lastTurn: undefined, figures: noFigures },
  };
}

/** Which state follows; a missing cell stays. A turn of which only a later event is heard has begun all the same. */
const table: Readonly<Record<SessionState, Partial<Record<EventType, SessionState>>>> = {
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

/** The status after an event at a monotonic time, ms. */
export function nextStatus(status: SessionStatus, event: SessionEvent, now: number): SessionStatus {
  if (status.state === "ended") return status;
  const state = table[status.state][event.type] ?? status.state;
  const inTurn = isInTurn(status.state);
  return {
    state,
    since: state === status.state ? status.since : now,
    heardAt: now,
    toolsRunning: isInTurn(state) ? toolsAfter(status.toolsRunning, event) : 0,
    approval:
      state !== "waiting_approval"
        ? undefined
        : event.type === "approval-wanted"
          ? event.what
          : status.approval,
    lastTurn: event.type === "turn-ended" ? event.turn : status.lastTurn,
    figures: figuresAfter(status.figures, event, inTurn ? now - status.since : 0, {
      counted: state !== status.state,
    }),
  };
}

/** The status of a session whose program will not be started again. */
export function endedStatus(status: SessionStatus, now: number): SessionStatus {
  return { ...status, state: "ended", since: now, toolsRunning: 0, approval: undefined };
}

/** True while a turn runs, also one that waits for a person. */
export function isInTurn(state: SessionState): boolean {
  return state === "busy" || state === "waiting_approval";
}

function toolsAfter(running: number, event: SessionEvent): number {
  if (event.type === "tool-began") return running + 1;
  return event.type === "tool-ended" ? Math.max(0, running - 1) : running;
}

function figuresAfter(
  figures: SessionFigures,
  event: SessionEvent,
  inTurnMs: number,
  { counted }: { counted: boolean },
): SessionFigures {
  const busyMs = figures.busyMs + (counted ? inTurnMs : 0);
  const plus = (change: Partial<SessionFigures>) => ({ ...figures, busyMs, ...change });
  switch (event.type) {
    case "started":
      return plus({ starts: figures.starts + 1 });
    case "turn-ended":
      return plus({
        turns: figures.turns + 1,
        turnsFailed: figures.turnsFailed + (event.turn.how === "failed" ? 1 : 0),
        turnsInterrupted: figures.turnsInterrupted + (event.turn.how === "interrupted" ? 1 : 0),
      });
    case "tool-began":
      return plus({ toolCalls: figures.toolCalls + 1, tools: countTool(figures.tools, event.name) });
    case "tool-ended":
      return plus({ toolsFailed: figures.toolsFailed + (event.failed ? 1 : 0) });
    case "approval-wanted":
      return plus({ approvals: figures.approvals + 1 });
    case "trouble":
      return plus({ troubles: figures.troubles + 1 });
    default:
      return plus({});
  }
}

function countTool(tools: Readonly<Record<string, number>>, name: string): Record<string, number> {
  const known = Object.hasOwn(tools, name) || Object.keys(tools).length < toolNamesMax;
  const key = known ? name : "other";
  return { ...tools, [key]: (tools[key] ?? 0) + 1 };
}
