/** Which programs are too old, and that a person is told what to do. */
import { expect, test } from "bun:test";
import type { ProviderName } from "./launch.ts";
import { tooOld, versionIn } from "./version.ts";

const versions: [string, readonly number[] | undefined][] = [
  ["2.1.330 (Claude Code)", [2, 1, 330]],
  ["codex-cli 0.169.0", [0, 169, 0]],
  ["v1.2.3-beta.4\n", [1, 2, 3]],
  ["no version here", undefined],
  ["1.2", undefined],
];
test.each(versions)("%j", (text, version) => {
  expect(versionIn(text)).toEqual(version as never);
});

const rows: [ProviderName, string, boolean][] = [
  ["claude", "2.1.223 (Claude Code)", true],
  ["claude", "1.9.999", true],
  ["claude", "2.1.224", false],
  ["claude", "3.0.0", false],
  ["codex", "codex-cli 0.99.9", true],
  ["codex", "codex-cli 1.0.0", false],
  ["claude", "a nightly build", false],
  ["exec", "0.0.1", false],
];
test.each(rows)("%s %s", (provider, text, old) => {
  expect(tooOld(provider, text) !== undefined).toBe(old);
});

test("it is named, with what was wanted and what to do", () => {
  expect(tooOld("claude", "2.0.1")).toMatch(/claude 2\.0\.1 is older than 2\.1\.224.*npm install -g/);
});
