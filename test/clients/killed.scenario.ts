/**
 * The runner is killed in the middle of a turn of a real client and its supervisor starts it again: the same address and
 * secret within 10 s, the conversation goes on with all its tools, and every write is there as the model was told.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readProcFolder, treeOf } from "../../src/base/process-table.ts";
import { until } from "../e2e/kit.ts";
import { isAlive } from "../fixtures/agents/agents.ts";
import { watchNetwork } from "./network.ts";
import { clientNames, openRig, type Rig } from "./rig.ts";
import { askEndpoint, endpointSecret, type Supervised, superviseRun } from "./supervised.ts";
import { complaints, delivery, missingTools, operatorGot, results, sendOrder, waitMs } from "./watched.ts";

const network = await watchNetwork();
/** Claude Code gives its tools up 14 s after it has lost them. */
const backMs = 10_000;
let rig: Rig;
let supervised: Supervised | undefined;
beforeEach(async () => {
  rig = await openRig();
});
afterEach(async () => {
  await supervised?.stop();
  supervised = undefined;
  await rig.close();
});

describe.each([...clientNames])("%s", (client) => {
  test("P2: the runner is killed during a turn: its supervisor brings it back, and each write is there once", async () => {
    const model = rig.models[client];
    const [second, third] = [model.hold("told queued"), model.hold("not called yet")];
    const task = ["told sent", "told queued", "not called yet"].map(sendOrder).join("\n");
    supervised = superviseRun(rig, rig.command("ada", client, { task }));
    const first = await supervised.ready(0);
    const secret = endpointSecret(rig);
    await until("the first write is told of", () => second.reached() || undefined, waitMs);
    expect(results(rig, client).at(-1)).toContain(`"queued":false`);
    await rig.killRelay();
    second.go();
    await until("the second write is told of", () => third.reached() || undefined, waitMs);
    expect(results(rig, client).at(-1)).toContain(`"queued":true`);
    const before = model.requests.length;

    const family = treeOf(first.pid, readProcFolder() ?? []).map(({ pid }) => pid);
    const killedAt = performance.now();
    process.kill(first.pid, "SIGKILL");
    await until("it is gone", () => !isAlive(first.pid) || undefined);
    const answered = async () => ((await askEndpoint(first.mcpUrl, secret)) === 200 ? true : undefined);
    await until("the endpoint answers again", answered, waitMs);
    const ms = Math.round(performance.now() - killedAt);
    console.log(`${client}: the endpoint answered ${ms} ms after the kill`);
    expect(ms).toBeLessThan(backMs);
    const again = await supervised.ready(1);
    expect(again.mcpUrl).toBe(first.mcpUrl);
    expect(endpointSecret(rig) === secret).toBe(true);
    expect(await askEndpoint(first.mcpUrl, `${secret}x`)).toBe(401);
    expect(family.filter(isAlive)).toEqual([]);
    third.go();
    await rig.startRelay();

    await delivery(rig, "the third write", ({ body }) => body === "not called yet");
    await until("the task is over", () => model.requests.find(({ move }) => move.kind === "say"), waitMs);
    await rig.send("ada", "and now");
    await delivery(rig, "ada goes on", ({ body, read_at }) => body === "and now" && read_at !== null);
    // One it was told is sent, one it was told is queued, one it had not called when it was killed.
    expect(operatorGot(rig)).toEqual(["told sent", "told queued", "not called yet"]);
    const resumed = model.requests.slice(before);
    expect(missingTools(resumed)).toEqual(resumed.map(() => []));
    expect(missingTools(resumed)).not.toEqual([]);
    // It is the same conversation, and the supervisor's second start did not give the task again.
    const tasks = resumed.at(-1)?.items.filter((item) => item.kind === "text" && item.text.includes(task));
    expect(tasks).toHaveLength(1);
    expect(complaints(rig, client)).toEqual([]);
  });
});

test("no host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
});
