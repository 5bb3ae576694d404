/** Owed replies, quarantine and insights as a person at the command line and an agent behind its endpoint see them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Client } from "@modelcontextprotocol/client";
import { connect, openWorld, type Serving, type World } from "./kit.ts";

let world: World;
let agent: Serving;
let client: Client;

async function run(...args: string[]) {
  const { code, stdout, stderr } = await world.cli([...args, "HOME"]);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout;
}
const json = async <Value>(...args: string[]) => JSON.parse(await run(...args, "--json")) as Value;
const call = (name: string, given: Record<string, unknown> = {}) =>
  client.callTool({ name, arguments: given });

beforeAll(async () => {
  world = openWorld();
  const relay = await world.up();
  agent = world.start([
    ...["run", "exec", "--name", "alice", "--relay", relay.url, "HOME", "--", "sh", "-c"],
    'echo "$AGENT_RELAY_MCP_URL"; echo "$AGENT_RELAY_SESSION_TOKEN"; exec sleep 1000',
  ]);
  client = await connect(await agent.line(0), await agent.line(1), "modern");
});
afterAll(async () => {
  await client.close();
  await world.close();
});

test("[P5.15] a reply that is owed is seen on both sides; the agent declines it through its endpoint", async () => {
  expect(await run("outstanding")).toBe("No replies are owed\n");
  const replyBy = "2099-01-31T18:00:00.000Z";
  const send = ["send", "alice", "--reply-by", "2099-01-31T19:00+01:00", "ready to\u001b[31m land?"];
  const { messageId } = await json<{ messageId: string }>(...send);
  expect(await json("outstanding", "alice")).toMatchObject({
    obligations: [{ messageId, creditor: "operator", debtor: "alice", state: "open", replyBy }],
  });
  expect(await run("outstanding")).toContain(`${messageId}  ready to\ufffd[31m land?`);
  expect((await call("relay_outstanding")).structuredContent).toMatchObject({
    owed: [{ messageId, replyBy }],
  });
  const declined = await call("relay_decline", { messageId, reason: "not before Monday" });
  expect(declined.structuredContent).toMatchObject({ delivery: "sent" });
  expect(await run("outstanding")).toBe("No replies are owed\n");
  expect(await run("inbox", "operator")).toContain("| Declined to reply: not before Monday");
});

test("people decline what they owe, and a time without its zone is refused", async () => {
  await call("relay_send_message", { to: "operator", body: "may I?", expectsReply: true });
  const { obligations } = await json<{ obligations: { messageId: string }[] }>("outstanding", "operator");
  expect(await run("decline", obligations[0]?.messageId ?? "", "not", "today")).toStartWith(
    "declined: message ",
  );
  const read = await call("relay_check_messages");
  expect(JSON.stringify(read.structuredContent)).toContain("Declined to reply: not today");
  const bad = await world.cli(["send", "alice", "--reply-by", "2099-01-31T19:00", "x", "HOME"]);
  expect([bad.code, bad.stdout]).toEqual([2, ""]);
  expect(bad.stderr).toBe(
    "agent-relay: Read --reply-by: '2099-01-31T19:00' is not a time with its zone, such as 2027-01-31T18:00Z\n",
  );
});

test("[P2.22] the writes of a quarantined agent come back to it with the reason, until it is released", async () => {
  const write = () => call("relay_send_message", { to: "operator", body: "hello" });
  await run("agents", "quarantine", "alice", "--reason", "floods the others");
  expect(await run("agents")).toMatch(/alice +exec .*, quarantined\n/);
  const refused = await write();
  expect(refused).toMatchObject({ isError: true, structuredContent: { delivery: "rejected" } });
  expect(JSON.stringify(refused.content)).toContain(
    "quarantined: The writes of this agent were stopped by the operator: floods the others",
  );
  expect((await call("relay_list_agents")).isError).not.toBe(true);
  expect(await run("agents", "release", "alice")).toBe("alice may write again\n");
  expect((await write()).structuredContent).toMatchObject({ delivery: "sent" });
  expect(await run("agents", "release", "alice")).toBe("alice was not quarantined\n");
});

test("kinds of insights are switched by name", async () => {
  expect(await run("insights", "ls")).toBe("Nothing was reported\n");
  expect(await run("insights", "off", "crash_loop")).toBe(
    "crash_loop is off: an agent crashed again and again and is not started any more\n",
  );
  expect(await run("insights", "ls")).toContain("Switched off: crash_loop");
  const bad = await world.cli(["insights", "on", "weather", "HOME"]);
  expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining("'weather' is no kind of them")]);
});
