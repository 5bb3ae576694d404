/** Scratch folders on a real disk. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openScratch, sweepScratch } from "./scratch.ts";

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "scratch-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const running = { pid: 10, startTime: "start of 10" };
const options = {
  startOf: (pid: number) => (pid === 10 ? "start of 10" : undefined),
  now: Date.now(),
  unownedMs: 60_000,
};
const names = () => readdirSync(join(home, "scratch")).sort();

test("a session's folder is private, and gone with all its content when the session ends", () => {
  const scratch = openScratch(home, "session-1", running);
  expect(statSync(scratch.path).mode & 0o777).toBe(0o700);
  expect(statSync(join(home, "scratch")).mode & 0o777).toBe(0o700);
  mkdirSync(join(scratch.path, "deep"));
  writeFileSync(join(scratch.path, "deep", "file"), "x");
  scratch.close();
  scratch.close();
  expect(names()).toEqual([]);
});

test("two sessions never share a folder", () => {
  openScratch(home, "session-1", running);
  expect(() => openScratch(home, "session-1", running)).toThrow("EEXIST");
});

test.each(["", "..", ".hidden", "a/b", "a\0b", "x".repeat(129)])("%j is not a name for a folder", (name) => {
  expect(() => openScratch(home, name, running)).toThrow("not a plain file name");
});

test("folders of ended owners are swept, also when the number has a new owner; living ones stay", () => {
  openScratch(home, "living", running);
  openScratch(home, "ended", { pid: 11, startTime: "start of 11" });
  openScratch(home, "recycled", { pid: 10, startTime: "an earlier start" });
  expect(sweepScratch(home, options).sort()).toEqual(["ended", "recycled"]);
  expect(names()).toEqual(["living"]);
});

test("a folder without an owner is swept only when it is old", () => {
  mkdirSync(join(home, "scratch", "new"), { recursive: true });
  mkdirSync(join(home, "scratch", "old"));
  const past = (options.now - 61_000) / 1_000;
  utimesSync(join(home, "scratch", "old"), past, past);
  expect(sweepScratch(home, options)).toEqual(["old"]);
  expect(names()).toEqual(["new"]);
});

test("no link is followed and no file is touched", () => {
  const outside = mkdtempSync(join(tmpdir(), "outside-"));
  writeFileSync(join(outside, "precious"), "kept");
  const scratch = openScratch(home, "ended", { pid: 11, startTime: "start of 11" });
  symlinkSync(outside, join(scratch.path, "link"));
  symlinkSync(outside, join(home, "scratch", "link"));
  writeFileSync(join(home, "scratch", "file"), "x");
  expect(sweepScratch(home, { ...options, unownedMs: -60_000 })).toEqual(["ended"]);
  expect(readFileSync(join(outside, "precious"), "utf8")).toBe("kept");
  expect(names()).toEqual(["file", "link"]);
  rmSync(outside, { recursive: true });
});

test("a home without scratch folders is nothing to sweep", () => {
  expect(sweepScratch(home, options)).toEqual([]);
  expect(existsSync(join(home, "scratch"))).toBe(false);
});
