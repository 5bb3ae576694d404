/**
 * What an app-server tells about one thread, as a pure machine: from a notification to the session's events and the next
 * state. The thread is the person's or the runner's own; those of helpers and side tasks of Codex are not followed.
 */
import { mcpServerName } from "../launch.ts";
import type { SessionEvent, Turn } from "../session-event.ts";
import { type Members, members, text } from "./connection.ts";

export type ThreadState = {
  /** The thread that is followed; undefined before there is one. */
  readonly id: string | undefined;
  /** The turn that runs. */
  readonly turn: string | undefined;
  /** Ids of injections that stand in the conversation in the running turn. */
  readonly inTurn: readonly string[];
  readonly approval: boolean;
  /** The last text of the model in the running turn. */
  readonly said: string;
  /** A failing model endpoint was told of in this turn. */
  readonly troubled: boolean;
};

export type ThreadStep = { state: ThreadState; events: SessionEvent[] };

/** No thread yet. */
export const noThread: ThreadState = {
  ...{ id: undefined, turn: undefined, inTurn: [], approval: false, said: "", troubled: false },
};

/** The thread to follow that a notification tells of: one that a person or the runner began, not a helper of Codex. */
export function startedThread(method: string, params: Members): ThreadFacts | undefined {
  if (method !== "thread/started") return undefined;
  const thread = members(params.thread);
  const helper = text(thread.parentThreadId) ?? text(thread.agentRole);
  return thread.ephemeral === true || helper !== undefined ? undefined : threadFacts(thread);
}

export type ThreadFacts = { id: string; transcript: string | undefined };

/** Id and transcript of a thread in an answer or a notification; undefined when there is none. */
export function threadFacts(thread: Members): ThreadFacts | undefined {
  const id = text(thread.id);
  return id === undefined ? undefined : { id, transcript: text(thread.path) };
}

/** True for the notification that our MCP server has come up, or will not. */
export function toolsSettled(method: string, { name, status }: Members): boolean {
  return method === "mcpServer/startupStatus/updated" && name === mcpServerName && status !== "starting";
}

/** True for the notification that a turn runs in this thread; it is sent also to clients that have not joined it. */
export function isActive(method: string, params: Members, id: string | undefined): boolean {
  return (
    method === "thread/status/changed" && params.threadId === id && members(params.status).type === "active"
  );
}

const toolItems: Readonly<Record<string, (item: Members) => string>> = {
  commandExecution: () => "command",
  fileChange: () => "file change",
  mcpToolCall: (item) => `${text(item.server) ?? "?"}/${text(item.tool) ?? "?"}`,
  dynamicToolCall: (item) => text(item.tool) ?? "tool",
  webSearch: () => "web search",
};

type Row = (state: ThreadState, params: Members) => ThreadStep;

/** What is not in the table is a sign of life. */
const table: Readonly<Record<string, Row>> = {
  "turn/started": (state, params) => {
    const turn = text(members(params.turn).id);
    // A text that joins a running turn begins none.
    if (turn === state.turn) return quiet(state);
    const next = { ...state, turn, inTurn: [], said: "", troubled: false };
    return { state: next, events: [{ type: "turn-began" }] };
  },
  "turn/completed": (state, params) => {
    const turn = endedTurn(state, members(params.turn));
    const next = { ...state, turn: undefined, inTurn: [], approval: false, said: "", troubled: false };
    return { state: next, events: [{ type: "turn-ended", turn }] };
  },
  "thread/status/changed": (state, params) => {
    const status = members(params.status);
    const flags = Array.isArray(status.activeFlags) ? status.activeFlags.map(String) : [];
    const wanted = flags[0];
    if (wanted !== undefined && !state.approval)
      return { state: { ...state, approval: true }, events: [{ type: "approval-wanted", what: wanted }] };
    if (wanted === undefined && state.approval)
      return { state: { ...state, approval: false }, events: [{ type: "approval-given" }] };
    return quiet(state);
  },
  "item/started": (state, { item }) => {
    const name = toolName(members(item));
    return { state, events: [name === undefined ? { type: "alive" } : { type: "tool-began", name }] };
  },
  "item/completed": (state, params) => itemCompleted(state, members(params.item)),
  error: (state, params) => {
    // The endpoint of the model is asked again and again without an end: only the first failure is told, and none
    // counts as a sign of life.
    const what = text(members(params.error).message) ?? "an error without a message";
    if (state.troubled) return { state, events: [] };
    return { state: { ...state, troubled: true }, events: [{ type: "trouble", what }] };
  },
};

/** The state and the events after a notification. One of another thread changes nothing. */
export function threadStep(state: ThreadState, method: string, params: Members): ThreadStep {
  if (state.id === undefined || params.threadId !== state.id) return { state, events: [] };
  return (table[method] ?? quiet)(state, params);
}

function itemCompleted(state: ThreadState, item: Members): ThreadStep {
  if (item.type === "userMessage") {
    const injection = text(item.clientId);
    if (injection === undefined) return quiet(state);
    const next = { ...state, inTurn: [...state.inTurn, injection] };
    return { state: next, events: [{ type: "taken", injection }] };
  }
  if (item.type === "agentMessage") return quiet({ ...state, said: text(item.text) ?? "" });
  const name = toolName(item);
  if (name === undefined) return quiet(state);
  const failed = item.status === "failed" || item.status === "declined";
  return { state, events: [{ type: "tool-ended", name, failed }] };
}

function endedTurn(state: ThreadState, turn: Members): Turn {
  const reason = text(members(turn.error).message);
  return {
    id: text(turn.id),
    text: lastText(turn) ?? state.said,
    how: turn.status === "completed" ? "completed" : turn.status === "failed" ? "failed" : "interrupted",
    ...(reason === undefined ? {} : { reason }),
    injections: state.inTurn,
  };
}

function lastText({ items }: Members): string | undefined {
  const said = Array.isArray(items) ? items.map(members).filter(({ type }) => type === "agentMessage") : [];
  return text(said.at(-1)?.text);
}

function toolName(item: Members): string | undefined {
  const row = toolItems[String(item.type)];
  return row?.(item);
}

function quiet(state: ThreadState): ThreadStep {
  return { state, events: [{ type: "alive" }] };
}
