/** What the notifications of an app-server mean; their forms are those that version 0.169 was seen to send. */
import { describe, expect, test } from "bun:test";
import type { Members } from "./connection.ts";
import { noThread, startedThread, type ThreadState, threadStep } from "./thread.ts";

const first: ThreadState = { ...noThread, id: "t" };
const play = (...notes: [string, Members][]) => {
  let state = first;
  const events = notes.flatMap(([method, params]) => {
    const step = threadStep(state, method, { threadId: "t", ...params });
    state = step.state;
    return step.events;
  });
  return { state, events };
};
const began: [string, Members] = ["turn/started", { turn: { id: "u" } }];
const item = (fields: Members): Members => ({ item: fields });

describe("a turn", () => {
  test("its last text, and the injections that stand in it", () => {
    const { events } = play(
      began,
      ["item/completed", item({ type: "userMessage", clientId: "m1" })],
      ["item/completed", item({ type: "userMessage", clientId: null })],
      ["item/completed", item({ type: "agentMessage", text: "draft" })],
      ["turn/completed", { turn: { id: "u", status: "completed", items: [] } }],
    );
    expect(events).toEqual([
      { type: "turn-began" },
      { type: "taken", injection: "m1" },
      { type: "alive" },
      { type: "alive" },
      { type: "turn-ended", turn: { id: "u", text: "draft", how: "completed", injections: ["m1"] } },
    ]);
  });

  test("begins once, also when a text joins it", () => {
    expect(play(began, began).events).toEqual([{ type: "turn-began" }, { type: "alive" }]);
  });

  const ends: [string, Members, object][] = [
    ["interrupted", { status: "interrupted" }, { how: "interrupted" }],
    ["failed", { status: "failed", error: { message: "quota" } }, { how: "failed", reason: "quota" }],
    [
      "completed with its text",
      { status: "completed", items: [{ type: "agentMessage", text: "fin" }] },
      { how: "completed", text: "fin" },
    ],
  ];
  test.each(ends)("%s", (_, turn, expected) => {
    const { events, state } = play(began, ["turn/completed", { turn: { id: "u", ...turn } }]);
    expect(events.at(-1)).toMatchObject({ type: "turn-ended", turn: expected });
    expect(state).toEqual(first);
  });

  test("tools by name, and whether they failed", () => {
    const call = { type: "mcpToolCall", server: "agent-relay", tool: "relay_reply" };
    const { events } = play(
      ["item/started", item(call)],
      ["item/completed", item({ ...call, status: "failed" })],
      ["item/started", item({ type: "commandExecution" })],
      ["item/completed", item({ type: "commandExecution", status: "completed" })],
    );
    expect(events).toEqual([
      { type: "tool-began", name: "agent-relay/relay_reply" },
      { type: "tool-ended", name: "agent-relay/relay_reply", failed: true },
      { type: "tool-began", name: "command" },
      { type: "tool-ended", name: "command", failed: false },
    ]);
  });

  test("an approval that is waited for, once, and its end", () => {
    const status = (...activeFlags: string[]): [string, Members] => [
      "thread/status/changed",
      { status: { type: "active", activeFlags } },
    ];
    expect(play(status("waitingOnApproval"), status("waitingOnApproval"), status()).events).toEqual([
      { type: "approval-wanted", what: "waitingOnApproval" },
      { type: "alive" },
      { type: "approval-given" },
    ]);
  });

  test("a model that cannot be reached is told once, and is no sign of life", () => {
    const failing: [string, Members] = ["error", { error: { message: "Reconnecting" }, willRetry: true }];
    expect(play(began, failing, failing).events).toEqual([
      { type: "turn-began" },
      { type: "trouble", what: "Reconnecting" },
    ]);
  });
});

test("another thread changes nothing", () => {
  const params = { threadId: "other", turn: { id: "u" } };
  expect(threadStep(first, "turn/started", params)).toEqual({ state: first, events: [] });
});

const threads: [string, Members, string | undefined][] = [
  ["a person's", { id: "a", ephemeral: false, parentThreadId: null, agentRole: null }, "a"],
  ["a side task", { id: "a", ephemeral: true }, undefined],
  ["a helper's", { id: "a", ephemeral: false, parentThreadId: "p" }, undefined],
];
test.each(threads)("%s thread", (_, thread, id) => {
  expect(startedThread("thread/started", { thread })?.id).toBe(id);
});
