/** The scripted model itself: it must not be the reason for what a session shows. */
import { expect, test } from "bun:test";
import { bareName, type Item, nextMove } from "./brain.ts";

const id = "01a20565-88d0-7263-a5fa-3a754fec4a34";
const owed = `[message ${id} · from ada (agent) · reply expected: call relay_reply with this message id]\n| hello`;
const reply = { tool: "relay_reply", args: { messageId: id, body: `answer to ${id}` } };
const text = (value: string): Item => ({ kind: "text", text: value });
const call = (tool: string, args: unknown): Item => ({ kind: "call", tool, args });
const result: Item = { kind: "result", text: "ok" };

const rows: [string, Item[], ReturnType<typeof nextMove>][] = [
  ["nothing to do", [text("hello")], { kind: "say", text: "done after 0 results", pauseMs: 0 }],
  [
    "an order",
    [text('please\nDO relay_list_agents\nDO x {"a":1}')],
    { kind: "call", tool: "relay_list_agents", args: {}, pauseMs: 0 },
  ],
  [
    "the next order",
    [text('DO a\nDO x {"a":1,"b":2}'), call("mcp__agent-relay__a", {}), result],
    { kind: "call", tool: "x", args: { a: 1, b: 2 }, pauseMs: 0 },
  ],
  [
    "members in another order are the same call",
    [text('DO x {"a":1,"b":2}'), call("x", { b: 2, a: 1 }), result],
    { kind: "say", text: "done after 1 results", pauseMs: 0 },
  ],
  ["an order that is quoted", [text("| DO a")], { kind: "call", tool: "a", args: {}, pauseMs: 0 }],
  [
    "the same order twice",
    [text("DO a\nDO a"), call("a", {}), result],
    { kind: "call", tool: "a", args: {}, pauseMs: 0 },
  ],
  ["a reply that is owed", [text(owed)], { kind: "call", ...reply, pauseMs: 0 }],
  [
    "a message that was shown twice is answered once",
    [text(owed), call(reply.tool, reply.args), result, text(owed)],
    { kind: "say", text: "done after 1 results", pauseMs: 0 },
  ],
  ["a pause", [text("PAUSE 250\nDO a")], { kind: "call", tool: "a", args: {}, pauseMs: 250 }],
];
test.each(rows)("the scripted model: %s", (_, items, move) => {
  expect(nextMove(items)).toEqual(move);
});

test("a tool's own name is what follows the last double underscore", () => {
  expect(["a", "mcp__relay__relay_reply", "mcp__agent-relay__x"].map(bareName)).toEqual([
    "a",
    "relay_reply",
    "x",
  ]);
});
