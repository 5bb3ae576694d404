/** The judgement about the relay's own endpoint: only what is listed, for the reason that is listed, may not pass. */
import { expect, test } from "bun:test";
import type { Check } from "./compare.ts";
import { judgeRelay, type Reasons } from "./relay-checks.ts";

const reasons: Reasons = {
  prompts: {
    reason: "The relay offers no prompts.",
    said: "Method not found",
    checks: ["2026-07-28 prompts-list prompts-list"],
  },
};
const check = (id: string, status: Check["status"], errorMessage = ""): Check => ({
  ...{ id, name: id, status },
  ...(errorMessage === "" ? {} : { errorMessage }),
});
const judged = (...results: [string, Check][]) =>
  judgeRelay("2026-07-28", new Map(results.map(([scenario, one]) => [scenario, [one]])), reasons);

test("a check that does not apply for its reason is counted under it", () => {
  const report = judged(
    ["prompts-list", check("prompts-list", "FAILURE", "Failed: Method not found")],
    ["ping", check("ping", "SUCCESS")],
  );
  expect(report).toEqual({ revision: "2026-07-28", passed: 1, left: { prompts: 1 }, faults: [] });
});

test("another failure of the same check, one that is not listed, and one that passes after all are faults", () => {
  expect(judged(["prompts-list", check("prompts-list", "FAILURE", "status 500")]).faults).toEqual([
    "2026-07-28 prompts-list prompts-list: not as listed: FAILURE: status 500",
  ]);
  expect(
    judged(
      ["prompts-list", check("prompts-list", "FAILURE", "Method not found")],
      ["ping", check("ping", "WARNING", "late")],
    ).faults,
  ).toEqual(["2026-07-28 ping ping: WARNING: late"]);
  expect(judged(["prompts-list", check("prompts-list", "SUCCESS")]).faults).toEqual([
    "2026-07-28 prompts-list prompts-list: listed, but it passed",
  ]);
});
