/**
 * Two agents of real clients talk over the relay: tools are listed, a message goes out by a tool, an idle recipient wakes
 * and answers, a busy one gets an urgent message right behind its tool's result, and every receipt follows its event.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { until } from "../e2e/kit.ts";
import { followsResult } from "./model-log.ts";
import { watchNetwork } from "./network.ts";
import { type ClientName, type Delivered, openRig, type Rig } from "./rig.ts";

const network = await watchNetwork();
const waitMs = 40_000;
let rig: Rig;
beforeEach(async () => {
  rig = await openRig();
});
afterEach(() => rig.close());

const other: Record<ClientName, ClientName> = { claude: "codex", codex: "claude" };
const sleepOrder: Record<ClientName, string> = {
  claude: 'DO Bash {"command":"sleep 3; echo slept","description":"sleep"}',
  codex: 'DO exec_command {"cmd":"sleep 3; echo slept"}',
};
const toolPrefix: Record<ClientName, string> = { claude: "mcp__agent-relay__", codex: "mcp__agent_relay__" };

const found = (what: string, wanted: (one: Delivered) => boolean) =>
  until(what, () => rig.delivered().find(wanted), waitMs);
/** The steps in their order; `handed` may be skipped, because a later step stands for it. */
const inOrder = ({ created_at, handed_at, injected_at, read_at }: Delivered) => [
  created_at,
  ...(handed_at === null ? [] : [handed_at]),
  ...[injected_at, read_at],
];
const rising = (times: (number | null | undefined)[]) =>
  times.every((at, index) => typeof at === "number" && at >= (times[index - 1] ?? 0));

describe.each(["claude", "codex"] as const)("%s writes, the other one answers", (client) => {
  test("P8: idle agents wake, and the sender reads the answer", async () => {
    await rig.headless("bob", other[client]);
    const order = `DO relay_send_message {"to":"bob","body":"what is up","expectsReply":true}`;
    await rig.headless("ada", client, { task: order });
    const asked = await found("bob's inbox has it", ({ recipient }) => recipient === "bob");
    const answer = await found("ada has the answer", ({ reply_to }) => reply_to === asked.id);
    const read = await found("ada has read it", ({ id, read_at }) => id === answer.id && read_at !== null);

    expect(rig.models[client].requests[0]?.tools).toContain(`${toolPrefix[client]}relay_send_message`);
    const [woken] = rig.seenBy(other[client], asked.id);
    expect(woken?.tools).toContain(`${toolPrefix[other[client]]}relay_reply`);
    expect(rig.seenBy(client, answer.id).length).toBeGreaterThan(0);
    const rows = rig.delivered();
    expect(rows.map(({ sender, recipient }) => `${sender} → ${recipient}`)).toEqual([
      "ada → bob",
      "bob → ada",
    ]);
    // Bob had answered before his turn was over: the later step stands for the skipped one.
    const [first] = rows;
    expect([first?.created_at, first?.injected_at, first?.replied_at]).toSatisfy(rising);
    expect(inOrder(read)).toSatisfy(rising);
    expect(woken?.at).toBeGreaterThanOrEqual(asked.created_at);
  });

  test("P8: busy: an urgent message stands right behind the result of the running tool", async () => {
    await rig.headless("ada", client, { task: sleepOrder[client] });
    const model = rig.models[client];
    await until("the tool runs", () => model.requests[0], waitMs);
    await rig.send("ada", "look at this now", "--urgent");
    const row = await found("ada has read it", ({ read_at }) => read_at !== null);
    const [shown] = rig.seenBy(client, row.id);
    expect(followsResult(shown?.items ?? [], "slept", row.id)).toBe(true);
    expect(inOrder(row)).toSatisfy(rising);
    expect(row.read_at).toBeGreaterThanOrEqual(shown?.at ?? Number.NaN);
  });
});

test("no host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
});
