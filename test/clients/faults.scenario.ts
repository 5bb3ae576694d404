/**
 * What goes wrong around two real clients, and what they must not notice: the relay killed in the middle of a turn, absent
 * at the start, a token replaced during a call, the runner killed. No tool vanishes, nothing is lost, nothing is doubled;
 * measured in the relay's database and in what the models were sent.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readProcFolder, treeOf } from "../../src/base/process-table.ts";
import { until } from "../e2e/kit.ts";
import { isAlive } from "../fixtures/agents/agents.ts";
import { bareName } from "./brain.ts";
import type { ModelRequest } from "./model-log.ts";
import { watchNetwork } from "./network.ts";
import { type ClientName, clientNames, type Delivered, openRig, type Rig } from "./rig.ts";

const network = await watchNetwork();
const waitMs = 45_000;
let rig: Rig;
beforeEach(async () => {
  rig = await openRig();
});
afterEach(() => rig.close());

const sleepOrder = (seconds: number): Record<ClientName, string> => ({
  claude: `DO Bash {"command":"sleep ${seconds}; echo slept","description":"sleep"}`,
  codex: `DO exec_command {"cmd":"sleep ${seconds}; echo slept"}`,
});
const sendOrder = (body: string) => `DO relay_send_message {"to":"operator","body":"${body}"}`;

/** The tools of ours that every request must offer. */
const ourTools = ["relay_send_message", "relay_reply", "relay_check_messages", "relay_list_agents"];
const offered = ({ tools }: ModelRequest) => {
  const names = tools.map(bareName);
  return ourTools.filter((name) => names.includes(name));
};
/** Signs of trouble with MCP that a client shows its model. */
const complaint =
  /have disconnected|No such tool|is not connected|handshak|ECONNREFUSED|timed out|rejected the Auth/i;
const complaints = (client: ClientName) =>
  rig.models[client].requests.flatMap(({ items }) =>
    items.flatMap((item) =>
      item.kind !== "call" && complaint.test(item.text) ? [item.text.slice(0, 300)] : [],
    ),
  );
const bodies = (rows: Delivered[], recipient: string) =>
  rows.filter((row) => row.recipient === recipient).map(({ body }) => body);
const found = (what: string, wanted: (one: Delivered) => boolean) =>
  until(what, () => rig.delivered().find(wanted), waitMs);
/** In how many texts of the last conversation the words stand. */
const shownTimes = (client: ClientName, words: string) =>
  (rig.models[client].requests.at(-1)?.items ?? []).filter(
    (item) => item.kind === "text" && item.text.includes(words),
  ).length;

describe.each([...clientNames])("%s", (client) => {
  test("P1: the relay is killed and started again during a turn", async () => {
    const task = [sendOrder("before"), sleepOrder(3)[client], sendOrder("after"), "DO relay_list_agents"];
    await rig.headless("ada", client, { task: task.join("\n") });
    await found("the first message", ({ body }) => body === "before");
    await rig.killRelay();
    await Bun.sleep(2_000);
    await rig.startRelay();
    await found("the second message", ({ body }) => body === "after");
    await rig.send("ada", "are you there");
    const asked = await found(
      "ada has read it",
      ({ body, read_at }) => body === "are you there" && read_at !== null,
    );

    expect(bodies(rig.delivered(), "operator")).toEqual(["before", "after"]);
    expect(rig.models[client].requests.map(offered)).toSatisfy(all(ourTools.length));
    expect(complaints(client)).toEqual([]);
    expect(shownTimes(client, asked.id)).toBe(1);
  });

  test("P1: the relay is down at the start, for an agent that was there before", async () => {
    const first = await rig.headless("ada", client);
    expect(await first.stop()).toBeGreaterThanOrEqual(0);
    await rig.killRelay();
    const run = rig.world.start(rig.command("ada", client, { task: sendOrder("while down") }), {
      env: rig.person.env,
      cwd: rig.person.work,
    });
    await run.ready();
    const model = rig.models[client];
    await until("the turn is over", () => model.requests.find(({ move }) => move.kind === "say"), waitMs);
    const answer = model.requests.at(-1)?.items.findLast(({ kind }) => kind === "result");
    expect(answer).toMatchObject({ text: expect.stringContaining("queued") });
    await rig.startRelay();
    await found("it is delivered", ({ body }) => body === "while down");
    await rig.send("ada", "welcome");
    await found("ada has read it", ({ body, read_at }) => body === "welcome" && read_at !== null);
    expect(bodies(rig.delivered(), "operator")).toEqual(["while down"]);
    expect(model.requests.map(offered)).toSatisfy(all(ourTools.length));
    expect(complaints(client)).toEqual([]);
  });

  test("P2: the runner is killed during a turn and started again: the session goes on, nothing is given twice", async () => {
    const run = await rig.headless("ada", client, {
      task: `${sleepOrder(8)[client]}\n${sendOrder("later")}`,
    });
    const endpoint = await run.ready();
    const model = rig.models[client];
    await until("the tool runs", () => model.requests[0], waitMs);
    await rig.send("ada", "urgent words", "--urgent");
    await found("it is handed over", (row) => (row.handed_at ?? row.injected_at) !== null);
    const family = treeOf(run.pid, readProcFolder() ?? []).map(({ pid }) => pid);
    run.signal("SIGKILL");
    await run.ended;
    // The agent does not live on unseen; what it still asks while it ends is not the next one's.
    await until("the agent has ended with its runner", () => !family.some(isAlive) || undefined);
    const before = model.requests.length;
    const again = rig.world.start(rig.command("ada", client), { env: rig.person.env, cwd: rig.person.work });
    const { mcpUrl } = await again.ready();
    expect(mcpUrl).toBe(endpoint.mcpUrl);
    const row = await found(
      "ada has read it",
      ({ body, read_at }) => body === "urgent words" && read_at !== null,
    );
    // The first one may have read it in its last moment; then only this makes the resumed one ask its model.
    await rig.send("ada", "and now");
    await found("ada goes on", ({ body, read_at }) => body === "and now" && read_at !== null);
    const resumed = model.requests.slice(before);
    expect(resumed.map(offered)).toSatisfy(all(ourTools.length));
    // The conversation of the first run is the one that goes on.
    expect(
      resumed.at(-1)?.items.some((item) => item.kind === "text" && item.text.includes(sendOrder("later"))),
    ).toBe(true);
    expect(shownTimes(client, row.id)).toBe(1);
    expect(bodies(rig.delivered(), "operator").filter((body) => body === "later").length).toBeLessThanOrEqual(
      1,
    );
    expect(complaints(client)).toEqual([]);
  });
});

function all(length: number): (lists: string[][]) => boolean {
  return (lists) => lists.length > 0 && lists.every((list) => list.length === length);
}

test("no host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
});
