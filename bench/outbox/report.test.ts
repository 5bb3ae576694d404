/** The section of the document: every figure is in it, and it replaces the one before and nothing else. */
import { expect, test } from "bun:test";
import { report, withSection } from "./report.ts";

const spread = { median: 0.5, min: 0.25, max: 0.75 };
const row = { raw: spread, outbox: spread, ratio: spread, p50: spread, p99: spread, rawP99: spread };

test("has a row for each number of writers and a line for each other part", () => {
  const slowDisk = { blockedMs: 5.24, writeMs: 600 };
  const drain = { queued: 10_000, openMs: 180, firstMs: 300, drainMs: 2_900, left: 0 };
  const text = report({ enqueue: [{ writers: 8, ...row }], slowDisk, drain }, "Median of 5 rounds.");
  expect(text).toContain("| 0.50 (0.25–0.75) |");
  expect(text.split("\n")).toHaveLength(8);
  expect(text).toContain("blocked 5.2 ms at most");
  expect(text).toContain("all after 2900 ms, 0 are left");
});

test("stands between its marks, and a document without them is left alone", () => {
  const old = "before\n<!-- outbox: begin -->\n\nold\n\n<!-- outbox: end -->\nafter\n";
  expect(withSection(old, "new")).toBe(
    "before\n<!-- outbox: begin -->\n\nnew\n\n<!-- outbox: end -->\nafter\n",
  );
  expect(() => withSection("no marks", "new")).toThrow("were wanted");
});
