/**
 * The keys and the size of a person's terminal, with the real clients in it: what the client makes of them goes on to
 * work, the runner neither takes them nor dies of them, and messages that come meanwhile arrive afterwards.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readProcFolder, treeOf } from "../../src/base/process-table.ts";
import { until } from "../e2e/kit.ts";
import { needs } from "../needs.ts";
import { watchNetwork } from "./network.ts";
import { type ClientName, clientNames, type Delivered, openRig, type Rig } from "./rig.ts";
import { codeAtPrompt, type Terminal } from "./terminal.ts";
import { pressUntil, typeUntilSeen } from "./typing.ts";

const network = await watchNetwork();
const waitMs = 45_000;
let rig: Rig;
beforeEach(async () => {
  rig = await openRig({ env: { HTTPS_PROXY: network.proxy } });
});
afterEach(() => rig.close());

/** Runs longer than a test, and says that it has begun. */
const longOrder: Record<ClientName, string> = {
  claude: 'DO Bash {"command":"touch begun; sleep 70; echo slept","description":"sleep"}',
  codex: 'DO exec_command {"cmd":"touch begun; sleep 70; echo slept","yield_time_ms":30000}',
};
const idle = () =>
  until("ada is idle", async () => ((await rig.state("ada")) === "idle" ? true : undefined), waitMs);

/** The only message, once the agent has read it. */
async function readBy(terminal: Terminal): Promise<Delivered> {
  const row = () => rig.delivered().find(({ read_at }) => read_at !== null);
  return until("ada has read it", row, waitMs).catch((error: unknown) => {
    throw new Error(`${error}: the screen is ${terminal.screen()}`);
  });
}

/** How often a text stands in the conversation that the model saw last. */
function timesShown(client: ClientName, words: string): number {
  const items = rig.models[client].requests.at(-1)?.items ?? [];
  return items.filter((item) => item.kind === "text" && item.text.includes(words)).length;
}

/** Presses Ctrl-C as often as the client wants it to end: the exit code at the prompt. */
async function quit(shell: Terminal): Promise<number> {
  const asks = () => (/again to exit/i.test(shell.screen()) ? "asks" : undefined);
  const first = await pressUntil(shell, "C-c", () => codeAtPrompt(shell) ?? asks());
  return first === "asks" ? pressUntil(shell, "C-c", () => codeAtPrompt(shell)) : first;
}

describe.each([...clientNames])("%s at a terminal", (client) => {
  needs("tmux")("P8: the terminal is made wider and narrower: the client draws anew", async () => {
    const terminal = await rig.terminal("ada", client);
    // One word that a line of the first width does not hold.
    const word = "w".repeat(150);
    const widest = () => Math.max(0, ...(terminal.screen().match(/w+/g) ?? []).map((run) => run.length));
    for (let attempt = 0; attempt < 5 && widest() < 100; attempt += 1) {
      terminal.press("C-u");
      terminal.write(word);
      await until("it is drawn", () => (widest() >= 100 ? true : undefined), 8_000).catch(() => undefined);
    }
    expect(widest()).toBeLessThan(150);
    terminal.resize(170, 40);
    await until("it is drawn in one line", () => (widest() === 150 ? true : undefined), waitMs);
    terminal.resize(60, 20);
    await until("it is drawn in three", () => (widest() <= 60 ? true : undefined), waitMs);
    terminal.press("Enter");
    await until("the model has it", () => rig.seenBy(client, word)[0], waitMs);
  });

  needs("tmux", "bash")(
    "P8: Ctrl-C ends the turn and not the runner; what came meanwhile arrives; then it ends the client, in order",
    async () => {
      const shell = await rig.shell("ada");
      const atPrompt = shell.modes();
      await rig.terminal("ada", client, { at: shell });
      expect(shell.modes()).not.toBe(atPrompt);
      await typeUntilSeen(rig, shell, { client, words: longOrder[client] });
      await until("the tool runs", () => existsSync(join(rig.person.work, "begun")) || undefined, waitMs);
      await rig.send("ada", "sent during the turn");
      await pressUntil(shell, "C-c", () => (/interrupted/i.test(shell.screen()) ? true : undefined));
      const { id } = await readBy(shell);
      await idle();
      expect(timesShown(client, id)).toBe(1);
      expect(await quit(shell)).toBe(0);
      expect(shell.modes()).toBe(atPrompt);
    },
  );

  needs("tmux", "bash")(
    "P8: Ctrl-Z stops it; what is sent meanwhile arrives after fg; how the client ends is how the runner does",
    async () => {
      const shell = await rig.shell("ada");
      await rig.terminal("ada", client, { at: shell });
      // 128 and SIGTSTP: the shell has the terminal back.
      expect(await pressUntil(shell, "C-z", () => codeAtPrompt(shell))).toBe(148);
      await rig.send("ada", "sent while it is stopped");
      expect(rig.delivered().map(({ read_at }) => read_at)).toEqual([null]);
      await shell.type("fg");
      const { id } = await readBy(shell);
      await idle();
      expect(timesShown(client, id)).toBe(1);
      process.kill(clientIn(shell, client), "SIGKILL");
      // A client that is killed leaves its screen as it was: the prompt stands somewhere in it.
      const shown = () => (/\[137\] \$/.test(shell.screen()) ? true : undefined);
      await until("the shell says how it ended", shown, waitMs);
    },
  );
});

test("no other host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
  expect(network.asked().filter((asked) => asked !== "CONNECT raw.githubusercontent.com:443")).toEqual([]);
});

/** The client's own program in that shell: it is in the runner's process group, which its helpers are not. */
function clientIn(shell: Terminal, client: ClientName): number {
  const rows = readProcFolder() ?? [];
  const tree = shell.pids().flatMap((pid) => treeOf(pid, rows));
  const own = tree.find(({ pid, group }) => pid !== group && nameOf(pid) === client);
  if (own === undefined) throw new Error(`Find ${client} in the shell: it is not there`);
  return own.pid;
}

function nameOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}
