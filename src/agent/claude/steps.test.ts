/** A transcript for people: the steps in order, failures marked, nothing that could move a cursor. */
import { expect, test } from "bun:test";
import { blocksText, stepsOf } from "./steps.ts";

const lines = [
  { type: "user", message: { content: "do \u001b[31mthis\u001b[0m" } },
  {
    type: "assistant",
    message: { content: [{ type: "tool_use", id: "t1", name: "Bash", input: { command: "ls" } }] },
  },
  { type: "user", message: { content: [{ type: "tool_result", tool_use_id: "t1", is_error: true }] } },
  {
    type: "assistant",
    message: { content: [{ type: "text", text: "it\nfailed" }], stop_reason: "end_turn" },
  },
  { type: "user", message: { content: [{ type: "text", text: "[Request interrupted by user]" }] } },
].map((line) => JSON.stringify(line));

test("steps as they are shown", () => {
  expect(stepsOf(lines).map(blocksText)).toEqual([
    "> do \ufffd[31mthis\ufffd[0m",
    '✗ Bash {"command":"ls"}',
    "• it\n  failed",
    "! the person stopped the turn",
  ]);
});

test("the words that end a turn say so", () => {
  expect(stepsOf(lines).filter(({ ends }) => ends === true)).toEqual([
    { what: "words", text: "it\nfailed", ends: true },
  ]);
});

test("a long text is cut", () => {
  const long = JSON.stringify({ type: "user", message: { content: "x".repeat(5_000) } });
  expect(stepsOf([long])[0]?.text).toEndWith("…[3000 more]");
});
