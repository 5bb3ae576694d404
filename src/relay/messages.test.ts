/** Channels, threads, the search and receipts through a real relay, by the official client and over HTTP. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type EnrolledAgent, type RunningRelay, runningRelay } from "../../test/fixtures/running-relay.ts";
import { connectWitness } from "../../test/fixtures/sdk-client.ts";
import { limits } from "../limits.ts";
import { feedPath } from "../wire/api.ts";
import { RelayError } from "../wire/error.ts";
import { feedEventSchema } from "../wire/feed.ts";

setDefaultTimeout(60_000);

const none = "00000000-0000-7000-8000-00000000dead";

function failure(run: Promise<unknown>): Promise<RelayError> {
  return run.then(
    () => {
      throw new Error("It was not refused");
    },
    (error: unknown) => {
      if (error instanceof RelayError) return error;
      throw error;
    },
  );
}

async function crew(relay: RunningRelay) {
  const [alice, bob, carol] = await Promise.all(["alice", "bob", "carol"].map((name) => relay.enrol(name)));
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error("not enrolled");
  return { alice, bob, carol };
}

const witness = (relay: RunningRelay, { token }: EnrolledAgent, era: "legacy" | "modern") =>
  connectWitness({ url: relay.server.mcpUrl, secret: token }, era);

describe.each(["legacy", "modern"] as const)("the tools in the %s era", (era) => {
  test("[P2.20] a channel: join, send, the others get it, leave", async () => {
    await using relay = await runningRelay();
    const { alice, bob, carol } = await crew(relay);
    await using a = await witness(relay, alice, era);
    await using b = await witness(relay, bob, era);
    expect(await a.call("relay_join_channel", { channel: "#build" })).toMatchObject({
      text: "You are in #build, with alice.",
      isError: false,
    });
    expect(await a.call("relay_send_message", { to: "#build", body: "anybody?" })).toMatchObject({
      isError: true,
      text: expect.stringContaining("nobody but you is in that channel"),
    });
    expect((await b.call("relay_join_channel", { channel: "#build" })).text).toBe(
      "You are in #build, with alice, bob.",
    );
    expect((await a.call("relay_send_message", { to: "#build", body: "hello" })).isError).toBe(false);
    expect((await b.call("relay_check_messages")).text).toMatch(
      /^\[message \S+ · from alice \(agent\) · trust: data from another agent · to #build · .*\]\n\| hello\n\n/,
    );
    expect((await relay.client(carol.token).listChannels({})).channels).toMatchObject([
      { name: "#build", members: 2 },
    ]);
    expect((await a.call("relay_list_channels")).text).toBe(
      '{"channels":[{"name":"#build","members":2,"joined":true}]}',
    );
    expect((await b.call("relay_leave_channel", { channel: "#build" })).text).toBe("You have left #build.");
    expect((await b.call("relay_leave_channel", { channel: "#build" })).text).toBe("You were not in #build.");
    expect((await a.call("relay_join_channel", { channel: "build" })).isError).toBe(true);
  });

  test("[P5.11] the sender sees each step of its message; the recipient and others do not", async () => {
    await using relay = await runningRelay();
    const { alice, bob, carol } = await crew(relay);
    await using a = await witness(relay, alice, era);
    await using b = await witness(relay, bob, era);
    await using c = await witness(relay, carol, era);
    const { messageId } = await relay
      .client(alice.token)
      .sendMessage({ to: "bob", body: "look", priority: "urgent" });
    const status = async () => (await a.call("relay_message_status", { messageId })).text.split("\n");
    expect((await status())[0]).toBe(`message ${messageId} to bob: 1 stored`);
    const report = (stage: "handed" | "injected") =>
      bob.runner.reportReceipts({ agent: "bob", stage, messageIds: [messageId, none] });
    expect(await report("handed")).toEqual({ moved: 1 });
    expect((await status())[0]).toEndWith("1 handed");
    expect(await report("injected")).toEqual({ moved: 1 });
    expect((await status())[1]).toMatch(/^- bob: injected at 20\d\d-/);
    const checked = await b.call("relay_check_messages");
    expect(checked.text).toContain(" · urgent · redelivered: you may have seen it before · ");
    await b.call("relay_check_messages", { seenSeq: 1 });
    expect((await status())[0]).toEndWith("1 read");
    await b.call("relay_reply", { messageId, body: "seen" });
    expect((await status())[0]).toEndWith("1 replied");
    for (const other of [b, c])
      expect(await other.call("relay_message_status", { messageId })).toMatchObject({
        isError: true,
        text: expect.stringMatching(/^not_found: .* no such message of yours/),
      });
  });

  test("[P3.10] threads and searches show what the agent sent or got, with long texts cut in a search", async () => {
    await using relay = await runningRelay();
    const { alice, bob, carol } = await crew(relay);
    const send = relay.client(alice.token).sendMessage;
    const long = `needle ${"x".repeat(limits.searchBodyCharactersMax)}😀`;
    const { threadId = "" } = await send({ to: "bob", body: long });
    await send({ to: "carol", body: "needle for carol", threadId });
    await using b = await witness(relay, bob, era);
    await using a = await witness(relay, alice, era);
    expect((await b.call("relay_get_thread", { threadId })).text).toContain(`| ${long}`);
    expect((await b.call("relay_get_thread", { threadId })).text).not.toContain("carol");
    expect((await a.call("relay_get_thread", { threadId })).text).toMatch(
      /trust: your own words.*\| needle for carol$/s,
    );
    expect((await b.call("relay_get_thread", { threadId: none })).text).toBe(
      "You have sent or got no message of that thread.",
    );
    const found = await b.call("relay_search_messages", { query: "NEEDLE" });
    expect(found.text).toContain("only the beginning; relay_get_thread has all");
    expect(found.text.split("\n")[1]).toBe(`| ${long.slice(0, limits.searchBodyCharactersMax)}`);
    expect(found.text).not.toContain("carol");
    expect((await b.call("relay_search_messages", { query: "nothing" })).text).toBe("No message was found.");
    expect(await b.call("relay_search_messages", { query: "?!" })).toMatchObject({
      isError: true,
      text: "bad_request: Search for '?!': it has no word, letters or digits were wanted",
    });
    const many = Array.from({ length: limits.searchWordsMax + 1 }, (_, n) => `w${n}`).join(" ");
    expect((await b.call("relay_search_messages", { query: many })).isError).toBe(true);
    expect((await relay.client(carol.token).searchMessages({})).messages).toMatchObject([
      { body: "needle for carol", self: false, seq: 1 },
    ]);
  });
});

test("[P3.10] people see every message, a runner those of its agent, and nobody else's", async () => {
  await using relay = await runningRelay();
  const { alice, bob, carol } = await crew(relay);
  const { messageId, threadId = "" } = await relay
    .client(alice.token)
    .sendMessage({ to: "bob", body: "secret plan" });
  const bodies = async (run: Promise<{ messages: { body: string }[] }>) =>
    (await run).messages.map(({ body }) => body);
  expect(await bodies(relay.operator.searchMessages({ query: "plan" }))).toEqual(["secret plan"]);
  expect(await bodies(relay.operator.searchMessages({ query: "plan", agent: "carol" }))).toEqual([]);
  expect(await bodies(relay.operator.getThread({ threadId }))).toEqual(["secret plan"]);
  expect(await bodies(bob.runner.getThread({ threadId }))).toEqual(["secret plan"]);
  expect(await bodies(carol.runner.getThread({ threadId }))).toEqual([]);
  expect(await bodies(relay.client(carol.token).searchMessages({ query: "plan" }))).toEqual([]);
  expect(await bodies(relay.client(bob.token).searchMessages({ query: "plan", agent: "bob" }))).toEqual([
    "secret plan",
  ]);
  expect(await failure(relay.client(carol.token).searchMessages({ agent: "bob" }))).toMatchObject({
    code: "forbidden",
  });
  expect(await failure(relay.operator.searchMessages({ agent: "nobody" }))).toMatchObject({
    code: "not_found",
  });
  expect((await relay.operator.getMessageStatus({ id: messageId })).recipients).toMatchObject([
    { name: "bob", stage: "stored" },
  ]);
  expect(await failure(bob.runner.getMessageStatus({ id: messageId }))).toMatchObject({ code: "forbidden" });
  expect(await failure(relay.client(bob.token).getMessageStatus({ id: messageId }))).toMatchObject({
    code: "not_found",
  });
});

test("[P5.11] a runner reports for its own agent only", async () => {
  await using relay = await runningRelay();
  const { alice, bob, carol } = await crew(relay);
  const { messageId } = await relay.client(alice.token).sendMessage({ to: "bob", body: "x" });
  const report = { agent: "bob", stage: "read" as const, messageIds: [messageId] };
  expect(await failure(carol.runner.reportReceipts(report))).toMatchObject({
    code: "forbidden",
    message: "Report receipts of 'bob': this runs 'carol'",
  });
  expect(await carol.runner.reportReceipts({ ...report, agent: "carol" })).toEqual({ moved: 0 });
  for (const token of [bob.token, relay.operatorToken])
    expect(await failure(relay.client(token).reportReceipts(report))).toMatchObject({ code: "forbidden" });
  expect(await bob.runner.reportReceipts(report)).toEqual({ moved: 1 });
  expect((await bob.runner.readInbox({ agent: "bob", unread: "true" })).messages).toEqual([]);
});

test("[P3.7] a message to many needs the scope at that moment, live and from an outbox", async () => {
  await using relay = await runningRelay();
  const { alice, bob } = await crew(relay);
  await relay.operator.joinChannel({ channel: "#build" });
  await relay.client(bob.token).joinChannel({ channel: "#build" });
  const { messageId } = await relay.client(alice.token).sendMessage({ to: "#build", body: "x" });
  const { recipients, counts } = await relay.operator.getMessageStatus({ id: messageId });
  expect(recipients.map(({ name }) => name).toSorted()).toEqual(["bob", "operator"]);
  expect(counts).toMatchObject({ stored: 2, read: 0 });
  await relay.operator.setProfile({ name: "default", scopes: ["message:send", "message:read"] });
  expect(await failure(relay.client(alice.token).sendMessage({ to: "@all", body: "x" }))).toMatchObject({
    code: "forbidden",
  });
  const storeId = alice.id;
  const { laneSession } = await alice.runner.openLane({ storeId });
  const record = {
    key: "k",
    messageId: none,
    tool: "relay_send_message",
    arguments: { to: "#build", body: "x" },
    enqueuedAt: new Date(relay.clock.now()).toISOString(),
  };
  expect(
    (await alice.runner.deliverRecords({ storeId, laneSession, records: [record] })).outcomes,
  ).toMatchObject([
    { status: "rejected", code: "forbidden", detail: expect.stringContaining("message:broadcast") },
  ]);
  expect((await relay.client(alice.token).sendMessage({ to: "bob", body: "x" })).delivery).toBe("sent");
});

test("names of channels are checked, and members of an unknown one are not found", async () => {
  await using relay = await runningRelay();
  for (const channel of ["build", "#", "#Build", "#a b", "@all"])
    expect(await failure(relay.operator.joinChannel({ channel }))).toMatchObject({ code: "bad_request" });
  expect(await failure(relay.operator.listChannelMembers({ channel: "#none" }))).toMatchObject({
    code: "not_found",
  });
  expect(await relay.operator.joinChannel({ channel: "#build" })).toEqual({
    channel: "#build",
    made: true,
    members: ["operator"],
  });
  expect((await relay.operator.listChannelMembers({ channel: "#build" })).members).toMatchObject([
    { name: "operator" },
  ]);
  expect(await relay.operator.leaveChannel({ channel: "#build" })).toEqual({ channel: "#build", left: true });
});

test("[P5.12] a feed that begins anew says of what was handed over before that it is redelivered", async () => {
  await using relay = await runningRelay();
  const { alice, bob } = await crew(relay);
  const send = (body: string) => relay.client(alice.token).sendMessage({ to: "bob", body });
  const ids = [await send("one"), await send("two"), await send("three")].map(({ messageId }) => messageId);
  expect(await fed(relay, bob, 3)).toEqual([
    ["one", false],
    ["two", false],
    ["three", false],
  ]);
  await bob.runner.reportReceipts({ agent: "bob", stage: "handed", messageIds: ids.slice(0, 2) });
  await bob.runner.acknowledgeInbox({ agent: "bob", seq: 1 });
  expect(await fed(relay, bob, 2)).toEqual([
    ["two", true],
    ["three", false],
  ]);
});

/** The first messages of a new feed without a cursor: text, and whether it says that it was there before. */
async function fed(
  relay: RunningRelay,
  { runnerToken }: EnrolledAgent,
  count: number,
): Promise<[string, boolean][]> {
  const headers = { Authorization: `Bearer ${runnerToken}` };
  const response = await fetch(`${relay.server.url}${feedPath}`, { headers });
  if (response.body === null) throw new Error("The feed has no body");
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.split('"type":"message"').length > count && text.endsWith("\n\n")) break;
  }
  const events = text.split("\n").filter((line) => line.startsWith("data: "));
  return events
    .map((line) => feedEventSchema.parse(JSON.parse(line.slice(6))))
    .flatMap((event) => (event.type === "message" ? [event.message] : []))
    .map(({ body, redelivered }) => [body, redelivered === true]);
}
