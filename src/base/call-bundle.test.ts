/** Calls come out of a bundle as they went in, with long texts beside the JSON or without. */
import { expect, test } from "bun:test";
import { type Call, CallBundle, callsOf } from "./call-bundle.ts";

const texts = ['{"body":"\\n\\"ü\u2028😀"}', "", "]:7,", "x".repeat(100_000)];
const calls: Call[] = [
  { id: 1, method: "load", argument: null },
  ...texts.map((text, id) => ({ id: id + 2, method: "enqueue", argument: { text, length: text.length } })),
  { id: 6, method: "other", argument: { text: 7 } },
  { id: 7, method: "list", argument: [{ text: "deeper" }] },
];

test.each([undefined, "text", "elsewhere"])("with %p beside", (beside) => {
  const bundle = new CallBundle(beside);
  for (const call of calls) bundle.add(call);
  expect(bundle.size).toBe(calls.length);
  expect(callsOf(bundle.take())).toEqual(calls);
  expect([bundle.size, callsOf(bundle.take())]).toEqual([0, []]);
});

test("what is no JSON value is refused and leaves nothing behind", () => {
  const bundle = new CallBundle("text");
  expect(() => bundle.add({ id: 1, method: "enqueue", argument: { text: "long", wrong: 1n } })).toThrow(
    "BigInt",
  );
  bundle.add({ id: 2, method: "enqueue", argument: { text: "short" } });
  expect(callsOf(bundle.take())).toEqual([{ id: 2, method: "enqueue", argument: { text: "short" } }]);
});
