/**
 * Deterministic simulation (T28): many worlds without a violation, every cell met, every planted bug found, and
 * equal traces for equal seeds.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { bugs } from "./bugs.ts";
import { failureCells, machineCells, missing, walkedCells } from "./coverage.ts";
import { reportOf } from "./report.ts";
import { addSums, commandOf, noSums, runWorlds, worldsFolder } from "./sums.ts";
import { runWorld } from "./world.ts";

type Sums = Awaited<ReturnType<typeof runWorlds>>;
type Bug = (typeof bugs)[keyof typeof bugs];

const ops = 60;
/** Worlds of one run, half of them in each of two processes. */
const worlds = 800;
/** A planted bug must be found within so many worlds. */
const bugSeeds = 500;
const minute = 60_000;
/** The worlds take about one minute on two idle cores. */
const busyMinutes = 6;

/** Runs a range of seeds in a process of its own. */
async function apart(seed: number, seeds: number): Promise<Sums> {
  const script = join(import.meta.dir, "run.ts");
  const range = ["--seed", String(seed), "--seeds", String(seeds), "--ops", String(ops), "--json"];
  const child = Bun.spawn([process.execPath, script, ...range], { stdio: ["ignore", "pipe", "pipe"] });
  const [out, error, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`Run worlds ${seed} to ${seed + seeds - 1}: exit code ${code}: ${error}`);
  return JSON.parse(out) as Sums;
}

describe("[P2.1] [P2.5] [P2.6] eight hundred worlds", () => {
  const run = Promise.withResolvers<Sums>();

  test(
    "nothing is lost, doubled, made up, told wrongly, out of order or stuck",
    async () => {
      const sums = noSums();
      const halves = await Promise.all([apart(1, worlds / 2), apart(1 + worlds / 2, worlds / 2)]);
      for (const half of halves) addSums(sums, half);
      console.log(reportOf(sums, ops));
      run.resolve(sums);
      expect(sums.worlds).toBe(worlds);
      expect(sums.wrong).toEqual([]);
    },
    busyMinutes * minute,
  );

  test(
    "every cell of the record machine and every failure of a delivery was met a hundred times",
    async () => {
      const { cells, probed, failures } = await run.promise;
      expect(missing(cells, walkedCells)).toEqual([]);
      expect(missing(probed, machineCells)).toEqual([]);
      expect(missing(failures, failureCells)).toEqual([]);
    },
    minute,
  );
});

describe("a planted bug is found", () => {
  for (const [name, bug] of Object.entries<Bug>(bugs))
    test(
      `${name}: ${bug.what}`,
      async () => {
        const shows: readonly string[] = bug.shows;
        const isShown = ({ kind }: { kind: string }) => shows.includes(kind);
        const range = { seed: 1, seeds: bugSeeds, ops, patch: bug.patch };
        const { wrong } = await runWorlds(range, (violations) => violations.some(isShown));
        const found = wrong.find(({ violations }) => violations.some(isShown));
        console.log(`${name}: found with seed ${found?.seed}: ${commandOf(found?.seed ?? 0, ops, name)}`);
        expect(found?.violations.filter(isShown)).not.toEqual([]);
        // The world is not wrong in this way by itself.
        const control = await runWorld({ seed: found?.seed ?? 0, ops, folder: worldsFolder() });
        expect(control.violations.filter(isShown)).toEqual([]);
      },
      2 * minute,
    );
});

test("equal seeds give equal worlds, other seeds other ones", async () => {
  const digest = async (seed: number) => (await runWorld({ seed, ops, folder: worldsFolder() })).digest;
  const seeds = [7, 8, 9, 10, 11];
  const digests: string[] = [];
  for (const seed of [...seeds, ...seeds]) digests.push(await digest(seed));
  expect(digests.slice(seeds.length)).toEqual(digests.slice(0, seeds.length));
  expect(new Set(digests).size).toBe(seeds.length);
}, 20_000);
