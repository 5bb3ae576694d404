/** Channels, threads, the search and receipts as a person at the command line sees them, with a real agent's endpoint. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { connect, openWorld, type Serving, until, type World } from "./kit.ts";

let world: World;
let relay: Serving & { url: string };
let agent: Serving;
const patienceMs = 30_000;
setDefaultTimeout(2 * patienceMs);

async function json<Value>(...args: string[]): Promise<Value> {
  const { code, stdout, stderr } = await world.cli([...args, "HOME", "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as Value;
}
const lines = async (...args: string[]) => {
  const { code, stdout, stderr } = await world.cli([...args, "HOME"]);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout.trimEnd().split("\n");
};
type Status = { recipients: { name: string; stage: string }[] };
const stageOf = async (id: string) => (await json<Status>("receipts", id)).recipients[0]?.stage;

/** The official client at the agent's endpoint, however busy the machine is. */
async function connected(era: "legacy" | "modern") {
  const [url = "", secret = ""] = await until(
    "the endpoint",
    () => (agent.lines().length < 2 ? undefined : agent.lines()),
    patienceMs,
  );
  return connect(url, secret, era);
}

beforeAll(async () => {
  world = openWorld();
  relay = await world.up("--retention-days", "30");
  agent = world.start([
    ...["run", "exec", "--name", "alice", "--relay", relay.url, "HOME", "--", "sh", "-c"],
    'echo "$AGENT_RELAY_MCP_URL"; echo "$AGENT_RELAY_SESSION_TOKEN"; exec sleep 1000',
  ]);
});
afterAll(() => world.close());

test("[P5.11] a message goes through its steps while runner and agent take it, read it and answer", async () => {
  const client = await connected("modern");
  const { messageId } = await json<{ messageId: string }>(
    "send",
    "alice",
    "--urgent",
    "are",
    "you",
    "there?",
  );
  await until(
    "the runner has it",
    async () => ((await stageOf(messageId)) === "handed" ? true : undefined),
    patienceMs,
  );
  const check = () => client.callTool({ name: "relay_check_messages", arguments: {} });
  const { messages } = (await check()).structuredContent as { messages: object[] };
  expect(messages).toMatchObject([{ id: messageId, urgent: true, from: "operator" }]);
  expect(messages[0]).not.toHaveProperty("redelivered");
  await check();
  await until("the agent has seen it", async () =>
    (await stageOf(messageId)) === "read" ? true : undefined,
  );
  await client.callTool({ name: "relay_reply", arguments: { messageId, body: "here I am" } });
  expect(await stageOf(messageId)).toBe("replied");
  expect((await lines("receipts", messageId)).slice(0, 2)).toEqual([
    `message ${messageId} from operator to alice, thread ${messageId}`,
    "RECIPIENT  STEP     AT",
  ]);
  const thread = await json<{ messages: object[] }>("thread", messageId);
  expect(thread.messages).toMatchObject([
    { body: "are you there?" },
    { body: "here I am", replyTo: messageId },
  ]);
  expect((await lines("thread", messageId, "--limit", "1"))[1]).toBe("| here I am");
  await client.close();
});

test("[P2.20] an agent joins a channel through its endpoint, and gets what a person sends there", async () => {
  const client = await connected("legacy");
  await client.callTool({ name: "relay_join_channel", arguments: { channel: "#build" } });
  expect(await lines("channel", "ls")).toMatchObject([
    expect.stringMatching(/^CHANNEL +MEMBERS +SINCE$/),
    expect.stringMatching(/^#build +1 +20/),
  ]);
  expect(await lines("channel", "join", "build")).toEqual(["you are in #build: alice, operator"]);
  expect((await lines("channel", "members", "#build")).slice(1)).toMatchObject([
    expect.stringMatching(/^alice +20/),
    expect.stringMatching(/^operator +20/),
  ]);
  const { messageId } = await json<{ messageId: string }>("send", "#build", "the", "build", "is", "red");
  const { structuredContent } = await client.callTool({ name: "relay_check_messages", arguments: {} });
  expect(structuredContent).toMatchObject({ messages: [{ id: messageId, to: "#build" }] });
  const sent = await client.callTool({
    name: "relay_send_message",
    arguments: { to: "#build", body: "mending", forwardOf: messageId },
  });
  expect(sent.structuredContent).toMatchObject({ delivery: "sent" });
  const { messages } = await json<{ messages: { to: string }[] }>("inbox", "operator");
  expect(messages.filter(({ to }) => to === "#build")).toMatchObject([
    { to: "#build", from: "alice", hops: 1, forwarded: { from: "operator", body: "the build is red" } },
  ]);
  expect(await lines("channel", "leave", "build")).toEqual(["you have left #build"]);
  expect((await world.cli(["send", "#none", "x", "HOME"])).stderr).toContain("no channel of that name");
  await client.close();
});

test("a search finds what was said, newest first, of everybody or of one agent", async () => {
  await json("send", "alice", "a", "needle", "in", "the", "hay");
  await json("send", "operator", "another", "needle");
  const bodies = async (...args: string[]) =>
    (await json<{ messages: { body: string }[] }>("search", ...args)).messages.map(({ body }) => body);
  expect(await bodies("NEEDLE")).toEqual(["another needle", "a needle in the hay"]);
  expect(await bodies("needle", "hay")).toEqual(["a needle in the hay"]);
  expect(await bodies("needle", "--agent", "alice")).toEqual(["a needle in the hay"]);
  expect(await lines("search", "needle", "--limit", "1")).toEqual([
    expect.stringMatching(/^\[message .* from operator \(operator\) .*\]$/),
    "| another needle",
    "",
    "there are older ones: --limit gives more",
  ]);
  expect(await lines("search", "nothing")).toEqual(["no message was found"]);
});

test("P2: [P2.20] what is sent to many in an outage is delivered after it, and comes back when nobody would get it", async () => {
  const client = await connected("modern");
  await lines("channel", "join", "news");
  expect(await relay.stop()).toBe(0);
  const send = async (to: string, body: string) =>
    (await client.callTool({ name: "relay_send_message", arguments: { to, body, priority: "urgent" } }))
      .structuredContent as { delivery: string; messageId: string };
  const [sent, lost] = [await send("#news", "written in the dark"), await send("#gone", "for nobody")];
  expect([sent.delivery, lost.delivery]).toEqual(["queued", "queued"]);
  const again = world.start(["up", "--port", new URL(relay.url).port, "HOME", "--json"]);
  await again.ready();
  const arrived = await until(
    "the message in the channel",
    async () => {
      const { messages } = await json<{ messages: { id: string }[] }>("inbox", "operator");
      return messages.find(({ id }) => id === sent.messageId);
    },
    patienceMs,
  );
  expect(arrived).toMatchObject({ to: "#news", from: "alice", urgent: true, body: "written in the dark" });
  const notice = await until(
    "the notice",
    async () => {
      const { structuredContent } = await client.callTool({ name: "relay_check_messages", arguments: {} });
      return (structuredContent as { notices: object[] }).notices[0];
    },
    patienceMs,
  );
  expect(notice).toMatchObject({
    reason: "rejected",
    messageId: lost.messageId,
    to: "#gone",
    detail: expect.stringContaining("there is no channel of that name"),
  });
  await client.close();
});
