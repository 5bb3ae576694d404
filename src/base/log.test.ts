/** What a log line may hold: decided by type, whatever a caller passes. */
import { expect, test } from "bun:test";
import { createLog, type LogFields } from "./log.ts";

function written(fields: LogFields): string {
  const lines: string[] = [];
  createLog("debug", (line) => lines.push(line)).info("said", fields);
  return lines.join("");
}

const token = `arl_run_${"a".repeat(43)}012345`;

test("S19: a value that could hold anything is written as its kind only", () => {
  const request = new Request("http://127.0.0.1/", { headers: { Authorization: `Bearer ${token}` } });
  const line = written({
    request,
    headersOf: request.headers,
    record: { body: "private words" },
    list: [{ a: 1 }, "b"],
  });
  expect(JSON.parse(line)).toMatchObject({
    request: "[object Request]",
    headersOf: "[object Headers]",
    record: "[object Object]",
    list: ["[object Object]", "b"],
  });
  expect(line).not.toContain("private words");
});

test("S19: of an error only name, message and causes are written, and no member of it", () => {
  const cause = Object.assign(new Error("inner"), { response: { body: "private words" } });
  const error = Object.assign(new TypeError("outer", { cause }), { request: "private words" });
  expect(JSON.parse(written({ error }))).toMatchObject({ error: "TypeError: outer: Error: inner" });
});

test("S19: fields named as secrets or content are refused by the compiler and replaced at run time", () => {
  type Verdict = { token: string } extends LogFields ? "taken" : "refused";
  const verdict: Verdict = "refused";
  expect(verdict).toBe("refused");
  // What was put together elsewhere escapes the compiler.
  const fields = Object.fromEntries([
    ["token", token],
    ["agent", "alice"],
  ]);
  expect(JSON.parse(written(fields))).toMatchObject({ token: "[redacted]", agent: "alice" });
  const passed = Object.fromEntries(
    ["secret", "authorization", "body", "arguments", "headers"].map((name) => [name, "x"]),
  );
  expect(written(passed)).not.toContain('"x"');
});

test("S19: a token inside any text is replaced, also in a message and in an error", () => {
  const line = written({ why: `it was ${token}`, error: new Error(`sent ${token} there`) });
  expect(line).not.toContain("aaaa");
  expect(line).toContain("arl_run_[redacted]");
});
