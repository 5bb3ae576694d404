/** Both instructions for the model, the person's and ours, in every way in which Codex is started. */
import { describe, expect, test } from "bun:test";
import type { LaunchPlan } from "../launch.ts";
import { played, type Script } from "./played-server.ts";

const ours = "You are ada.";
const theirs: Script = { "config/read": { config: { developer_instructions: "Speak plainly." } } };
const silent: Script = { "config/read": { config: { developer_instructions: null } } };
const refused: Script = { "config/read": "there is no such method" };

/** The instructions among the arguments of an app-server, as TOML. */
function instructionsIn(command: readonly string[]): string[] {
  return command.filter((argument) => argument.startsWith("developer_instructions="));
}
const commandOf = (plan: LaunchPlan) => (plan.status === "ready" ? plan.command : []);

const rows: [string, Script, string][] = [
  ["the person has some: ours stand behind them", theirs, '"Speak plainly.\\n\\nYou are ada."'],
  ["the person has none: ours alone", silent, '"You are ada."'],
  ["Codex does not say: ours alone", refused, '"You are ada."'],
];
describe.each(rows)("%s", (_, script, wanted) => {
  test("headless", async () => {
    const at = played({ script, instructions: ours });
    expect(instructionsIn(commandOf(await at.start()))).toEqual([`developer_instructions=${wanted}`]);
  });

  test("at a terminal, for the app-server beside it", async () => {
    const at = played({ script, instructions: ours, mode: "terminal" });
    await at.start();
    expect(at.servers.map(({ command }) => instructionsIn(command))).toEqual([
      [],
      [`developer_instructions=${wanted}`],
    ]);
  });
});

test("who is asked has no endpoint of ours, is asked for the folder, and is ended", async () => {
  const at = played({ script: theirs, instructions: ours });
  await at.start();
  const [asked] = at.servers;
  expect(asked?.stopped).toBe(true);
  expect(asked?.command.join(" ")).not.toContain("mcp_servers");
  expect(at.calls.find(({ method }) => method === "config/read")?.params).toEqual({ cwd: "/work" });
});

test("without anything to add nobody is asked", async () => {
  const at = played();
  await at.start();
  expect(at.servers).toEqual([]);
});
