/**
 * The gate: everything that must hold before a commit, one line per step, and at the end what failed.
 * `--only types,docs` runs some steps, `--without tests` leaves some out.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "..");
const bin = (name: string) => join(root, "node_modules/.bin", name);
const tool = (name: string, ...rest: string[]) => [process.execPath, join(root, "tools", name), ...rest];

/** One thing that must hold. */
type Step = {
  readonly name: string;
  readonly command: readonly string[];
  /** Shown while it runs, because it takes long; else shown only when it fails. */
  readonly loud?: true;
  /** The step exists once this file does. */
  readonly since?: string;
};

const steps: readonly Step[] = [
  { name: "format", command: [bin("biome"), "check", "--error-on-warnings", "."] },
  { name: "types", command: [bin("tsc"), "--noEmit"] },
  { name: "docs", command: tool("docs.ts", "--check") },
  { name: "schema", command: tool("schema-dump.ts", "--check"), since: "tools/schema-dump.ts" },
  { name: "tests", command: tool("test.ts"), loud: true },
  {
    name: "demo",
    command: [join(root, "bin/agent-relay"), "demo"],
    loud: true,
    since: "src/cli/commands/demo.ts",
  },
];

/** The steps that were asked for, or why that cannot be. */
function chosen(given: readonly string[]): readonly Step[] | string {
  const only = list(given, "--only");
  const without = list(given, "--without") ?? [];
  const names = steps.map(({ name }) => name);
  const unknown = [...(only ?? []), ...without].find((name) => !names.includes(name));
  if (unknown !== undefined) return `Run step ${JSON.stringify(unknown)}: the steps are ${names.join(", ")}`;
  return steps.filter(({ name }) => (only ?? names).includes(name) && !without.includes(name));
}

function list(given: readonly string[], option: string): string[] | undefined {
  const at = given.indexOf(option);
  return at === -1 ? undefined : (given[at + 1] ?? "").split(",").filter((name) => name !== "");
}

type Outcome = { name: string; passed: boolean };

async function run({ name, command, loud, since }: Step): Promise<Outcome> {
  if (since !== undefined && !existsSync(join(root, since))) {
    console.log(`none  ${name.padEnd(8)} ${since} does not exist`);
    return { name, passed: true };
  }
  const start = performance.now();
  const child = Bun.spawn([...command], {
    cwd: root,
    stdin: "ignore",
    stdout: loud ? "inherit" : "pipe",
    stderr: loud ? "inherit" : "pipe",
  });
  const texts = [child.stdout, child.stderr].map((stream) => (stream ? new Response(stream).text() : ""));
  const [code, ...output] = await Promise.all([child.exited, ...texts]);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok  " : "FAIL"}  ${name.padEnd(8)} ${seconds.padStart(6)} s`);
  if (code !== 0) console.log(output.join("").trimEnd());
  return { name, passed: code === 0 };
}

/** Runs the steps, all of them also after a failure; the exit code of the process. */
async function main(given: readonly string[]): Promise<number> {
  const wanted = chosen(given);
  if (typeof wanted === "string") {
    console.error(wanted);
    return 2;
  }
  const outcomes: Outcome[] = [];
  for (const step of wanted) outcomes.push(await run(step));
  const failed = outcomes.filter(({ passed }) => !passed).map(({ name }) => name);
  const again = `run one alone with 'npm run ok -- --only ${failed[0]}'`;
  console.log(failed.length === 0 ? "ok: everything holds" : `not ok: ${failed.join(", ")} failed; ${again}`);
  return failed.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
