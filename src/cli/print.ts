/** What the command line prints, and the exit code of every ending. Colour only on a terminal. */

import { UnsafePathError } from "../base/file.ts";
import { redact } from "../base/log.ts";
import { SqliteBusyError } from "../base/sqlite.ts";
import { RelayError } from "../wire/error.ts";

/** Exit codes, after sysexits.h where it has one. `run` ends with the agent's own code. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 69,
  busy: 75,
  refused: 77,
  /** As a shell has it. */
  notFound: 127,
} as const;
export type Exit = keyof typeof exitCodes;

/** A failure with its exit code and one line that says what to do. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exit: Exit;

  constructor(exit: Exit, message: string, cause?: unknown) {
    super(message, { cause });
    this.exit = exit;
  }
}

export type Printer = {
  readonly json: boolean;
  /** For people; nothing in JSON mode. */
  line(text?: string): void;
  /** For programs: one JSON document on one line; nothing otherwise. */
  data(value: unknown): void;
  /** Rows under a heading, columns aligned; nothing in JSON mode. */
  table(head: string[], rows: string[][]): void;
  dim(text: string): string;
  bold(text: string): string;
};

/** A printer on standard output. */
export function createPrinter(options: {
  json: boolean;
  write(text: string): void;
  color: boolean;
}): Printer {
  const paint = (code: string) => (text: string) =>
    options.color ? `\u001b[${code}m${text}\u001b[0m` : text;
  const line = (text = "") => {
    if (!options.json) options.write(`${text}\n`);
  };
  return {
    json: options.json,
    line,
    data(value) {
      if (options.json) options.write(`${JSON.stringify(value)}\n`);
    },
    table(head, rows) {
      const widths = head.map((title, column) =>
        Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
      );
      const format = (cells: string[]) =>
        cells
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join("  ")
          .trimEnd();
      line(paint("1")(format(head)));
      for (const row of rows) line(format(row));
    },
    dim: paint("2"),
    bold: paint("1"),
  };
}

/** The exit code and the one line for anything that was thrown. */
export function describeFailure(thrown: unknown): { exit: Exit; message: string } {
  const message = redact(thrown instanceof Error ? thrown.message : String(thrown));
  if (thrown instanceof CliError) return { exit: thrown.exit, message };
  if (thrown instanceof RelayError) {
    return { exit: thrown.status === 401 || thrown.status === 403 ? "refused" : "failed", message };
  }
  if (thrown instanceof UnsafePathError) return { exit: "refused", message };
  if (thrown instanceof SqliteBusyError) return { exit: "busy", message };
  const name = thrown instanceof Error ? thrown.name : "";
  const byName: Record<string, Exit> = {
    RelayUnreachable: "unreachable",
    OutboxOwnedError: "busy",
    ListenError: "busy",
    PortTaken: "busy",
    LaunchError: "notFound",
    ConfigError: "usage",
  };
  return { exit: byName[name] ?? "failed", message };
}

/** How long ago, in the largest unit that fits: `12 s`, `4 min`, `3 h`, `2 d`. */
export function ageText(ms: number): string {
  const steps: [number, string][] = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1_000, "s"],
  ];
  const step = steps.find(([size]) => ms >= size);
  return step === undefined ? "now" : `${Math.floor(ms / step[0])} ${step[1]}`;
}
