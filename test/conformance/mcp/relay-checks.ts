/**
 * The official suite asks the relay's own endpoint. It is made for a server that offers everything; the relay offers
 * tools, and its own. So each check that did not pass must be on the list of what does not apply, for a reason that
 * names what the relay does not offer, and with the words that the suite uses for just that.
 */
import { z } from "zod";
import type { Results } from "./compare.ts";

export const reasonsSchema = z.record(
  z.string(),
  z.strictObject({
    /** Why these checks do not apply. */
    reason: z.string().min(20),
    /** What the suite must have said: any other failure of the same check counts. */
    said: z.string().min(4),
    /** `revision scenario id`, each check that it is about. */
    checks: z.array(z.string().regex(/^\S+ \S+ \S+$/)).min(1),
  }),
);
export type Reasons = z.infer<typeof reasonsSchema>;

export type RelayReport = {
  revision: string;
  passed: number;
  /** Checks that do not apply, by the name of the reason. */
  left: Readonly<Record<string, number>>;
  faults: readonly string[];
};

/** What the suite said of the relay in one revision, judged by the list. */
export function judgeRelay(revision: string, results: Results, reasons: Reasons): RelayReport {
  const listed = new Map(
    Object.entries(reasons).flatMap(([name, { checks, said }]) =>
      checks.map((check) => [check, { name, said: new RegExp(said) }] as const),
    ),
  );
  const left: Record<string, number> = {};
  const faults: string[] = [];
  const needed = new Set<string>();
  let passed = 0;
  for (const [scenario, checks] of results)
    for (const { id, status, errorMessage = "" } of checks) {
      if (status === "SUCCESS") passed += 1;
      if (status === "SUCCESS" || status === "INFO") continue;
      const key = `${revision} ${scenario} ${id}`;
      const entry = listed.get(key);
      needed.add(key);
      if (entry === undefined) faults.push(`${key}: ${status}: ${errorMessage}`);
      else if (!entry.said.test(errorMessage))
        faults.push(`${key}: not as listed: ${status}: ${errorMessage}`);
      else left[entry.name] = (left[entry.name] ?? 0) + 1;
    }
  const stale = [...listed.keys()].filter((key) => key.startsWith(`${revision} `) && !needed.has(key));
  return {
    revision,
    passed,
    left,
    faults: [...faults, ...stale.map((key) => `${key}: listed, but it passed`)],
  };
}

/** The table and the reasons in Markdown. */
export function relayTable(reports: readonly RelayReport[], reasons: Reasons): string {
  const names = Object.keys(reasons);
  const head = ["does not apply because", ...reports.map(({ revision }) => revision)];
  const passed = ["(passed)", ...reports.map((report) => String(report.passed))];
  const rows = names.map((name) => [
    `${name}: ${reasons[name]?.reason}`,
    ...reports.map(({ left }) => String(left[name] ?? 0)),
  ]);
  const failed = ["(failed)", ...reports.map(({ faults }) => String(faults.length))];
  const all = [head, passed, failed, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [top = [], ...rest] = all;
  return [line(top), line(widths.map((width) => "-".repeat(width))), ...rest.map(line)].join("\n");
}
