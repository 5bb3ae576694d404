/**
 * The night tier: the fault tests of the rig with the sizes of the night, one file after another, and the table of
 * what they found. `--write` puts the table into docs/reliability.md, `--scale 0.1` runs a tenth of each size.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Figure, figureSchema, figuresVariable } from "./rig/figures.ts";
import { readLines } from "./rig/ledger.ts";
import { tierVariable } from "./rig/sizes.ts";

const root = resolve(import.meta.dir, "../..");
const document = join(root, "docs/reliability.md");
const [begin, end] = ["<!-- night: begin -->", "<!-- night: end -->"];
const fileLimitMs = 30 * 60_000;

type Ran = { file: string; passed: boolean; seconds: number };

async function runFile(file: string, environment: Record<string, string>): Promise<Ran> {
  const startedAt = performance.now();
  const child = Bun.spawn([process.execPath, "test", `./test/fault/rig/${file}`], {
    cwd: root,
    env: { ...process.env, CI: "true", ...environment },
    stdio: ["ignore", "inherit", "inherit"],
    timeout: fileLimitMs,
    killSignal: "SIGKILL",
  });
  const code = await child.exited;
  return { file, passed: code === 0, seconds: Math.round((performance.now() - startedAt) / 1_000) };
}

/** One line for each scenario: what was done, what was hit, what was violated. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map(({ id, what, figures: values, violations }) => {
    const facts = Object.entries(values).map(([name, value]) => `${name} ${value}`);
    const bad = Object.entries(violations).map(([name, value]) => `${name} ${value}`);
    return `| ${id} | ${what} | ${facts.join(", ")} | ${bad.join(", ") || "0"} |`;
  });
  return ["| test | fault | figures | violations |", "|---|---|---|---|", ...rows].join("\n");
}

/** The document with the part between its markers replaced. */
export function withTable(text: string, table: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`Write the figures: docs/reliability.md has no ${begin} … ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${table}\n\n${text.slice(to)}`;
}

async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      write: { type: "boolean", default: false },
      scale: { type: "string", default: "1" },
      only: { type: "string", default: "" },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-night-"));
  const file = join(folder, "figures.jsonl");
  writeFileSync(file, "");
  const environment = {
    [tierVariable]: "night",
    [figuresVariable]: file,
    AGENT_RELAY_RIG_SCALE: values.scale,
  };
  const files = readdirSync(join(root, "test/fault/rig"))
    .filter((name) => name.endsWith(".test.ts") && name.includes(values.only))
    .sort();
  const ran: Ran[] = [];
  for (const one of files) ran.push(await runFile(one, environment));
  const figures = readLines(file).map((line) => figureSchema.parse(line));
  rmSync(folder, { recursive: true, force: true });
  const failed = ran.filter(({ passed }) => !passed).map(({ file: name }) => name);
  const seconds = ran.reduce((sum, one) => sum + one.seconds, 0);
  const sizes = values.scale === "1" ? "the sizes of the night" : `${values.scale} of the sizes of the night`;
  const verdict = failed.length === 0 ? "all passed" : `failed: ${failed.join(", ")}`;
  const head = `${new Date().toISOString().slice(0, 10)}: ${sizes}, ${seconds} s on ${cpus().length} cores; ${verdict}.`;
  const table = `${head}\n\n${tableOf(figures)}`;
  console.log(table);
  if (values.write) writeFileSync(document, withTable(readFileSync(document, "utf8"), table));
  return failed.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
