/** The official suite as a program: installed in a folder of its own, run with a deadline, its result files read. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { privateFolder } from "../../../src/base/file.ts";
import { type Check, checkSchema, type Results } from "./compare.ts";

/** Exactly these. The suite needs Node 22 or later, which the project does not ask for. */
export const versions = { node: "24.21.0", "@modelcontextprotocol/conformance": "0.2.0-alpha.12" } as const;
export const revisions = ["2026-07-28", "2025-11-25"] as const;
export type Revision = (typeof revisions)[number];

const installMs = 120_000;
const packageSchema = z.object({ version: z.string() });

/** A run of the suite that did not end as it should. */
export class SuiteError extends Error {
  override readonly name = "SuiteError";
}

export type Suite = {
  /**
   * Runs the suite to its end; its exit code, 0 when everything that counts passed. Throws SuiteError when it takes
   * longer than `forMs` or the signal aborts.
   */
  run(given: readonly string[], options: RunOptions): Promise<{ code: number; output: string }>;
};
export type RunOptions = { forMs: number; signal: AbortSignal; environment?: Record<string, string> };

function isInstalled(folder: string): boolean {
  return Object.entries(versions).every(([name, version]) => {
    const file = join(folder, "node_modules", name, "package.json");
    if (!existsSync(file)) return false;
    return packageSchema.parse(JSON.parse(readFileSync(file, "utf8"))).version === version;
  });
}

/** The suite, installed once per version and user in the folder for temporary files. */
export async function installSuite(signal: AbortSignal): Promise<Suite> {
  const versionText = Object.values(versions).join("-");
  const folder = join(tmpdir(), `agent-relay-conformance-${versionText}-${userInfo().uid}`);
  privateFolder(folder);
  if (!isInstalled(folder)) {
    const manifest = { private: true, dependencies: versions, allowScripts: { node: true } };
    writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
    const npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder];
    const { code, output } = await run(npm, folder, { forMs: installMs, signal });
    if (code !== 0 || !isInstalled(folder)) throw new SuiteError(`Install the suite: npm failed: ${output}`);
  }
  const node = join(folder, "node_modules/node/bin/node");
  const program = join(folder, "node_modules/@modelcontextprotocol/conformance/dist/index.js");
  return { run: (given, options) => run([node, program, ...given], folder, options) };
}

async function run(command: readonly string[], folder: string, options: RunOptions) {
  const child = Bun.spawn([...command], {
    cwd: folder,
    env: { ...process.env, ...options.environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: options.forMs,
    killSignal: "SIGKILL",
    signal: options.signal,
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const output = `${out}${err}`.slice(-2_000);
  if (child.signalCode !== null) {
    const why = options.signal.aborted ? "it was stopped" : `it did not end within ${options.forMs / 1000} s`;
    throw new SuiteError(`Run ${command.slice(2).join(" ")}: ${why}: ${output}`);
  }
  return { code, output: `${out}${err}` };
}

/** The client scenarios that a revision requires or reports, but those of `auth/`. */
export function clientScenarios(listing: string): string[] {
  const required = /^Client scenarios[^\n]*\n((?: {2}- \S+\n)*)/m.exec(listing)?.[1] ?? "";
  const reported = [...listing.matchAll(/- (\S+) \[client\]/g)];
  const names = [...required.matchAll(/- (\S+)/g), ...reported].map(([, name = ""]) => name);
  return names.filter((name) => !name.startsWith("auth/")).sort();
}

/** What the suite wrote into its output folder: one folder per scenario, named with the time. */
export function readResults(folder: string): Results {
  const results = new Map<string, Check[]>();
  for (const entry of readdirSync(folder).sort()) {
    const scenario = entry.replace(/^server-(?=.*-\d{4}-)/, "").replace(/-\d{4}-\d\d-\d\dT[\dZ-]+$/, "");
    const file = join(folder, entry, "checks.json");
    const checks = existsSync(file)
      ? z.array(checkSchema).parse(JSON.parse(readFileSync(file, "utf8")))
      : [unfinished(scenario)];
    results.set(scenario, [...(results.get(scenario) ?? []), ...checks]);
  }
  return results;
}

function unfinished(scenario: string): Check {
  const errorMessage = "The suite wrote no result for this scenario";
  return { id: scenario, name: "Unfinished", status: "FAILURE", errorMessage };
}
