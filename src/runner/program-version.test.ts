/** A program is asked for its version once for each of its files. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programVersion } from "./program-version.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "agent-relay-version-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("once, and again after an update; a damaged file of answers is no answer", async () => {
  const home = join(folder, "home");
  const program = join(folder, "claude");
  writeFileSync(program, "one");
  let asked = 0;
  const version = () =>
    programVersion(home, program, async () => {
      asked += 1;
      return `${asked}.0.0`;
    });
  expect([await version(), await version()]).toEqual(["1.0.0", "1.0.0"]);
  utimesSync(program, 1, 1);
  expect(await version()).toBe("2.0.0");
  writeFileSync(join(home, "versions.json"), "{", { mode: 0o600 });
  expect(await version()).toBe("3.0.0");
});

test("a program that is not there, fails, or does not answer has none", async () => {
  const program = join(folder, "silent");
  writeFileSync(program, "");
  expect(await programVersion(folder, join(folder, "none"), async () => "1.0.0")).toBeUndefined();
  expect(await programVersion(folder, program, () => Promise.reject(new Error("no")))).toBeUndefined();
  expect(await programVersion(folder, program, async () => undefined)).toBeUndefined();
});
