/** The figures of the relay's bench as the section of the document. Pure. */
import type { Spread } from "../figures.ts";

/** One kind of load over all rounds. */
export type Row = { what: string; perSecond: Spread; p50: Spread; p99: Spread; cpuUs: Spread };

export type IdleFeeds = {
  count: number;
  kibEach: number;
  openedPerSecond: number;
  idleCpuPercent: number;
  descriptors: number;
  residentMiB: number;
};

export type Figures = {
  rows: readonly Row[];
  idle: IdleFeeds | undefined;
  rounds: number;
  seconds: number;
  cores: number;
};

/** The figures in Markdown. */
export function report({ rows, idle, rounds, seconds, cores }: Figures): string {
  const head = ["load", "messages/s", "p50 ms", "p99 ms", "relay CPU µs/message"];
  const cells = rows.map((row) => [
    row.what,
    text(row.perSecond, 0),
    text(row.p50, 1),
    text(row.p99, 1),
    text(row.cpuUs, 0),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => (row[i] ?? "").length)));
  const line = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const table = [line(head), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)];
  const foot = `Median of ${rounds} rounds (least–greatest), ${seconds} s each after 0.5 s warm-up; ${cores} cores shared by load and relay. A batch's time is that of the whole batch.`;
  return [
    ...(rows.length === 0 ? [] : [...table, "", foot]),
    ...(idle === undefined ? [] : ["", feeds(idle)]),
  ].join("\n");
}

function feeds(idle: IdleFeeds): string {
  return (
    `- Idle feeds: ${idle.count} on one process, ${idle.kibEach.toFixed(1)} KiB of resident memory each ` +
    `(${idle.residentMiB.toFixed(0)} MiB in all), opened at ${idle.openedPerSecond.toFixed(0)}/s; while they idle the relay ` +
    `takes ${idle.idleCpuPercent.toFixed(1)} % of one core. The process may open ${idle.descriptors} files.`
  );
}

const [begin, end] = ["<!-- relay: begin -->", "<!-- relay: end -->"];

/** The document with a new text between the marks of the relay's figures. */
export function withSection(document: string, section: string): string {
  const [before, rest] = document.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined)
    throw new Error(`Write the relay's figures: the marks ${begin} and ${end} were wanted`);
  return `${before}${begin}\n\n${section}\n\n${end}${after}`;
}

function text(spread: Spread, digits: number): string {
  const [median, min, max] = [spread.median, spread.min, spread.max].map((value) => value.toFixed(digits));
  return `${median} (${min}–${max})`;
}
