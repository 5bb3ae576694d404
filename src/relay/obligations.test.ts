/** Replies that are owed, through a real relay on a clock that stands until it is moved on. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningRelay, runningRelay, type TestClock } from "../../test/fixtures/running-relay.ts";
import { connectWitness } from "../../test/fixtures/sdk-client.ts";
import { realClock, sleep, VirtualClock } from "../base/clock.ts";
import { sseEvents } from "../base/http/sse.ts";
import { limits } from "../limits.ts";
import { feedPath } from "../wire/api.ts";
import { reminderNotes } from "../wire/obligation.ts";

const minute = 60_000;

function standingClock(): TestClock {
  const clock = new VirtualClock(1_800_000_000_000);
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    // Short waits, such as for the end of connections, are real.
    after: (ms, callback) => (ms < minute / 2 ? realClock : clock).after(ms, callback),
    skip: (ms) => clock.advance(ms),
  };
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = realClock.monotonic() + 5_000;
  while (!(await condition())) {
    if (realClock.monotonic() > end) throw new Error(`Wait until ${what}: it did not happen within 5 s`);
    await sleep(realClock, 10);
  }
}

/** Audit entries of a kind. */
async function audited(relay: RunningRelay, kind: "obligation_overdue" | "obligation_declined") {
  return (await relay.operator.listAudit({ kind })).entries;
}

test("[P5.14] the debtor is reminded, then both sides hear that it is overdue", async () => {
  await using relay = await runningRelay({ clock: standingClock() });
  const bob = await relay.enrol("bob");
  const { messageId } = await relay.operator.sendMessage({ to: "bob", body: "Ready?", expectsReply: true });
  const state = async () => (await relay.operator.listObligations({})).obligations;
  const askedAt = new Date(relay.clock.now()).toISOString();
  expect(await state()).toEqual([
    {
      messageId,
      creditor: "operator",
      debtor: "bob",
      threadId: messageId,
      excerpt: "Ready?",
      askedAt,
      state: "open",
    },
  ]);
  await using witness = await connectWitness({ url: relay.server.mcpUrl, secret: bob.token }, "modern");
  const { client } = witness;
  const check = () => client.callTool({ name: "relay_check_messages", arguments: {} });
  expect((await check()).structuredContent).toMatchObject({ reminders: [] });
  relay.clock.skip(10 * minute);
  expect(await state()).toMatchObject([{ state: "reminded" }]);
  const reminder = { kind: "owed", messageId, with: "operator", askedAt, text: reminderNotes.owed };
  const reminded = await check();
  expect(reminded.structuredContent).toMatchObject({ reminders: [reminder] });
  expect(JSON.stringify(reminded.content)).toContain(
    `[reply owed to operator · message ${messageId} · asked at ${askedAt}] ${reminderNotes.owed}`,
  );
  relay.clock.skip(49 * minute);
  expect(await audited(relay, "obligation_overdue")).toEqual([]);
  relay.clock.skip(minute);
  await until("it is overdue", async () => (await audited(relay, "obligation_overdue")).length > 0);
  expect(await audited(relay, "obligation_overdue")).toMatchObject([
    { actor: "relay", subject: messageId, facts: { debtor: "bob", creditor: "operator" } },
  ]);
  expect(await state()).toMatchObject([{ state: "overdue" }]);
});

test("[P5.14] a due time that came while the relay was down is noticed when it is up again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "relay-owed-"));
  const home = join(folder, "home");
  const clock = standingClock();
  let messageId: string;
  {
    await using relay = await runningRelay({ home, clock });
    await relay.enrol("bob");
    const replyBy = new Date(clock.now() + 5 * minute).toISOString();
    ({ messageId } = await relay.operator.sendMessage({ to: "bob", body: "Soon?", replyBy }));
    expect((await relay.operator.listObligations({ agent: "bob" })).obligations).toMatchObject([
      { messageId, replyBy, state: "open" },
    ]);
  }
  clock.skip(6 * minute);
  await using relay = await runningRelay({ home, clock });
  await until("it is overdue", async () => (await audited(relay, "obligation_overdue")).length > 0);
  expect(await audited(relay, "obligation_overdue")).toMatchObject([{ subject: messageId }]);
  rmSync(folder, { recursive: true });
});

test("one who waits in vain is told so for a day, and sees it in the list for longer", async () => {
  await using relay = await runningRelay({ clock: standingClock() });
  await relay.enrol("bob");
  const { messageId } = await relay.operator.sendMessage({ to: "bob", body: "?", expectsReply: true });
  const target = { url: relay.server.mcpUrl, secret: relay.operatorToken };
  await using witness = await connectWitness(target, "modern");
  const told = async () => {
    const { structuredContent } = await witness.client.callTool({
      name: "relay_check_messages",
      arguments: {},
    });
    return (structuredContent as { reminders: unknown[] }).reminders;
  };
  relay.clock.skip(59 * minute);
  expect(await told()).toEqual([]);
  relay.clock.skip(minute);
  expect(await told()).toMatchObject([
    { kind: "overdue", messageId, with: "bob", text: reminderNotes.overdue },
  ]);
  relay.clock.skip(limits.overdueShownMs);
  expect(await told()).toEqual([]);
  const listed = await witness.client.callTool({ name: "relay_outstanding", arguments: {} });
  expect(listed.structuredContent).toMatchObject({ awaited: [{ messageId, state: "overdue" }] });
});

test("[P5.14] a reply that a removed agent owed is out of every list, and the one who waited is told so once", async () => {
  await using relay = await runningRelay({ clock: standingClock() });
  await relay.enrol("bob");
  const { messageId } = await relay.operator.sendMessage({ to: "bob", body: "?", expectsReply: true });
  relay.clock.skip(90 * minute);
  await relay.operator.removeAgent({ agent: "bob" });
  expect((await relay.operator.listObligations({})).obligations).toEqual([]);
  const target = { url: relay.server.mcpUrl, secret: relay.operatorToken };
  await using witness = await connectWitness(target, "modern");
  const ask = async (name: string) =>
    (await witness.client.callTool({ name, arguments: {} })).structuredContent;
  expect(await ask("relay_outstanding")).toMatchObject({ awaited: [] });
  const name = expect.stringMatching(/^bob \(removed /);
  const told = { kind: "ended", messageId, with: name, text: reminderNotes.ended };
  expect(await ask("relay_check_messages")).toMatchObject({ reminders: [told] });
  relay.clock.skip(limits.endedShownMs);
  expect(await ask("relay_check_messages")).toMatchObject({ reminders: [] });
  const { entries } = await relay.operator.listAudit({ kind: "agent_removed" });
  expect(entries).toMatchObject([{ subject: "bob", facts: { repliesEnded: 1 } }]);
});

test("[P5.14] a runner takes what its agent is to be told unasked, and nobody else's", async () => {
  await using relay = await runningRelay({ clock: standingClock() });
  const [ann, bob] = [await relay.enrol("ann"), await relay.enrol("bob")];
  const asked = await relay.client(ann.token).sendMessage({ to: "bob", body: "Ready?", expectsReply: true });
  const taken = async (who: typeof ann, agent: string, fresh?: boolean) =>
    (await who.runner.takeReminders({ agent, ...(fresh === undefined ? {} : { fresh }) })).reminders;
  const one = (kind: "owed" | "overdue" | "ended", other: unknown) => [
    expect.objectContaining({ kind, messageId: asked.messageId, with: other, text: reminderNotes[kind] }),
  ];
  expect([await taken(bob, "bob"), await taken(bob, "bob", true)]).toEqual([[], one("owed", "ann")]);
  expect(await taken(ann, "ann", true)).toEqual([]);
  relay.clock.skip(limits.replyReminderMs);
  expect(await taken(bob, "bob")).toEqual(one("owed", "ann"));
  relay.clock.skip(limits.replyOverdueMs - limits.replyReminderMs);
  expect(await taken(ann, "ann")).toEqual(one("overdue", "bob"));
  await expect(taken(ann, "bob")).rejects.toMatchObject({ code: "forbidden" });
  await relay.operator.removeAgent({ agent: "bob" });
  expect(await taken(ann, "ann")).toEqual(one("ended", expect.stringMatching(/^bob \(removed /)));
  relay.clock.skip(limits.endedShownMs);
  expect(await taken(ann, "ann")).toEqual([]);
});

test("both sides are hinted at by the feed when something happens about a reply", async () => {
  const clock = standingClock();
  await using relay = await runningRelay({ clock });
  const bob = await relay.enrol("bob");
  const ending = new AbortController();
  const follow = async (token: string) => {
    const counted = { hints: 0 };
    const headers = { Authorization: `Bearer ${token}` };
    const { body } = await fetch(`${relay.server.url}${feedPath}`, { headers, signal: ending.signal });
    const read = async () => {
      for await (const { data } of sseEvents(body ?? new ReadableStream(), limits.sseEventBytesMax))
        counted.hints += data?.includes('"subject":"obligations"') === true ? 1 : 0;
    };
    // It ends with the test.
    read().catch(() => {});
    return counted;
  };
  const [creditor, debtor] = [await follow(relay.operatorToken), await follow(bob.runnerToken)];
  await until("both follow", async () => (await relay.operator.getStatus({})).online === 2);
  await relay.operator.sendMessage({ to: "bob", body: "?", expectsReply: true });
  clock.skip(10 * minute);
  await until("the debtor is reminded", async () => debtor.hints === 1);
  expect(creditor.hints).toBe(0);
  clock.skip(50 * minute);
  await until("both hear that it is overdue", async () => debtor.hints >= 2 && creditor.hints === 1);
  ending.abort();
});

test("[P5.15] an agent sees what it owes and is owed, and declines with a reason", async () => {
  await using relay = await runningRelay();
  const [ann, bob] = [await relay.enrol("ann"), await relay.enrol("bob")];
  const url = relay.server.mcpUrl;
  await using anns = await connectWitness({ url, secret: ann.token }, "modern");
  await using bobs = await connectWitness({ url, secret: bob.token }, "legacy");
  const [a, b] = [anns.client, bobs.client];
  const ask = await a.callTool({
    name: "relay_send_message",
    arguments: { to: "bob", body: "Will you\nreview?", expectsReply: true },
  });
  const { messageId } = ask.structuredContent as { messageId: string };
  const owed = await b.callTool({ name: "relay_outstanding", arguments: {} });
  const obligation = { messageId, creditor: "ann", debtor: "bob", state: "open" };
  expect(owed.structuredContent).toMatchObject({ owed: [obligation], awaited: [], more: false });
  expect(JSON.stringify(owed.content)).toContain("| Will you review?");
  const awaited = await a.callTool({ name: "relay_outstanding", arguments: {} });
  expect(awaited.structuredContent).toMatchObject({ owed: [], awaited: [obligation] });

  const decline = { name: "relay_decline", arguments: { messageId, reason: "I am on something else" } };
  const declined = await b.callTool(decline);
  expect(declined.structuredContent).toMatchObject({ delivery: "sent", threadId: messageId });
  const read = await a.callTool({ name: "relay_check_messages", arguments: {} });
  expect(read.structuredContent).toMatchObject({
    messages: [{ from: "bob", replyTo: messageId, body: "Declined to reply: I am on something else" }],
  });
  expect(await audited(relay, "obligation_declined")).toMatchObject([
    { actor: "agent", actorName: "bob", subject: messageId, facts: { creditor: "ann" } },
  ]);
  const again = await b.callTool(decline);
  expect(again).toMatchObject({ isError: true });
  expect(JSON.stringify(again.content)).toContain("not_owed: Decline to reply to message");
});

test("what others owe is for people and for the two sides", async () => {
  await using relay = await runningRelay();
  const bob = await relay.enrol("bob");
  const agent = relay.client(bob.token);
  expect((await agent.listObligations({ agent: "bob" })).obligations).toEqual([]);
  expect((await bob.runner.listObligations({ agent: "bob" })).obligations).toEqual([]);
  await expect(agent.listObligations({})).rejects.toMatchObject({ code: "forbidden" });
  await expect(agent.listObligations({ agent: "operator" })).rejects.toMatchObject({ code: "forbidden" });
  await expect(relay.operator.listObligations({ agent: "nobody" })).rejects.toMatchObject({
    code: "not_found",
  });
  const unknown = { messageId: "0190a000-0000-7000-8000-000000000001", reason: "no" };
  await expect(agent.declineObligation(unknown)).rejects.toMatchObject({ code: "not_owed" });
});
