/** Many worlds, one after another, added up. */
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { addCounts, type Counts } from "./coverage.ts";
import type { Violation } from "./ledger.ts";
import type { Patch } from "./parts.ts";
import { runWorld } from "./world.ts";

/** What came of some worlds. Plain data: it is passed between processes. */
export type Sums = {
  worlds: number;
  events: number;
  intents: number;
  committed: number;
  notices: number;
  wrong: { seed: number; violations: Violation[] }[];
  cells: Counts;
  probed: Counts;
  failures: Counts;
  faults: Counts;
};

/** Nothing yet. */
export function noSums(): Sums {
  const sizes = { worlds: 0, events: 0, intents: 0, committed: 0, notices: 0 };
  return { ...sizes, wrong: [], cells: {}, probed: {}, failures: {}, faults: {} };
}

/** Adds what came of other worlds. */
export function addSums(to: Sums, from: Sums): void {
  for (const name of ["worlds", "events", "intents", "committed", "notices"] as const) to[name] += from[name];
  for (const name of ["cells", "probed", "failures", "faults"] as const) addCounts(to[name], from[name]);
  to.wrong.push(...from.wrong);
}

/** Files of worlds are in memory where the machine has such a place: a world makes thousands of commits. */
export function worldsFolder(): string {
  return existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
}

/** Runs the worlds of these seeds; ends early when `enough` says so. */
export async function runWorlds(
  range: { seed: number; seeds: number; ops: number; patch?: Patch },
  enough: (violations: readonly Violation[]) => boolean = () => false,
): Promise<Sums> {
  const sums = noSums();
  const { seed: first, seeds, ops, patch = {} } = range;
  for (let seed = first; seed < first + seeds; seed += 1) {
    const { violations, coverage, events, sizes } = await runWorld({
      seed,
      ops,
      patch,
      folder: worldsFolder(),
    });
    const { cells, probed, failures, faults } = coverage;
    const { intents, committed, notices } = sizes;
    const wrong = violations.length === 0 ? [] : [{ seed, violations }];
    addSums(sums, { worlds: 1, events, intents, committed, notices, wrong, cells, probed, failures, faults });
    if (enough(violations)) break;
  }
  return sums;
}

/** The command that runs one world again. */
export function commandOf(seed: number, ops: number, bug?: string): string {
  const planted = bug === undefined ? "" : ` --bug "${bug}"`;
  return `tools/bun test/sim/run.ts --seed ${seed} --ops ${ops}${planted} --trace`;
}
