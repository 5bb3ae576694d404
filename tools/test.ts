/**
 * Runs every test and prints the true totals as its last line: `N passed, N failed`. Each file runs in a process of
 * its own with a time limit. Bun's own summary misses files that did not load, and a test that ends the process ends
 * the run with exit code 0: both are failures here.
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

/** What `npm test` was asked for: where, parts of paths, options for Bun; `strict` is CI, where nothing may be left out. */
type Request = { root: string; filters: readonly string[]; options: readonly string[]; strict: boolean };

/** Runs the tests; the exit code of the process. */
export async function main(request: Request): Promise<number> {
  const files = testFiles(request);
  const totals = files.length === 0 ? nothing : await runFiles(request, files);
  if (files.length === 0) console.error("No test was found");
  console.log(totalsLine(totals));
  if (totals.failed > 0 || totals.passed + totals.skipped === 0) return 1;
  return request.strict && totals.skipped > 0 ? 1 : 0;
}

function testFiles({ root, filters }: Request): string[] {
  const found = folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => [...new Bun.Glob(`${folder}/**/*.test.ts`).scanSync(root)])
    .sort();
  return filters.length === 0 ? found : found.filter((path) => filters.some((part) => path.includes(part)));
}

/** Folders whose tests start processes or measure: each of their files has the machine for itself. */
const alone = /^test\/(?!conformance|pins|property)/;
/**
 * Those of them that wait for real programs, where a machine that stops for seconds is no fault of ours: in CI a file that
 * failed gets a second chance, both runs are shown. Where a seed may have found something there is none.
 */
const timed = /^test\/(?:e2e|relay)\//;
/** A file that is not done by then hangs. */
const fileLimitMs = 480_000;
/** A test that is not done by then fails, where its file says nothing else. */
const testLimitMs = 20_000;

/** Each file in a process of its own, two at a time, then those that want the machine one after another. */
async function runFiles(request: Request, files: readonly string[]): Promise<Totals> {
  const shared = files.filter((file) => !alone.test(file));
  const single = files.filter((file) => alone.test(file));
  const totals: Totals[] = [];
  const work = async (queue: string[]) => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift())
      totals.push(await runTwice(request, file));
  };
  const queue = [...shared];
  await Promise.all([work(queue), work(queue)]);
  await work([...single]);
  return totals.reduce(add, nothing);
}

async function runTwice(request: Request, file: string): Promise<Totals> {
  const totals = await runFile(request, file);
  if (totals.failed === 0 || !request.strict || !timed.test(file)) return totals;
  console.log(`AGAIN  ${file}: it failed once, the second run counts`);
  return await runFile(request, file);
}

/** Runs one file and prints what it printed when it is done, so that files at the same time do not mix. */
async function runFile({ root, options }: Request, file: string): Promise<Totals> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-test-"));
  const path = join(folder, "report.xml");
  const startedAt = performance.now();
  try {
    const reporter = ["--reporter=junit", `--reporter-outfile=${path}`];
    const limit = `--timeout=${testLimitMs}`;
    const child = Bun.spawn([process.execPath, "test", limit, ...reporter, ...options, `./${file}`], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: fileLimitMs,
      killSignal: "SIGKILL",
    });
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    const report = readReport(() => readFileSync(path, "utf8"));
    const totals = totalsFrom({ file, options, code, report });
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.log(`${totals.failed > 0 ? "FAILED" : "ok    "} ${file} (${totals.passed} passed, ${seconds} s)`);
    if (totals.failed > 0 || process.env.AGENT_RELAY_TEST_OUTPUT === "1") console.log(`${out}${err}`);
    else
      for (const line of `${out}${err}`.split("\n"))
        if (line.startsWith("figures ")) console.log(`       ${line}`);
    return totals;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Run = {
  file: string;
  options: readonly string[];
  code: number;
  report: readonly FileReport[] | undefined;
};

function totalsFrom({ file, options, code, report }: Run): Totals {
  if (report === undefined) {
    const notes = [`${file} ended with exit code ${code} and no report (limit ${fileLimitMs / 1000} s)`];
    return { ...nothing, failed: 1, notes };
  }
  // With options (for example `-t`) a file may rightly have nothing to run.
  return totalsOf(report, code, options.length === 0 ? [file] : []);
}

if (import.meta.main) {
  const given = process.argv.slice(2);
  const options = given.filter((text, index) => text.startsWith("-") || given[index - 1] === "-t");
  const filters = given.filter((text) => !options.includes(text));
  const [root, strict] = [resolve(import.meta.dir, ".."), process.env.CI === "true"];
  process.exit(await main({ root, filters, options, strict }));
}
