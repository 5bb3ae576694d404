/** Lines of transcripts as Claude Code 2.1.330 wrote them, shortened. */
import { describe, expect, test } from "bun:test";
import { findInputs, transcriptEntries, transcriptPath } from "./transcript.ts";

const line = (value: unknown) => JSON.stringify(value);
const user = (content: unknown, uuid = "u1", rest = {}) =>
  line({ type: "user", isSidechain: false, uuid, message: { role: "user", content }, ...rest });
const assistant = (content: unknown[], stop: string, rest = {}) =>
  line({ type: "assistant", isSidechain: false, message: { content, stop_reason: stop }, ...rest });
const folded = (prompt: unknown, id: string) =>
  line({ type: "attachment", attachment: { type: "queued_command", prompt, source_uuid: id } });

const rows: [string, string, unknown[]][] = [
  ["a prompt", user("hello"), [{ kind: "input", uuid: "u1", text: "hello" }]],
  ["a text folded into a turn", folded("hi", "s1"), [{ kind: "input", uuid: "s1", text: "hi" }]],
  [
    "the same as blocks",
    folded([{ type: "text", text: "hi" }], "s1"),
    [{ kind: "input", uuid: "s1", text: "hi" }],
  ],
  [
    "a tool's result",
    user([{ type: "tool_result", tool_use_id: "t1", is_error: true, content: "no" }]),
    [{ kind: "tool-result", id: "t1", failed: true }],
  ],
  [
    "a person's Escape",
    user([{ type: "text", text: "[Request interrupted by user for tool use]" }]),
    [{ kind: "interrupted" }],
  ],
  [
    "words",
    assistant([{ type: "text", text: "done" }], "end_turn"),
    [{ kind: "text", text: "done", ends: true }],
  ],
  [
    "a tool call",
    assistant([{ type: "tool_use", id: "t1", name: "Bash", input: { command: "ls" } }], "tool_use"),
    [{ kind: "tool-use", id: "t1", name: "Bash", input: { command: "ls" } }],
  ],
  [
    "an error of the model",
    assistant([{ type: "text", text: "API Error: 529" }], "stop_sequence", { isApiErrorMessage: true }),
    [{ kind: "error", text: "API Error: 529" }],
  ],
  ["a subagent's line", user("hello", "u1", { isSidechain: true }), []],
  ["a line of no interest", line({ type: "api-request", sessionId: "x" }), []],
  ["no JSON", "{half", []],
  ["JSON of another kind", "[1]", []],
  ["members of another kind", line({ type: "user", message: { content: [null, 7] } }), []],
];
test.each(rows)("%s", (_, text, entries) => {
  expect(transcriptEntries(text)).toEqual(entries as never[]);
});

describe("what a transcript holds", () => {
  const entries = (...lines: string[]) => lines.flatMap(transcriptEntries);
  const found = (...lines: string[]) => Object.fromEntries(findInputs(entries(...lines), ["m1", "m2"]));

  test("nothing", () => {
    expect(found(user("hello m3"))).toEqual({});
  });
  test("given, and the turn was cut", () => {
    expect(found(user("delivery m1"), assistant([{ type: "tool_use", name: "Bash" }], "tool_use"))).toEqual({
      m1: "taken",
    });
  });
  test("given, and the turn ended; what came after is another turn", () => {
    const end = assistant([{ type: "text", text: "ok" }], "end_turn");
    expect(found(user("delivery m1"), end, folded("delivery m2", "m2"))).toEqual({ m1: "done", m2: "taken" });
  });
  test("answered before the turn was cut", () => {
    const reply = assistant(
      [{ type: "tool_use", name: "mcp__agent-relay__relay_reply", input: { messageId: "m1" } }],
      "tool_use",
    );
    expect(found(user("delivery m1 m2"), reply)).toEqual({ m1: "done", m2: "taken" });
  });
});

test("where a transcript is", () => {
  expect(transcriptPath({ HOME: "/h" }, "/srv/my.app", "c1")).toBe(
    "/h/.claude/projects/-srv-my-app/c1.jsonl",
  );
  expect(transcriptPath({ HOME: "/h", CLAUDE_CONFIG_DIR: "/c" }, "/w", "c1")).toBe("/c/projects/-w/c1.jsonl");
  expect(transcriptPath({}, "/w", "c1")).toBeUndefined();
});
