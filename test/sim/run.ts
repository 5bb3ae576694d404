/**
 * Runs worlds from the command line.
 * @example tools/bun test/sim/run.ts --seed 42 --ops 60
 */
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { tapRecords } from "./tap.ts";

tapRecords();
const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    ops: { type: "string", default: "60" },
    trace: { type: "boolean", default: false },
    bug: { type: "string" },
  },
});
const { runWorld } = await import("./world.ts");
const { addCounts, machineCells, tableOf } = await import("./coverage.ts");
const { bugs } = await import("./bugs.ts");
const planted = Object.entries(bugs).find(([name]) => name === values.bug)?.[1].patch;
if (values.bug !== undefined && planted === undefined)
  throw new Error(`Plant "${values.bug}": there is ${Object.keys(bugs).join(", ")}`);
const folder = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const first = Number(values.seed);
const ops = Number(values.ops);
const cells = {};
const faults = {};
const failures = {};
let bad = 0;
for (let seed = first; seed < first + Number(values.seeds); seed += 1) {
  const patch = planted ?? {};
  const result = await runWorld({ seed, ops, folder, patch, keep: values.trace || Number(values.seeds) === 1 });
  if (values.trace) console.log(result.lines.join("\n"));
  if (Number(values.seeds) === 1) console.log(result.sizes, result.digest);
  addCounts(cells, result.coverage.cells);
  addCounts(faults, result.coverage.faults);
  addCounts(failures, result.coverage.failures);
  if (result.violations.length > 0) bad += 1;
  for (const { kind, what } of result.violations) console.log(`seed ${seed} ${kind}: ${what}`);
}
console.log(tableOf(cells, machineCells));
console.log(failures, faults);
console.log(`${bad} of ${values.seeds} worlds are wrong`);
process.exitCode = bad === 0 ? 0 : 1;
