/**
 * Both real clients as a person uses them: `agent-relay run` at a terminal. The session is the usual one; messages wake it,
 * urgent ones come behind the running tool, and what the person types goes on to work.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { until } from "../e2e/kit.ts";
import { needs } from "../needs.ts";
import { followsResult } from "./model-log.ts";
import { watchNetwork } from "./network.ts";
import { type ClientName, clientNames, type Delivered, openRig, type Rig } from "./rig.ts";
import type { Terminal } from "./terminal.ts";
import { typeUntilSeen } from "./typing.ts";
import { delivery, missingTools, waitMs } from "./watched.ts";

const network = await watchNetwork();
let rig: Rig;
beforeEach(async () => {
  rig = await openRig({ env: { HTTPS_PROXY: network.proxy } });
});
afterEach(() => rig.close());

const sleepOrder: Record<ClientName, string> = {
  claude: 'DO Bash {"command":"sleep 4; echo slept","description":"sleep"}',
  codex: 'DO exec_command {"cmd":"sleep 4; echo slept"}',
};

/** A row of an inbox as soon as there is one; the screen says why when there is none. */
const row = (terminal: Terminal, what: string, wanted: (one: Delivered) => boolean) =>
  delivery(rig, what, wanted).catch((error: unknown) => {
    throw new Error(`${error}: the screen is ${terminal.screen()}`);
  });

/** The id of what ada was asked, as soon as the operator has her answer to it. */
async function answered(terminal: Terminal): Promise<string> {
  const answer = await row(terminal, "the operator has the answer", (one) => one.recipient === "operator");
  const asked = rig.delivered().find(({ recipient }) => recipient === "ada")?.id ?? "";
  expect(answer.reply_to).toBe(asked);
  return asked;
}

describe.each([...clientNames])("%s at a terminal", (client) => {
  needs("tmux")(
    "P8: an idle session wakes by a message and answers it; the person sees it and goes on",
    async () => {
      const terminal = await rig.terminal("ada", client);
      await rig.send("ada", "what is up", "--expects-reply");
      const asked = await answered(terminal);
      expect(rig.seenBy(client, asked)).not.toEqual([]);
      await until(
        "its turn is over",
        async () => ((await rig.state("ada")) === "idle" ? true : undefined),
        waitMs,
      );
      await typeUntilSeen(rig, terminal, { client, words: "typed by the person" });
    },
  );

  needs("tmux")(
    "P8: what waits when the session starts is its first turn, and our tools are in it",
    async () => {
      const before = await rig.headless("ada", client);
      await before.stop();
      await rig.send("ada", "you were away", "--expects-reply");
      const terminal = await rig.terminal("ada", client, { wait: false });
      const asked = await answered(terminal);
      expect(missingTools(rig.seenBy(client, asked).slice(0, 1))).toEqual([[]]);
    },
  );

  needs("tmux")(
    "P8: busy: an urgent message stands right behind the result of the running tool",
    async () => {
      const terminal = await rig.terminal("ada", client);
      await terminal.type(sleepOrder[client]);
      const model = rig.models[client];
      await until("the tool runs", () => rig.seenBy(client, sleepOrder[client])[0], waitMs);
      await rig.send("ada", "look at this now", "--urgent");
      const read = await row(terminal, "ada has read it", ({ read_at }) => read_at !== null);
      const [shown] = rig.seenBy(client, read.id);
      expect(followsResult(shown?.items ?? [], "slept", read.id)).toBe(true);
      expect(model.requests.length).toBeGreaterThan(1);
    },
  );
});

test("no other host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
  // Codex's terminal asks for its announcements at every start; an HTTPS proxy is the only switch that it has for that.
  expect(network.asked().filter((asked) => asked !== "CONNECT raw.githubusercontent.com:443")).toEqual([]);
});
