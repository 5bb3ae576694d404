/** What every twin of the relay's store promises about the time of replies that are owed, and about declining them. */
import { expect } from "bun:test";
import { limits } from "../../src/limits.ts";
import type { Agent } from "../../src/store/store.ts";
import { asId, type MessageId } from "../../src/wire/id.ts";
import { applied, type Promises, start, type World } from "./store-world.ts";

const minute = 60_000;
const at = (minutes: number) => start + minutes * minute;
const iso = (minutes: number) => new Date(at(minutes)).toISOString();

export const obligationPromises: Promises = {
  "[P5.14] a reply that is owed moves on at its times and at no others, also after the store was reopened":
    async (world) => {
      const { ada, bob, question } = await asked(world);
      const sides = { messageId: question, debtorName: "bob", creditorName: "ada", debtorId: bob.id };
      expect(await world.store.stepObligations(at(10) - 1)).toEqual({ moves: [], nextAt: at(10) });
      expect(await world.store.stepObligations(at(10))).toMatchObject({
        moves: [{ ...sides, creditorId: ada.id, step: 1 }],
        nextAt: at(30),
      });
      expect(await world.store.stepObligations(at(10))).toEqual({ moves: [], nextAt: at(30) });
      const store = await world.reopen();
      expect(await store.stepObligations(at(61))).toMatchObject({
        moves: [{ ...sides, step: 3 }],
        nextAt: undefined,
      });
      expect(await store.stepObligations(at(900))).toEqual({ moves: [], nextAt: undefined });
    },

  "a due time decides when a reply is overdue, also one that had passed when it came": async (world) => {
    const [ada] = [await world.agent("ada"), await world.agent("bob")];
    const by = (minutes: number) => world.write({ to: "bob", body: "when?", replyBy: iso(minutes) });
    const [soon, passed] = [by(5), by(-60)];
    const { obligations } = await world.apply(ada, soon, passed);
    expect(obligations).toMatchObject([
      { kind: "opened", messageId: soon.messageId, otherName: "bob", nextAt: at(5) },
      { kind: "opened", messageId: passed.messageId, nextAt: start },
    ]);
    expect((await world.store.stepObligations(start)).moves).toMatchObject([
      { messageId: passed.messageId, step: 3 },
    ]);
    expect((await world.store.stepObligations(at(5))).moves).toMatchObject([
      { messageId: soon.messageId, step: 3 },
    ]);
  },

  "a reply ends it also when it is overdue, and says so once": async (world) => {
    const { ada, bob, question } = await asked(world);
    await world.store.stepObligations(at(90));
    const { obligations } = await world.apply(bob, world.reply(question, "sorry, late"));
    expect(obligations).toEqual([
      { kind: "discharged", messageId: question, otherId: ada.id, otherName: "ada", nextAt: undefined },
    ]);
    expect(await world.store.stepObligations(at(91))).toEqual({ moves: [], nextAt: undefined });
    expect(await world.apply(bob, world.reply(question, "once more"))).not.toHaveProperty("obligations");
  },

  "when an agent is removed nothing is owed to it or by it any more, and who waited for it is told so once":
    async (world) => {
      const { ada, bob, question } = await asked(world);
      const back = world.write({ to: "ada", body: "what for?", expectsReply: true });
      await world.apply(bob, back);
      await world.store.stepObligations(at(90));
      const ended = { count: 1, creditors: [ada.id] };
      expect(await world.store.tellEnded(ada.id, at(90))).toEqual([]);
      expect(await world.store.removeAgent("bob", at(91))).toMatchObject({ ended });
      expect(await world.store.outstanding(ada.id, 10)).toEqual({ owed: [], awaited: [] });
      expect(await world.store.allOutstanding(10)).toEqual([]);
      expect(await world.store.stepObligations(at(92))).toEqual({ moves: [], nextAt: undefined });
      const told = [{ messageId: question, creditorName: "ada", debtorId: bob.id }];
      const store = await world.reopen();
      expect(await store.tellEnded(ada.id, at(500))).toMatchObject(told);
      expect(await store.tellEnded(ada.id, at(500) + limits.endedShownMs - 1)).toMatchObject(told);
      expect(await store.tellEnded(ada.id, at(500) + limits.endedShownMs)).toEqual([]);
    },

  "an agent that owes nothing ends nothing, and of what it did and might not do nothing is kept": async (
    world,
  ) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    await world.store.quarantine(bob.id, "wild", start);
    await world.store.reportPresence(bob.id, "busy", start);
    await world.store.reportPresence(ada.id, "idle", start);
    await world.apply(ada, world.write({ to: "bob", body: "never read" }));
    const before = await world.store.counts();
    expect(await world.store.removeAgent("bob", at(1))).toMatchObject({ ended: { count: 0, creditors: [] } });
    expect(await world.store.quarantines()).toEqual([]);
    expect((await world.store.presences()).map(({ agentId }) => agentId)).toEqual([ada.id]);
    const { agents, unread } = await world.store.counts();
    expect([before.agents - agents, before.unread - unread]).toEqual([1, 1]);
  },

  "both sides see what is owed, oldest first, until it ends": async (world) => {
    const { ada, bob, question } = await asked(world);
    const later = world.write({ to: "ada", body: "x".repeat(1_000), replyBy: iso(5) });
    applied(await world.store.applyWrites(world.batch(bob, [later]), at(1)));
    const first = {
      messageId: question,
      creditorName: "ada",
      debtorName: "bob",
      excerpt: "?",
      openedAt: start,
    };
    const second = { messageId: later.messageId, creditorName: "bob", debtorName: "ada", dueAt: at(5) };
    expect(await world.store.outstanding(ada.id, 10)).toMatchObject({ owed: [second], awaited: [first] });
    expect(await world.store.outstanding(bob.id, 10)).toMatchObject({ owed: [first], awaited: [second] });
    expect(await world.store.allOutstanding(10)).toMatchObject([first, second]);
    expect(await world.store.allOutstanding(1)).toHaveLength(1);
    const [long] = (await world.store.outstanding(ada.id, 10)).owed;
    expect(long?.excerpt).toBe("x".repeat(limits.excerptMax));
    await world.apply(bob, world.reply(question, "!"));
    expect(await world.store.outstanding(bob.id, 10)).toMatchObject({ owed: [], awaited: [second] });
  },

  "[P5.15] a decline is a reply that ends the obligation as declined; the same one again changes nothing":
    async (world) => {
      const { ada, bob, question } = await asked(world);
      const decline = world.batch(bob, [world.reply(question, "Declined to reply: no time")]);
      const first = await world.store.declineObligation(question, decline, at(1));
      expect(first).toMatchObject({
        status: "written",
        result: {
          outcomes: [{ status: "committed", replayed: false }],
          woken: [ada.id],
          obligations: [{ kind: "declined", messageId: question, otherName: "ada" }],
        },
      });
      expect(await world.store.declineObligation(question, decline, at(2))).toMatchObject({
        status: "written",
        result: { outcomes: [{ status: "committed", replayed: true }], woken: [] },
      });
      expect(await world.inbox(ada)).toMatchObject([
        { body: "Declined to reply: no time", replyTo: question },
      ]);
      const another = world.batch(bob, [world.reply(question, "Declined to reply: really")]);
      expect(await world.store.declineObligation(question, another, at(3))).toEqual({
        status: "closed",
        declined: true,
        closedAt: at(1),
      });
    },

  "what is not owed, or not by the one who declines, cannot be declined, and nothing is written": async (
    world,
  ) => {
    const { ada, bob, question } = await asked(world);
    const fyi = world.write({ to: "bob", body: "fyi" });
    await world.apply(ada, fyi);
    const tries: [Agent, MessageId][] = [
      [ada, question],
      [bob, fyi.messageId],
      [bob, asId<MessageId>(world.uuid())],
    ];
    for (const [agent, messageId] of tries) {
      const batch = world.batch(agent, [world.reply(messageId, "Declined to reply: no")]);
      expect(await world.store.declineObligation(messageId, batch, at(1))).toEqual({ status: "not_owed" });
    }
    await world.apply(bob, world.reply(question, "yes"));
    const late = world.batch(bob, [world.reply(question, "Declined to reply: no")]);
    const closed = { status: "closed", declined: false, closedAt: start };
    expect(await world.store.declineObligation(question, late, at(1))).toMatchObject(closed);
    expect((await world.inbox(ada)).map(({ body }) => body)).toEqual(["yes"]);
  },
};

/** Ada has asked bob for a reply. */
async function asked(world: World): Promise<{ ada: Agent; bob: Agent; question: MessageId }> {
  const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
  const write = world.write({ to: "bob", body: "?", expectsReply: true });
  await world.apply(ada, write);
  return { ada, bob, question: write.messageId };
}
