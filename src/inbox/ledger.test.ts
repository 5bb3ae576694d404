/** The ledger of injections: what a killed runner's successor finds. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLedger } from "./ledger.ts";

const limits = { injectionLedgerLinesMax: 20, injectionLedgerReadMax: 3 };
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "agent-relay-ledger-"));
});
afterAll(() => rmSync(folder, { recursive: true }));
const open = (name: string) => openLedger(join(folder, name, "inbox.ledger"), limits);

test("I4: what was offered or injected is doubtful for the next runner; the rest is as it was", () => {
  const first = open("restart");
  first.note("offered", ["a", "b", "c", "d"], 1);
  first.note("injected", ["b", "c"], 1);
  first.note("read", ["c"], 1);
  first.note("waiting", ["d"], 2);
  const next = open("restart");
  expect(Object.fromEntries(next.found)).toEqual({
    a: { state: "doubtful", attempt: 1 },
    b: { state: "doubtful", attempt: 1 },
    c: { state: "read", attempt: 1 },
    d: { state: "waiting", attempt: 2 },
  });
  first.close();
  next.close();
});

test("I4: a last line that a crash has cut is a step that was not taken", () => {
  const first = open("cut");
  first.note("offered", ["a"], 1);
  first.close();
  appendFileSync(join(folder, "cut", "inbox.ledger"), '{"state":"offered","att');
  const next = open("cut");
  expect([...next.found.keys()]).toEqual(["a"]);
  next.note("read", ["a"], 1);
  next.close();
  expect(open("cut").found.get("a")).toEqual({ state: "read", attempt: 1 });
});

test("I8: it holds ids and states only, is private, and does not grow with what was read", () => {
  const ledger = open("bounds");
  for (let n = 0; n < 100; n++) {
    ledger.note("offered", [`m${n}`], 1);
    ledger.note("read", [`m${n}`], 1);
  }
  const path = join(folder, "bounds", "inbox.ledger");
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  expect(lines.length).toBeLessThan(limits.injectionLedgerLinesMax + 1);
  expect(new Set(lines.flatMap((line) => Object.keys(JSON.parse(line))))).toEqual(
    new Set(["state", "attempt", "messages"]),
  );
  expect(statSync(path).mode & 0o777).toBe(0o600);
  ledger.close();
  expect(open("bounds").found.has("m99")).toBe(true);
});
