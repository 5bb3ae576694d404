/** The figures of the outbox's bench as the section of the document. Pure. */
import type { Spread } from "../figures.ts";

/** So many writers at once, over all rounds; times in ms. */
export type Enqueue = {
  writers: number;
  raw: Spread;
  outbox: Spread;
  ratio: Spread;
  p50: Spread;
  p99: Spread;
  rawP99: Spread;
};

export type SlowDisk = { blockedMs: number; writeMs: number };
export type Drain = { queued: number; openMs: number; firstMs: number; drainMs: number; left: number };
export type Result = { enqueue: Enqueue[]; slowDisk: SlowDisk | undefined; drain: Drain | undefined };

/** The figures in Markdown. */
export function report({ enqueue, slowDisk, drain }: Result, rounds: string): string {
  return [
    ...(enqueue.length === 0 ? [] : [enqueueTable(enqueue), "", rounds]),
    "",
    ...(slowDisk === undefined ? [] : [slowDiskLine(slowDisk)]),
    ...(drain === undefined ? [] : [drainLine(drain)]),
  ]
    .join("\n")
    .trim();
}

function enqueueTable(rows: readonly Enqueue[]): string {
  const head = ["writers", "raw writes/s", "outbox writes/s", "ratio", "p50 ms", "p99 ms", "raw p99 ms"];
  const cells = rows.map(({ writers, raw, outbox, ratio, p50, p99, rawP99 }) => [
    String(writers),
    text(raw, 0),
    text(outbox, 0),
    text(ratio, 2),
    text(p50, 2),
    text(p99, 2),
    text(rawP99, 2),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => (row[i] ?? "").length)));
  const line = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n");
}

function slowDiskLine({ blockedMs, writeMs }: SlowDisk): string {
  return (
    `- With 300 ms in every fsync and fdatasync (strace) a write takes at least ${writeMs.toFixed(0)} ms, and the event ` +
    `loop is blocked ${blockedMs.toFixed(1)} ms at most.`
  );
}

function drainLine({ queued, openMs, firstMs, drainMs, left }: Drain): string {
  return (
    `- ${queued} waiting records are opened in ${openMs.toFixed(0)} ms; when the relay is back at 20 ms there and back the ` +
    `first is there after ${firstMs.toFixed(0)} ms, all after ${drainMs.toFixed(0)} ms, ${left} are left.`
  );
}

const [begin, end] = ["<!-- outbox: begin -->", "<!-- outbox: end -->"];

/** The document with a new text between the marks of the outbox's figures. */
export function withSection(document: string, section: string): string {
  const [before, rest] = document.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined)
    throw new Error(`Write the outbox's figures: the marks ${begin} and ${end} were wanted`);
  return `${before}${begin}\n\n${section}\n\n${end}${after}`;
}

function text(spread: Spread, digits: number): string {
  const [median, min, max] = [spread.median, spread.min, spread.max].map((value) => value.toFixed(digits));
  return `${median} (${min}–${max})`;
}
