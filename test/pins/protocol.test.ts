/**
 * docs/PROTOCOL.md against the repository: its rows are numbered without gaps and each names a test, and the bounds it
 * quotes are those of src/limits.ts, all of them that it names and no other.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { limits } from "../../src/limits.ts";

const file = resolve(import.meta.dir, "../../docs/PROTOCOL.md");

/** What one unit of a quoted bound is in ms or bytes. */
const units: Record<string, number> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  days: 86_400_000,
  B: 1,
  KiB: 1_024,
  MiB: 1_024 * 1_024,
};

type Row = readonly string[];

/** The cells of every table row whose first cell has this form. */
function rowsOf(text: string, first: RegExp): Row[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    )
    .filter(([cell = ""]) => first.test(cell));
}

/** A quoted bound as a number: `4 MiB`, `30 s`, `512`. */
function bound(text: string): number {
  const [, digits = "", unit] = /^(\d+)(?: (\w+))?$/.exec(text) ?? [];
  return digits === "" ? Number.NaN : Number(digits) * (unit === undefined ? 1 : (units[unit] ?? Number.NaN));
}

describe("docs/PROTOCOL.md", () => {
  let text = "";
  let rows: Row[] = [];
  let quoted: Row[] = [];
  beforeAll(() => {
    text = readFileSync(file, "utf8");
    rows = rowsOf(text, /^[A-Z]-\d+$/);
    quoted = rowsOf(text, /^`[a-z]\w*(?:Ms|Max|Bytes|Min|Default)`$/);
  });

  test.each(["E", "R", "L", "F"])("numbers the %s rows from 1 without a gap", (letter) => {
    const ids = rows.map(([id = ""]) => id).filter((id) => id.startsWith(`${letter}-`));
    expect(ids.length).toBeGreaterThan(5);
    expect(ids).toEqual(ids.map((_, index) => `${letter}-${index + 1}`));
  });

  test("names a test file in every row", () => {
    const bare = rows.filter((row) => !/`(?:src|test)\/[\w./-]+\.test\.ts`/.test(row.at(-1) ?? ""));
    expect(bare).toEqual([]);
  });

  test("quotes the values of src/limits.ts", () => {
    const said = quoted.map(([name = "", value = ""]): [string, number] => [name.slice(1, -1), bound(value)]);
    const real: Record<string, number> = limits;
    expect(said).toEqual(said.map(([name]) => [name, real[name] ?? Number.NaN]));
  });

  test("quotes every bound that it names", () => {
    const named = Object.keys(limits).filter((name) => text.includes(`\`${name}\``));
    expect(quoted.map(([name = ""]) => name.slice(1, -1))).toEqual(named);
  });
});

test.each([
  ["4 MiB", 4_194_304],
  ["500 ms", 500],
  ["7 days", 604_800_000],
  ["512", 512],
  ["5 parsecs", Number.NaN],
  ["about 5 s", Number.NaN],
])("the bound %s is read as %d", (text, value) => {
  expect(bound(text)).toBe(value);
});
