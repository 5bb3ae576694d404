/**
 * What a run has met: cells of the record machine, as the product walked through it; failures of deliveries by how
 * many records they carried; faults. Counts of several worlds add up.
 */
import { recordEventTypes, recordStates } from "../../src/outbox/record.ts";
import type { DeliveryFailureKind } from "../../src/wire/write.ts";

export type Counts = Record<string, number>;

export class Coverage {
  /** Cells that the product walked through. */
  readonly cells: Counts = {};
  /** Cells that were asked of lives the product came to. */
  readonly probed: Counts = {};
  readonly failures: Counts = {};
  readonly faults: Counts = {};

  cell(state: string, event: string): void {
    bump(this.cells, `${state} ${event}`);
  }

  probe(state: string, event: string): void {
    bump(this.probed, `${state} ${event}`);
  }

  failure(kind: DeliveryFailureKind, load: "opening" | "alone" | "batch"): void {
    bump(this.failures, `${kind} ${load}`);
  }

  fault(what: string): void {
    bump(this.faults, what);
  }
}

function bump(counts: Counts, name: string, by = 1): void {
  counts[name] = (counts[name] ?? 0) + by;
}

/** Adds the counts of one world to those of others. */
export function addCounts(to: Counts, from: Readonly<Counts>): void {
  for (const [name, count] of Object.entries(from)) bump(to, name, count);
}

/** A cell is met when it was this often. */
export const wantedPerCell = 100;

/** Every state of the record machine with every event. */
export const machineCells: readonly string[] = recordStates.flatMap((state) =>
  recordEventTypes.map((event) => `${state} ${event}`),
);

/** Cells that an outbox comes to by itself; the others need an event that nobody sends in that state. */
export const walkedCells: readonly string[] = [
  ...["attempt", "rejected", "expired", "dropped"].map((event) => `queued ${event}`),
  ...["committed", "rejected", "deferred", "notSent", "lost", "failedAlone", "dropped", "reopened"].map(
    (event) => `sending ${event}`,
  ),
  "unknown committed",
  "rejected notSent",
];

export const failureKinds = [
  "unreachable",
  "overloaded",
  "unauthorized",
  "revoked",
  "fenced",
  "removed",
  "refused",
] as const satisfies readonly DeliveryFailureKind[];
const loads = ["opening", "alone", "batch"] as const;
/** Only a delivery is fenced: an opening is what fences. */
export const failureCells: readonly string[] = failureKinds
  .flatMap((kind) => loads.map((load) => `${kind} ${load}`))
  .filter((cell) => cell !== "fenced opening");

/** Cells that were met too seldom, with their counts. */
export function missing(counts: Readonly<Counts>, cells: readonly string[]): string[] {
  return cells
    .filter((cell) => (counts[cell] ?? 0) < wantedPerCell)
    .map((cell) => `${cell}: ${counts[cell] ?? 0}`);
}

/** The counts of `row column` cells as a table. */
export function tableOf(counts: Readonly<Counts>, cells: readonly string[]): string {
  const parts = cells.map((cell) => cell.split(" "));
  const rows = [...new Set(parts.map(([row = ""]) => row))];
  const columns = [...new Set(parts.map(([, column = ""]) => column))];
  const lines = rows.map((row) =>
    [
      row.padEnd(12),
      ...columns.map((column) => cellText(counts, cells, `${row} ${column}`).padStart(11)),
    ].join(""),
  );
  return [["".padEnd(12), ...columns.map((column) => column.padStart(11))].join(""), ...lines].join("\n");
}

function cellText(counts: Readonly<Counts>, cells: readonly string[], cell: string): string {
  return cells.includes(cell) ? String(counts[cell] ?? 0) : "–";
}
