/** SPEC.md and the tests name the same invariants: each one is checked where the document says, and no other is. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const read = (name: string) => readFileSync(join(import.meta.dir, name), "utf8");

test("every invariant of SPEC.md is checked in the files it names, and the tests name no other", () => {
  const promised = read("SPEC.md")
    .split("\n")
    .flatMap((line) => {
      const [, id, , files = ""] = /^\| (O\d+) \|(.*)\|(.*)\|$/.exec(line) ?? [];
      return id === undefined ? [] : [...files.matchAll(/`([^`]+)`/g)].map(([, file]) => `${id} ${file}`);
    });
  const checked = readdirSync(import.meta.dir)
    .filter((name) => name.endsWith(".test.ts"))
    .flatMap((name) => {
      const titles = read(name).match(/(?:test|describe|needs\(.*\))\(\s*["'`].*/g) ?? [];
      return titles.flatMap((title) => (title.match(/\bO\d+\b/g) ?? []).map((id) => `${id} ${name}`));
    });
  expect(promised.length).toBeGreaterThan(14);
  expect([...new Set(checked)].toSorted()).toEqual(promised.toSorted());
});
