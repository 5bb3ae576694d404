/**
 * Runs every test and prints the true totals as its last line: `N passed, N failed`. Bun's own summary misses files
 * that did not load, and a test that ends the process ends the run with exit code 0: both are failures here.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  add,
  type FileReport,
  nothing,
  readReport,
  type Totals,
  totalsLine,
  totalsOf,
} from "./test-report.ts";

const folders = ["src", "test", "tools", "examples"];

/** What `npm test` was asked for: where, parts of paths, and options for Bun. */
type Request = { root: string; filters: readonly string[]; options: readonly string[] };

/**
 * Runs the tests; the exit code of the process.
 * @param strict nothing may be left out
 */
export async function main(request: Request, strict: boolean): Promise<number> {
  const files = testFiles(request);
  const totals = files.length === 0 ? nothing : await runFiles(request, files);
  if (files.length === 0) console.error("No test was found");
  console.log(totalsLine(totals));
  if (totals.failed > 0 || totals.passed + totals.skipped === 0) return 1;
  return strict && totals.skipped > 0 ? 1 : 0;
}

function testFiles({ root, filters }: Request): string[] {
  const found = folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => [...new Bun.Glob(`${folder}/**/*.test.ts`).scanSync(root)])
    .sort();
  return filters.length === 0 ? found : found.filter((path) => filters.some((part) => path.includes(part)));
}

/** All files in one process; when that one leaves no report, each file in its own, so that the culprit is known. */
async function runFiles(request: Request, files: readonly string[]): Promise<Totals> {
  const together = await runBun(request, files);
  if (together.report !== undefined || files.length === 1) return totalsFrom(request, files, together);
  console.error(`The run ended with exit code ${together.code} and no report: running each file alone`);
  let totals = nothing;
  for (const file of files) totals = add(totals, totalsFrom(request, [file], await runBun(request, [file])));
  return totals;
}

type Run = { code: number; report: readonly FileReport[] | undefined };

function totalsFrom({ options }: Request, files: readonly string[], { code, report }: Run): Totals {
  if (report === undefined)
    return {
      ...nothing,
      failed: 1,
      notes: [`${files.join(" ")} ended with exit code ${code} and no report`],
    };
  // With options (for example `-t`) a file may rightly have nothing to run.
  return totalsOf(report, code, options.length === 0 ? files : []);
}

async function runBun({ root, options }: Request, files: readonly string[]): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-test-"));
  const path = join(folder, "report.xml");
  try {
    const reporter = ["--reporter=junit", `--reporter-outfile=${path}`];
    const paths = files.map((file) => `./${file}`);
    const child = Bun.spawn([process.execPath, "test", ...reporter, ...options, ...paths], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
    });
    const code = await child.exited;
    return { code, report: readReport(() => readFileSync(path, "utf8")) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const given = process.argv.slice(2);
  const options = given.filter((text, index) => text.startsWith("-") || given[index - 1] === "-t");
  const filters = given.filter((text) => !options.includes(text));
  process.exit(
    await main({ root: resolve(import.meta.dir, ".."), filters, options }, process.env.CI === "true"),
  );
}
