/** The report: what it calls a fault, and where it writes. */
import { expect, test } from "bun:test";
import { faults, type SuiteReport, table, withBlock } from "./report.ts";

const tally = { passed: 3, failed: 0, warned: 0 };
const sound: SuiteReport = {
  suite: "server 2026-07-28",
  scenarios: 2,
  direct: tally,
  proxied: tally,
  differences: [],
  unsound: [],
};
const difference = {
  suite: sound.suite,
  scenario: "ping",
  id: "ping",
  name: "Ping",
  direct: "SUCCESS",
  proxied: "missing",
  why: "",
};
const entry = { suite: sound.suite, scenario: "caching", id: "ttl", reason: "a reason that is long enough" };

test("nothing is wrong when every suite is sound and there is no difference", () => {
  expect(faults([sound], { unexpected: [], stale: [] })).toEqual([]);
});

test("a fixture that fails, a difference and a stale entry are one fault each", () => {
  const unsound = { ...sound, unsound: ["caching failed"] };
  expect(faults([unsound], { unexpected: [difference], stale: [entry] })).toEqual([
    "server 2026-07-28 · direct: caching failed",
    "server 2026-07-28 · ping · ping (Ping): direct SUCCESS, proxied missing",
    "server 2026-07-28 · caching · ttl: listed as a difference, but there is none: take it off the list",
  ]);
});

test("the table has a line per suite, each as wide as its head", () => {
  const lines = table([sound, { ...sound, suite: "client" }]).split("\n");
  expect(lines).toHaveLength(4);
  expect(new Set(lines.map(({ length }) => length)).size).toBe(1);
});

test("the block replaces what stands between the marks and nothing else", () => {
  const document = "# T\n\n<!-- conformance: begin -->\nold\n<!-- conformance: end -->\nrest\n";
  const wanted = "# T\n\n<!-- conformance: begin -->\n\nnew\n\n<!-- conformance: end -->\nrest\n";
  expect(withBlock(document, "new")).toBe(wanted);
  expect(() => withBlock("# T\n", "new")).toThrow("were wanted");
});
