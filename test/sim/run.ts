/**
 * Runs worlds from the command line: one world with its trace, or many with their sums.
 * @example tools/bun test/sim/run.ts --seed 42 --ops 60 --trace
 */
import { parseArgs } from "node:util";
import { bugs } from "./bugs.ts";
import { reportOf } from "./report.ts";
import { runWorlds, worldsFolder } from "./sums.ts";
import { runWorld } from "./world.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    ops: { type: "string", default: "60" },
    bug: { type: "string" },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const bug = Object.entries(bugs).find(([name]) => name === values.bug)?.[1];
if (values.bug !== undefined && bug === undefined)
  throw new Error(`Plant "${values.bug}": there is no such bug; there is ${Object.keys(bugs).join(", ")}`);
const patch = bug?.patch ?? {};
const [seed, seeds, ops] = [Number(values.seed), Number(values.seeds), Number(values.ops)];

if (values.trace) {
  const { lines, digest, violations } = await runWorld({
    seed,
    ops,
    patch,
    folder: worldsFolder(),
    keep: true,
  });
  console.log(lines.join("\n"));
  console.log(`trace ${digest}`);
  for (const { kind, what } of violations) console.log(`${kind}: ${what}`);
  process.exitCode = violations.length === 0 ? 0 : 1;
} else {
  const sums = await runWorlds({ seed, seeds, ops, patch });
  console.log(values.json ? JSON.stringify(sums) : reportOf(sums, ops));
  process.exitCode = values.json || sums.wrong.length === 0 ? 0 : 1;
}
