/** What is appended to a file is read once, in bounded pieces. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Tail, tailFile } from "./tail.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "agent-relay-tail-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function readAll(tail: Tail): string[] {
  const lines: string[] = [];
  do lines.push(...(tail.read() ?? []));
  while (!tail.atEnd);
  return lines;
}

test("a file that comes later is read from its beginning, each line once, a cut line when it is whole", () => {
  const path = join(folder, "later");
  const tail = tailFile(path, "end", 1_000);
  expect(tail.read()).toBeUndefined();
  writeFileSync(path, "one\ntwo\nthr");
  expect(readAll(tail)).toEqual(["one", "two"]);
  expect(readAll(tail)).toEqual([]);
  appendFileSync(path, "ee\n");
  expect(readAll(tail)).toEqual(["three"]);
  tail.close();
});

test("from the end: what was there is not read", () => {
  const path = join(folder, "old");
  writeFileSync(path, "old\n".repeat(1_000));
  const tail = tailFile(path, "end", 100);
  expect(readAll(tail)).toEqual([]);
  appendFileSync(path, "new\n");
  expect(readAll(tail)).toEqual(["new"]);
  tail.close();
});

test("the last bytes of a file: the first, cut line is left out", () => {
  const path = join(folder, "last");
  writeFileSync(path, "aaaaaaaa\nbbbb\ncccc\n");
  const tail = tailFile(path, 12, 1_000);
  expect(readAll(tail)).toEqual(["bbbb", "cccc"]);
  tail.close();
});

test("a big file is read in pieces, and a line longer than a piece is passed over", () => {
  const path = join(folder, "long");
  writeFileSync(path, `first\n${"x".repeat(500)}\nlast\n`);
  const tail = tailFile(path, 10_000, 64);
  expect(readAll(tail)).toEqual(["first", "last"]);
  tail.close();
});
