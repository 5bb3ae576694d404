/** Remembered answers on a real disk: found again, bounded, private, and never worse than unknown. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "../base/log.ts";
import { folderMemory } from "./memory.ts";

let home = "";
let folder = "";
let warnings: string[] = [];
const log = createLog("warn", (line) => void warnings.push(line));
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "memory-"));
  folder = join(home, "answers");
  warnings = [];
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const files = () => readdirSync(folder).map((name) => join(folder, name));

test("what was saved is found again by another memory of the same folder", async () => {
  await folderMemory(folder, 4, log).save("tools|relay|alice", { tools: [1] });
  expect(await folderMemory(folder, 4, log).load("tools|relay|alice")).toEqual({ tools: [1] });
  expect(await folderMemory(folder, 4, log).load("tools|relay|bob")).toBeUndefined();
});

test("P4: [P4.6] files are 0600 in a folder of 0700, and a key does not choose the file's name", async () => {
  await folderMemory(folder, 4, log).save("../../outside", "x");
  expect(readdirSync(home)).toEqual(["answers"]);
  expect(files().map((path) => statSync(path).mode & 0o777)).toEqual([0o600]);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
});

test("no more than the bound is kept: what was refreshed longest ago goes first", async () => {
  const memory = folderMemory(folder, 2, log);
  await memory.save("old", 1);
  for (const path of files()) utimesSync(path, 1, 1);
  await memory.save("middle", 2);
  for (const path of files().filter((one) => statSync(one).mtimeMs > 5_000)) utimesSync(path, 2, 2);
  await memory.save("new", 3);
  expect(files()).toHaveLength(2);
  expect(await Promise.all(["old", "middle", "new"].map(memory.load))).toEqual([undefined, 2, 3]);
});

test("P3: [P3.5] an answer in a file of another key is not taken for one's own", async () => {
  const memory = folderMemory(folder, 4, log);
  await memory.save("scopes a", "a");
  const [path = ""] = files();
  writeFileSync(path, JSON.stringify({ key: "scopes b", value: "b" }), { mode: 0o600 });
  expect(await memory.load("scopes a")).toBeUndefined();
});

test("a damaged or open file is unknown, told in the log, and replaced by the next answer", async () => {
  const memory = folderMemory(folder, 4, log);
  await memory.save("key", 1);
  const [path = ""] = files();
  writeFileSync(path, "{");
  expect(await memory.load("key")).toBeUndefined();
  chmodSync(path, 0o644);
  expect(await memory.load("key")).toBeUndefined();
  expect(warnings).toHaveLength(2);
  await memory.save("key", 2);
  expect(await memory.load("key")).toBe(2);
});

test("an answer that cannot be written is no failure", async () => {
  writeFileSync(folder, "a file in the way");
  await folderMemory(folder, 4, log).save("key", 1);
  expect(warnings).toHaveLength(1);
});
