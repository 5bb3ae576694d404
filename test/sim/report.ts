/** What a run of many worlds prints. */
import { failureCells, machineCells, tableOf } from "./coverage.ts";
import { commandOf, type Sums } from "./sums.ts";

/** Tables, totals, and for every wrong world what is wrong and how to see it again. */
export function reportOf(sums: Sums, ops: number): string {
  const { worlds, events, intents, committed, notices, wrong, cells, probed, failures, faults } = sums;
  const list = Object.entries(faults)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, count]) => `  ${name}: ${count}`);
  return [
    "Cells of the record machine that the product walked through:",
    tableOf(cells, machineCells),
    "\nCells asked of lives the product came to:",
    tableOf(probed, machineCells),
    "\nFailures of deliveries, by what they carried:",
    tableOf(failures, failureCells),
    "\nFaults:",
    ...list,
    "",
    ...wrong.flatMap(({ seed, violations }) => [
      ...violations.map(({ kind, what }) => `seed ${seed} ${kind}: ${what}`),
      `  again: ${commandOf(seed, ops)}`,
    ]),
    `${worlds} worlds of ${ops} happenings, ${events} events, ${intents} writes meant, ${committed} committed, ` +
      `${notices} notices; ${wrong.length} worlds are wrong`,
  ].join("\n");
}
