/** Settings of the machine: by profile, member by member, and a mistake is named. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig, settingsFor } from "./settings.ts";

let home = "";
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "agent-relay-config-"));
});
afterAll(() => rmSync(home, { recursive: true }));
const write = (text: string) => writeFileSync(join(home, "config.toml"), text);

test("without a file there are none", () => {
  expect(settingsFor(readConfig(join(home, "none")), "claude", "default")).toEqual({});
});

test("a profile's win over those for all, member by member; environments are joined", () => {
  write(`
[claude]
model = "opus"
approval = "plan"
env = { A = "1", B = "1" }
[profiles.reviewer.claude]
model = "haiku"
args = ["--verbose"]
env = { B = "2" }
`);
  const config = readConfig(home);
  expect(settingsFor(config, "claude", "reviewer")).toEqual({
    ...{ model: "haiku", approval: "plan", args: ["--verbose"], env: { A: "1", B: "2" } },
  });
  expect(settingsFor(config, "claude", "default")).toMatchObject({ model: "opus", env: { A: "1", B: "1" } });
  expect(settingsFor(config, "codex", "reviewer")).toEqual({});
});

const faults: [string, string][] = [
  ["[claude\n", "is not TOML"],
  ['[claude]\nmodle = "x"', "claude"],
  ["[codex]\ntoolOutputTokens = 0.5", "codex.toolOutputTokens"],
  ['relay = "http://attacker.example"', "relay"],
];
test.each(faults)("a mistake is named with its file: %j", (text, named) => {
  write(text);
  expect(() => readConfig(home)).toThrow(join(home, "config.toml"));
  expect(() => readConfig(home)).toThrow(named);
});
