/** The outcome in words: one table for all suites, one line per difference, and the block of the document. */
import type { Difference, Judgement, Tally } from "./compare.ts";

export type SuiteReport = {
  readonly suite: string;
  readonly scenarios: number;
  readonly direct: Tally;
  readonly proxied: Tally;
  readonly differences: readonly Difference[];
  /** What failed directly: a fault of the fixture or of the client, not of the proxy. */
  readonly unsound: readonly string[];
};

const head = [
  "suite",
  "scenarios",
  "passed direct",
  "failed direct",
  "passed proxied",
  "failed proxied",
  "warnings",
  "differences",
];

/** A Markdown table, also readable as text. */
export function table(reports: readonly SuiteReport[]): string {
  const rows = reports.map(({ suite, scenarios, direct, proxied, differences }) => [
    suite,
    String(scenarios),
    String(direct.passed),
    String(direct.failed),
    String(proxied.passed),
    String(proxied.failed),
    `${direct.warned} / ${proxied.warned}`,
    String(differences.length),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** One difference, with what the suite says about it. */
export function differenceLine({ suite, scenario, id, name, direct, proxied, why }: Difference): string {
  const check = name === id ? id : `${id} (${name})`;
  return `${suite} · ${scenario} · ${check}: direct ${direct}, proxied ${proxied}${why === "" ? "" : `: ${why}`}`;
}

/** What is wrong, one line each; none when everything holds. */
export function faults(reports: readonly SuiteReport[], { unexpected, stale }: Judgement): string[] {
  return [
    ...reports.flatMap(({ suite, unsound }) => unsound.map((what) => `${suite} · direct: ${what}`)),
    ...unexpected.map(differenceLine),
    ...stale.map(
      ({ suite, scenario, id }) =>
        `${suite} · ${scenario} · ${id}: listed as a difference, but there is none: take it off the list`,
    ),
  ];
}

/** The document with a new block between the two marks of that name. */
export function withBlock(document: string, block: string, name = "conformance"): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [before, rest] = document.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) {
    throw new Error(`Write the conformance document: the marks ${begin} and ${end} were wanted`);
  }
  return `${before}${begin}\n\n${block}\n\n${end}${after}`;
}
