/** Totals of test runs, from reports as Bun writes them. */
import { describe, expect, test } from "bun:test";
import { type FileReport, nothing, readReport, totalsLine, totalsOf } from "./test-report.ts";

const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="6" assertions="2" failures="2" skipped="1" time="0.01">
  <testsuite name="src/a.test.ts" file="src/a.test.ts" tests="4" assertions="2" failures="1" skipped="1" time="0">
    <testcase name="one" classname="" time="0" file="src/a.test.ts" line="2" assertions="1" />
    <testsuite name="d" file="src/a.test.ts" line="3" tests="3" assertions="1" failures="1" skipped="1" time="0">
      <testcase name="two" classname="d" time="0" file="src/a.test.ts" line="3"><failure type="E" message="m">x</failure></testcase>
    </testsuite>
  </testsuite>
  <testsuite name="src/b.test.ts" file="src/b.test.ts" tests="2" assertions="2" failures="0" skipped="0" time="0">
  </testsuite>
</testsuites>
`;
const a: FileReport = { file: "src/a.test.ts", tests: 4, failures: 1, skipped: 1 };
const b: FileReport = { file: "src/b.test.ts", tests: 2, failures: 0, skipped: 0 };

describe("a report", () => {
  test("gives each file once, whatever its groups", () => {
    expect(readReport(() => report)).toEqual([a, b]);
  });

  test("that was cut off is no report", () => {
    expect(readReport(() => report.slice(0, -20))).toBeUndefined();
  });

  test("that is not there is no report", () => {
    expect(
      readReport(() => {
        throw new Error("no such file");
      }),
    ).toBeUndefined();
  });
});

describe("totals", () => {
  test("count what passed, failed and was left out", () => {
    expect(totalsOf([a, b], 1, [a.file, b.file])).toEqual({ passed: 4, failed: 1, skipped: 1, notes: [] });
  });

  test("count a file that is not in the report as failed", () => {
    expect(totalsOf([b], 1, [a.file, b.file])).toEqual({
      passed: 2,
      failed: 1,
      skipped: 0,
      notes: ["src/a.test.ts reported no test"],
    });
  });

  test("count a bad exit code without a failed test as failed", () => {
    expect(totalsOf([b], 132, [b.file]).failed).toBe(1);
  });

  test("are one line, left-out tests only when there are some", () => {
    expect(totalsLine({ ...nothing, passed: 3 })).toBe("3 passed, 0 failed");
    expect(totalsLine({ passed: 3, failed: 1, skipped: 2, notes: ["a crashed"] })).toBe(
      "failed: a crashed\n3 passed, 1 failed, 2 skipped",
    );
  });
});
