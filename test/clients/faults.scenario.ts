/**
 * What goes wrong around two real clients, and what they must not notice: the relay killed in the middle of a turn, absent
 * at the start, a token replaced during a call, the runner killed. No tool vanishes, nothing is lost, nothing is doubled;
 * measured in the relay's database and in what the models were sent.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readProcFolder, treeOf } from "../../src/base/process-table.ts";
import { until } from "../e2e/kit.ts";
import { isAlive } from "../fixtures/agents/agents.ts";
import { watchNetwork } from "./network.ts";
import { type ClientName, clientNames, type Delivered, openRig, type Rig } from "./rig.ts";
import { complaints, delivery, missingTools, operatorGot, sendOrder, waitMs } from "./watched.ts";

const network = await watchNetwork();
let rig: Rig;
beforeEach(async () => {
  rig = await openRig();
});
afterEach(() => rig.close());

const sleepOrder = (seconds: number): Record<ClientName, string> => ({
  claude: `DO Bash {"command":"sleep ${seconds}; echo slept","description":"sleep"}`,
  codex: `DO exec_command {"cmd":"sleep ${seconds}; echo slept"}`,
});
const found = (what: string, wanted: (one: Delivered) => boolean) => delivery(rig, what, wanted);
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

    expect(operatorGot(rig)).toEqual(["before", "after"]);
    expect(missingTools(rig.models[client].requests)).toSatisfy(none);
    expect(complaints(rig, client)).toEqual([]);
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
    expect(answer).toMatchObject({ text: expect.stringContaining(`"queued":true`) });
    await rig.startRelay();
    await found("it is delivered", ({ body }) => body === "while down");
    await rig.send("ada", "welcome");
    await found("ada has read it", ({ body, read_at }) => body === "welcome" && read_at !== null);
    expect(operatorGot(rig)).toEqual(["while down"]);
    expect(missingTools(model.requests)).toSatisfy(none);
    expect(complaints(rig, client)).toEqual([]);
  });

  test("P8: the model does not answer in a turn: the turn goes on when it does, and what came meanwhile is read", async () => {
    await rig.headless("ada", client);
    const model = rig.models[client];
    model.answering(false);
    await rig.send("ada", sendOrder("asked while it was away"));
    await until("the client has tried again", () => model.refused() > 1 || undefined, waitMs);
    await rig.send("ada", "and this");
    expect(rig.seenBy(client, "asked while it was away")).toEqual([]);
    model.answering(true);
    await found("its write", ({ body }) => body === "asked while it was away");
    await found("the later message is read", ({ body, read_at }) => body === "and this" && read_at !== null);
    expect(operatorGot(rig)).toEqual(["asked while it was away"]);
    expect(missingTools(model.requests)).toSatisfy(none);
    expect(complaints(rig, client)).toEqual([]);
  });

  test("P2: the runner is killed during a turn and started again: the session goes on, nothing is given twice", async () => {
    const model = rig.models[client];
    const later = model.hold("later");
    const start = (task?: string) =>
      rig.world.start(rig.command("ada", client, task === undefined ? {} : { task }), {
        env: rig.person.env,
        cwd: rig.person.work,
      });
    const run = start(sendOrder("later"));
    const endpoint = await run.ready();
    await until("the turn runs", () => later.reached() || undefined, waitMs);
    await rig.send("ada", "urgent words", "--urgent");
    await found("it is handed over", (row) => (row.handed_at ?? row.injected_at) !== null);
    const family = treeOf(run.pid, readProcFolder() ?? []).map(({ pid }) => pid);
    run.signal("SIGKILL");
    await run.ended;
    // The agent does not live on unseen, and never gets that answer.
    await until("the agent has ended with its runner", () => !family.some(isAlive) || undefined);
    const before = model.requests.length;
    later.go();
    const { mcpUrl } = await start().ready();
    expect(mcpUrl).toBe(endpoint.mcpUrl);
    const row = await found(
      "ada has read it",
      ({ body, read_at }) => body === "urgent words" && read_at !== null,
    );
    await found("the rest of the task is done", ({ body }) => body === "later");
    const resumed = model.requests.slice(before);
    expect(missingTools(resumed)).toSatisfy(none);
    // The conversation of the first run is the one that goes on.
    expect(
      resumed.at(-1)?.items.some((item) => item.kind === "text" && item.text.includes(sendOrder("later"))),
    ).toBe(true);
    expect(shownTimes(client, row.id)).toBe(1);
    // Only the run that goes on with the task got the answer that calls for it.
    expect(operatorGot(rig)).toEqual(["later"]);
    expect(complaints(rig, client)).toEqual([]);
  });
});

/** There was a request, and none lacked a tool. */
function none(missing: string[][]): boolean {
  return missing.length > 0 && missing.flat().length === 0;
}

test("no host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
});
