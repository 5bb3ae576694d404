/**
 * What a person has set up stays as it is, and what their machine lacks is made up for: their own instructions, their
 * HTTP proxy, and a Claude Code that other programs cannot speak to.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../e2e/kit.ts";
import { needs } from "../needs.ts";
import type { ModelRequest } from "./model-log.ts";
import { type NetworkWatch, watchNetwork } from "./network.ts";
import { type ClientName, clientNames, openRig, type Rig } from "./rig.ts";
import { typeUntilSeen } from "./typing.ts";

const waitMs = 45_000;
let network: NetworkWatch;
let rig: Rig;
beforeEach(async () => {
  network = await watchNetwork();
});
afterEach(async () => {
  await rig.close();
  const tried = network.tried();
  network.close();
  expect(tried).toEqual([]);
});

const resultsIn = ({ items }: ModelRequest) =>
  items.flatMap((item) => (item.kind === "result" ? [item.text] : []));
/** The first result of a tool that a client's model was shown. */
const firstResult = (client: ClientName) =>
  until("a tool has answered", () => rig.models[client].requests.flatMap(resultsIn)[0], waitMs);

describe("codex: the person's own instructions and ours are both in the model's request", () => {
  const firstRequest = () => until("the model is asked", () => rig.models.codex.requests[0], waitMs);
  beforeEach(async () => {
    rig = await openRig({ env: { HTTPS_PROXY: network.proxy } });
    const path = join(rig.person.home, ".codex", "config.toml");
    writeFileSync(path, `developer_instructions = "Speak plainly."\n${readFileSync(path, "utf8")}`);
  });

  test("headless", async () => {
    await rig.headless("ada", "codex", { task: "begin" });
    expect((await firstRequest()).raw).toContain(
      "Speak plainly.\\n\\nYou are the agent 'ada' on Agent Relay",
    );
  });

  needs("tmux")("at a terminal, also when an option has the person's", async () => {
    const args = ["-c", "developer_instructions=Be brief."];
    const terminal = await rig.terminal("ada", "codex", { args });
    await typeUntilSeen(rig, terminal, { client: "codex", words: "begin" });
    expect((await firstRequest()).raw).toContain("Be brief.\\n\\nYou are the agent 'ada' on Agent Relay");
  });
});

describe.each([...clientNames])("%s behind the person's HTTP proxy", (client) => {
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
  const showOrder: Record<ClientName, string> = {
    claude: 'DO Bash {"command":"echo $HTTPS_PROXY $NO_PROXY","description":"show"}',
    codex: 'DO exec_command {"cmd":"echo $HTTPS_PROXY $NO_PROXY"}',
  };

  test("the proxy stays the agent's way to the world, and is not asked for anything on loopback", async () => {
    const proxies = Object.fromEntries(names.map((name) => [name, network.proxy]));
    // What the person excepts is not loopback: that is added.
    rig = await openRig({ env: { ...proxies, NO_PROXY: "intranet.example" } });
    const order = 'DO relay_send_message {"to":"operator","body":"here I am"}';
    await rig.headless("ada", client, { task: `${showOrder[client]}\n${order}` });
    expect(await firstResult(client)).toContain(`${network.proxy} intranet.example,127.0.0.1,localhost,::1`);
    const sent = () => rig.delivered().find(({ recipient }) => recipient === "operator");
    await until("the message is at the relay", sent, waitMs);
    expect(network.asked()).toEqual([]);
  });
});

describe("claude at a terminal without an inbox of its own", () => {
  const busy = 'DO Bash {"command":"sleep 2; echo slept","description":"sleep"}';

  needs("tmux")(
    "P8: what comes in is given by the hook at the end of the turn, and read with it",
    async () => {
      rig = await openRig();
      const file = join(rig.person.home, "no-folder");
      writeFileSync(file, "");
      // Where Claude Code would put its socket, first and second choice: a file, in which nothing can be made.
      Object.assign(rig.person.env, { XDG_RUNTIME_DIR: file, TERMUX_VERSION: "1", PREFIX: file });
      const terminal = await rig.terminal("ada", "claude");
      await until(
        "it says that it has none",
        () => /Cross-session messaging is off/.test(terminal.screen()) || undefined,
        waitMs,
      );
      await rig.send("ada", "sent while it is idle");
      await typeUntilSeen(rig, terminal, { client: "claude", words: busy });
      await rig.send("ada", "sent while it works", "--urgent");
      const read = () => {
        const rows = rig.delivered().filter(({ read_at }) => read_at !== null);
        return rows.length === 2 ? rows : undefined;
      };
      const rows = await until("both are read", read, waitMs).catch((error: unknown) => {
        throw new Error(`${error}: the screen is ${terminal.screen()}`);
      });
      for (const { id, injected_at, read_at } of rows) {
        const [shown] = rig.seenBy("claude", id);
        expect(shown?.raw).toContain("Stop hook feedback:");
        expect(injected_at).toBeGreaterThanOrEqual(shown?.at ?? Number.NaN);
        expect(read_at).toBeGreaterThanOrEqual(injected_at ?? Number.NaN);
      }
    },
  );
});
