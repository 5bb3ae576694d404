/** Reads the JUnit report of a test run and says what it amounts to. Pure. */

/** One file of a report. */
export type FileReport = { file: string; tests: number; failures: number; skipped: number };
/** What a run amounts to; `notes` name failures that no test reported. */
export type Totals = { passed: number; failed: number; skipped: number; notes: readonly string[] };

export const nothing: Totals = { passed: 0, failed: 0, skipped: 0, notes: [] };

/** The sum of two runs. */
export function add(a: Totals, b: Totals): Totals {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    notes: [...a.notes, ...b.notes],
  };
}

/** The files of a report, or undefined when it cannot be read or was not written to its end. */
export function readReport(read: () => string): FileReport[] | undefined {
  try {
    const text = read();
    return text.includes("</testsuites>") ? fileReports(text) : undefined;
  } catch {
    return undefined;
  }
}

/** Suites nest (`describe`); the outermost of each file carries its sums. */
function fileReports(text: string): FileReport[] {
  const reports: FileReport[] = [];
  let depth = 0;
  for (const [tag] of text.matchAll(/<testsuite\b[^>]*>|<\/testsuite>/g)) {
    if (tag === "</testsuite>") {
      depth -= 1;
      continue;
    }
    if (depth === 0)
      reports.push({
        file: attribute(tag, "file"),
        tests: Number(attribute(tag, "tests")),
        failures: Number(attribute(tag, "failures")),
        skipped: Number(attribute(tag, "skipped")),
      });
    if (!tag.endsWith("/>")) depth += 1;
  }
  return reports;
}

function attribute(tag: string, name: string): string {
  return new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? "";
}

/**
 * The totals of a run.
 * @param code exit code of the run: failure without a failed test is a failure all the same
 * @param wanted files that must be in the report; one that is not failed to load, crashed or has no test
 */
export function totalsOf(reports: readonly FileReport[], code: number, wanted: readonly string[]): Totals {
  let totals = nothing;
  for (const { tests, failures, skipped } of reports)
    totals = add(totals, { passed: tests - failures - skipped, failed: failures, skipped, notes: [] });
  const seen = new Set(reports.map(({ file }) => file));
  for (const file of wanted)
    if (!seen.has(file)) totals = add(totals, { ...nothing, failed: 1, notes: [`${file} reported no test`] });
  if (code !== 0 && totals.failed === 0)
    totals = add(totals, { ...nothing, failed: 1, notes: [`the run ended with exit code ${code}`] });
  return totals;
}

/** What is printed at the end: notes, then the totals as the last line. */
export function totalsLine({ passed, failed, skipped, notes }: Totals): string {
  const sums = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  return [...notes.map((note) => `failed: ${note}`), sums].join("\n");
}
