/** The runner's info file on a real disk. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  isRunnerAlive,
  listInfoFiles,
  type RunnerInfo,
  readInfoFile,
  removeInfoFile,
  writeInfoFile,
} from "./info-file.ts";

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "info-file-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const info: RunnerInfo = {
  pid: 812,
  startTime: "boot/1",
  startedAt: "2026-01-01T00:00:00.000Z",
  agentName: "ada",
  agentId: "agent-1",
  relayUrl: "http://127.0.0.1:4850",
  relayId: "relay-1",
  provider: "exec",
  cwd: "/work",
  mode: "proxy",
  mcpUrl: "http://127.0.0.1:41000/mcp",
  controlUrl: "http://127.0.0.1:41001",
  child: { pid: 813, group: 813, startTime: "boot/2" },
};

test("what is written is read, 0600, with no other file left", () => {
  writeInfoFile(home, info);
  expect(readInfoFile(home)).toEqual(info);
  expect(readdirSync(home)).toEqual(["runner.json"]);
  expect(statSync(join(home, "runner.json")).mode & 0o777).toBe(0o600);
});

test("a child that shares the runner's group has none of its own", () => {
  writeInfoFile(home, { ...info, child: { pid: 813, group: undefined, startTime: "boot/2" } });
  expect(readInfoFile(home)?.child).toEqual({ pid: 813, group: undefined, startTime: "boot/2" });
});

test("a later write replaces the earlier one, a removed file is gone", () => {
  writeInfoFile(home, info);
  writeInfoFile(home, { ...info, pid: 900 });
  expect(readInfoFile(home)?.pid).toBe(900);
  removeInfoFile(home);
  removeInfoFile(home);
  expect(readInfoFile(home)).toBeUndefined();
});

describe("a file that is not one of ours", () => {
  const texts = [
    "",
    "{",
    "null",
    JSON.stringify({ pid: 1 }),
    JSON.stringify({ ...info, child: { pid: -1, startTime: "x" } }),
    JSON.stringify({ ...info, child: { pid: 813, group: 1, startTime: "x" } }),
  ];
  test.each(texts)("%j is as good as none", (text) => {
    writeFileSync(join(home, "runner.json"), text, { mode: 0o600 });
    expect(readInfoFile(home)).toBeUndefined();
  });

  test("one that others may read is refused", () => {
    writeInfoFile(home, info);
    chmodSync(join(home, "runner.json"), 0o644);
    expect(() => readInfoFile(home)).toThrow("others may read it");
  });
});

test("a runner is alive while its number belongs to the process that wrote the file", () => {
  expect(isRunnerAlive(info, (pid) => (pid === 812 ? "boot/1" : undefined))).toBe(true);
  expect(isRunnerAlive(info, () => "boot/9")).toBe(false);
  expect(isRunnerAlive(info, () => undefined)).toBe(false);
});

test("all runners of a home are listed, less those whose file others may read", () => {
  expect(listInfoFiles(home)).toEqual([]);
  mkdirSync(join(home, "runners", "relay-1", "empty"), { recursive: true });
  writeFileSync(join(home, "runners", "relay-1", "ada.json"), "{}");
  writeInfoFile(join(home, "runners", "relay-1", "one"), info);
  writeInfoFile(join(home, "runners", "relay-2", "two"), { ...info, agentName: "bob" });
  writeInfoFile(join(home, "runners", "relay-2", "open"), { ...info, agentName: "eve" });
  chmodSync(join(home, "runners", "relay-2", "open", "runner.json"), 0o644);
  expect(listInfoFiles(home).map(({ agentName }) => agentName)).toEqual(["ada", "bob"]);
});
