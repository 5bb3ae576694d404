/**
 * What goes wrong while a person sits at a terminal with a real client: the relay is down at the start, it is killed during a
 * turn, the runner is killed. The client shows no trouble with its tools, and every write is there as the model was told.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { readProcFolder, treeOf } from "../../src/base/process-table.ts";
import { until } from "../e2e/kit.ts";
import { isAlive } from "../fixtures/agents/agents.ts";
import { needs } from "../needs.ts";
import { watchNetwork } from "./network.ts";
import { clientNames, openRig, type Rig } from "./rig.ts";
import { askEndpoint, connected, endpointSecret, runnerOf, turnsOf } from "./supervised.ts";
import type { Terminal } from "./terminal.ts";
import { pressUntil, typeUntilSeen } from "./typing.ts";
import { complaints, delivery, missingTools, operatorGot, results, sendOrder, waitMs } from "./watched.ts";

const network = await watchNetwork();
let rig: Rig;
beforeEach(async () => {
  rig = await openRig({ env: { HTTPS_PROXY: network.proxy } });
});
afterEach(() => rig.close());

/** What the clients show a person of a server that is gone. */
const trouble = (terminal: Terminal) =>
  terminal
    .screen()
    .split("\n")
    .filter((line) => /MCP.*(fail|error|disconnect|needs auth)|failed to start/i.test(line));

/** The exit code at the shell's newest prompt, wherever the killed client has left the cursor. */
function codeShown(shell: Terminal): number | undefined {
  const found = [...shell.screen().matchAll(/^\[(\d+)\] \$/gm)].at(-1)?.[1];
  return found === undefined || found === "0" ? undefined : Number(found);
}

describe.each([...clientNames])("%s at a terminal", (client) => {
  /** A turn that the person types, to its end: what is typed into a running one is told to the model in another form. */
  const turn = async (terminal: Terminal, words: string) => {
    const before = await turnsOf(rig);
    await typeUntilSeen(rig, terminal, { client, words });
    await until("the turn is over", async () => (await turnsOf(rig)) > before || undefined, waitMs);
  };
  const enrol = async () => {
    const place = ["--relay", rig.relayUrl, "--token-file", join(rig.world.home, "operator.token"), "HOME"];
    expect((await rig.world.cli(["run", "exec", "--name", "ada", ...place, "--", "true"])).code).toBe(0);
  };

  needs("tmux")("P1: [P1.1] [P1.3] the relay is down at the start, and is killed during a turn", async () => {
    const model = rig.models[client];
    await enrol();
    await rig.killRelay();
    const terminal = await rig.terminal("ada", client, { wait: false });
    await connected(rig, terminal, client);
    await turn(terminal, "good day");
    await turn(terminal, sendOrder("while down"));
    expect(results(rig, client)).toEqual([expect.stringContaining(`"queued":true`)]);
    expect(trouble(terminal)).toEqual([]);
    await rig.startRelay();
    await delivery(rig, "the first write", ({ body }) => body === "while down");

    const [killed, back] = [model.hold("relay killed"), model.hold("relay back")];
    await rig.send("ada", `${sendOrder("relay killed")}\n${sendOrder("relay back")}`);
    await until("a turn runs", () => killed.reached() || undefined, waitMs);
    await rig.killRelay();
    killed.go();
    await until("the second write is told of", () => back.reached() || undefined, waitMs);
    expect(results(rig, client).at(-1)).toContain(`"queued":true`);
    expect(trouble(terminal)).toEqual([]);
    await rig.startRelay();
    back.go();
    await delivery(rig, "the last write", ({ body }) => body === "relay back");
    await delivery(rig, "ada has read", ({ recipient, read_at }) => recipient === "ada" && read_at !== null);

    expect(operatorGot(rig)).toEqual(["while down", "relay killed", "relay back"]);
    expect(missingTools(model.requests)).toEqual(model.requests.map(() => []));
    expect(complaints(rig, client)).toEqual([]);
    expect(trouble(terminal)).toEqual([]);
  });

  needs("tmux", "bash")(
    "P2: [P1.10] the runner is killed: the person's terminal is theirs again, and the same command goes on",
    async () => {
      const model = rig.models[client];
      const shell = await rig.shell("ada");
      await rig.terminal("ada", client, { at: shell });
      const first = runnerOf(rig);
      const secret = endpointSecret(rig);
      await connected(rig, shell, client);
      await turn(shell, "good day");
      await turn(shell, sendOrder("told sent"));
      expect(results(rig, client)).toEqual([expect.stringContaining(`"queued":false`)]);
      const held = model.hold("not called yet");
      await typeUntilSeen(rig, shell, { client, words: sendOrder("not called yet") });
      await until("a turn runs", () => held.reached() || undefined, waitMs);
      const before = model.requests.length;
      const family = treeOf(first.pid, readProcFolder() ?? []).map(({ pid }) => pid);
      process.kill(first.pid, "SIGKILL");
      // What the client draws while it ends may cover the prompt: whoever presses Enter sees it.
      const code = await pressUntil(shell, "Enter", () => codeShown(shell));
      // The client does not live on unseen; while it ends it must not get the answer.
      await until("all of it has ended", () => !family.some(isAlive) || undefined, waitMs);
      held.go();
      expect(code).toBe(137);

      await rig.terminal("ada", client, { at: shell });
      const again = runnerOf(rig);
      expect([again.pid === first.pid, again.mcpUrl]).toEqual([false, first.mcpUrl]);
      expect(endpointSecret(rig) === secret).toBe(true);
      expect(await askEndpoint(first.mcpUrl, secret)).toBe(200);
      await connected(rig, shell, client);
      await typeUntilSeen(rig, shell, { client, words: "go on" });
      await delivery(rig, "the last write", ({ body }) => body === "not called yet");
      await rig.send("ada", "and now");
      await delivery(rig, "ada wakes", ({ body, read_at }) => body === "and now" && read_at !== null);

      expect(operatorGot(rig)).toEqual(["told sent", "not called yet"]);
      const resumed = model.requests.slice(before);
      expect(missingTools(resumed)).toEqual(resumed.map(() => []));
      expect(complaints(rig, client)).toEqual([]);
      expect(trouble(shell)).toEqual([]);
    },
  );
});

test("no host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
});
