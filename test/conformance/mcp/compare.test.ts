/** The comparer: a difference, a missing check, a check given another number of times, a stale entry of the list. */
import { describe, expect, test } from "bun:test";
import { type Allowed, allowedSchema, type Check, compare, judge, type Results, tally } from "./compare.ts";

const check = (id: string, status: Check["status"], name = id): Check => ({ id, name, status });
const results = (...checks: Check[]): Results => new Map([["a-scenario", checks]]);
const counted = (direct: Results, proxied: Results) => compare("s", { direct, proxied, counted: true });

const entry = (id: string): Allowed => ({
  suite: "s",
  scenario: "a-scenario",
  id,
  reason: "a reason that is long enough",
});

describe("compare", () => {
  test("equal runs have no difference, whatever the order of their checks", () => {
    const one = results(check("a", "SUCCESS"), check("b", "FAILURE"));
    const other = results(check("b", "FAILURE"), check("a", "SUCCESS"));
    expect(counted(one, other)).toEqual([]);
  });

  test("another verdict is a difference that says both and why", () => {
    const failed: Check = { ...check("a", "FAILURE"), errorMessage: "HTTP 500" };
    expect(counted(results(check("a", "SUCCESS")), results(failed))).toEqual([
      {
        suite: "s",
        scenario: "a-scenario",
        id: "a",
        name: "a",
        direct: "SUCCESS",
        proxied: "FAILURE",
        why: "HTTP 500",
      },
    ]);
  });

  test("a better verdict through the proxy is a difference too", () => {
    const found = counted(results(check("a", "FAILURE")), results(check("a", "SUCCESS")));
    expect(found.map(({ direct, proxied }) => [direct, proxied])).toEqual([["FAILURE", "SUCCESS"]]);
  });

  test("a check that only one run reports is a difference, on either side", () => {
    const both = [check("a", "SUCCESS"), check("b", "SUCCESS")];
    const lost = counted(results(...both), results(check("a", "SUCCESS")));
    expect(lost.map(({ id, direct, proxied }) => [id, direct, proxied])).toEqual([
      ["b", "SUCCESS", "missing"],
    ]);
    const gained = counted(results(check("a", "SUCCESS")), results(...both));
    expect(gained.map(({ id, direct, proxied }) => [id, direct, proxied])).toEqual([
      ["b", "missing", "SUCCESS"],
    ]);
  });

  test("a scenario that only one run has is a difference in each of its checks", () => {
    expect(counted(results(check("a", "SUCCESS"), check("b", "INFO")), new Map())).toHaveLength(2);
  });

  test("the same id under two names is two checks", () => {
    const one = results(check("a", "SUCCESS", "x"), check("a", "FAILURE", "y"));
    const other = results(check("a", "FAILURE", "x"), check("a", "SUCCESS", "y"));
    expect(counted(one, other)).toHaveLength(2);
  });

  test("how often a verdict was given counts only where it is asked for", () => {
    const twice = results(check("a", "SUCCESS"), check("a", "SUCCESS"));
    const once = results(check("a", "SUCCESS"));
    expect(counted(twice, once).map(({ direct }) => direct)).toEqual(["SUCCESS × 2"]);
    expect(compare("s", { direct: twice, proxied: once, counted: false })).toEqual([]);
  });

  test("one failure among successes is not hidden by them", () => {
    const mixed = results(check("a", "SUCCESS"), check("a", "FAILURE"));
    const found = compare("s", { direct: results(check("a", "SUCCESS")), proxied: mixed, counted: false });
    expect(found.map(({ proxied }) => proxied)).toEqual(["FAILURE, SUCCESS"]);
  });

  test("lines of the suite's log are not counted, and do not stand in for a verdict", () => {
    const lines = results(check("log", "INFO"), check("log", "INFO"));
    expect(counted(lines, results(check("log", "INFO")))).toEqual([]);
    expect(counted(results(check("log", "SUCCESS")), lines)).toHaveLength(1);
  });
});

describe("judge", () => {
  const [difference] = counted(results(check("a", "SUCCESS")), results(check("a", "FAILURE")));
  const differences = difference === undefined ? [] : [difference];

  test("a difference that the list does not name is unexpected", () => {
    expect(judge(differences, [])).toEqual({ unexpected: differences, stale: [] });
  });

  test("a difference that the list names is allowed", () => {
    expect(judge(differences, [entry("a")])).toEqual({ unexpected: [], stale: [] });
  });

  test("an entry of another suite or scenario allows nothing and is stale", () => {
    const others = [
      { ...entry("a"), suite: "t" },
      { ...entry("a"), scenario: "b-scenario" },
    ];
    expect(judge(differences, others)).toEqual({ unexpected: differences, stale: others });
  });

  test("an entry without a difference is stale", () => {
    expect(judge([], [entry("a")])).toEqual({ unexpected: [], stale: [entry("a")] });
  });
});

describe("the list of allowed differences", () => {
  test("holds at most three entries, each with a reason", () => {
    const ids = ["a", "b", "c", "d"];
    expect(allowedSchema.safeParse(ids.slice(0, 3).map(entry)).success).toBe(true);
    expect(allowedSchema.safeParse(ids.map(entry)).success).toBe(false);
    expect(allowedSchema.safeParse([{ ...entry("a"), reason: "" }]).success).toBe(false);
  });

  test("as it is checked in can be read", async () => {
    const list = await Bun.file(`${import.meta.dir}/differences.json`).json();
    expect(allowedSchema.parse(list)).toEqual(list);
  });
});

test("the tally counts what passed, failed and warned, and nothing else", () => {
  const all = results(
    check("a", "SUCCESS"),
    check("b", "SUCCESS"),
    check("c", "FAILURE"),
    check("d", "WARNING"),
    check("e", "SKIPPED"),
    check("f", "INFO"),
  );
  expect(tally(all)).toEqual({ passed: 2, failed: 1, warned: 1 });
});
