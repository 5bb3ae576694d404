/** What every twin of the relay's store promises about replies and the obligations they end. */
import { expect } from "bun:test";
import type { Agent } from "../../src/store/store.ts";
import type { MessageId, ThreadId } from "../../src/wire/id.ts";
import { type Promises, start, type World } from "./store-world.ts";

export const replyPromises: Promises = {
  "a reply goes to the sender, in the thread, and ends the obligation": async (world) => {
    const { ada, bob, question } = await asked(world);
    expect(await world.inbox(bob)).toMatchObject([{ id: question, expectsReply: true }]);
    expect((await world.store.counts()).obligationsOpen).toBe(1);
    const { woken } = await world.apply(bob, world.reply(question, "yes"));
    expect(woken).toEqual([ada.id]);
    const [answer] = await world.inbox(ada);
    expect(answer).toMatchObject({
      from: "bob",
      to: "ada",
      body: "yes",
      threadId: question,
      replyTo: question,
    });
    expect(answer).not.toHaveProperty("late");
    expect((await world.store.counts()).obligationsOpen).toBe(0);
  },

  "a reply to an obligation that has ended is late; of two at the same time one is": async (world) => {
    const { ada, bob, question } = await asked(world);
    await Promise.all([
      world.apply(bob, world.reply(question, "a")),
      world.apply(bob, world.reply(question, "b")),
    ]);
    await world.apply(bob, world.reply(question, "c"));
    const answers = await world.inbox(ada);
    expect(answers.map(({ late }) => late === true)).toEqual([false, true, true]);
    expect(answers.every(({ threadId }) => threadId === question)).toBe(true);
  },

  "a replayed reply ends nothing twice": async (world) => {
    const { ada, bob, question } = await asked(world);
    const reply = world.reply(question, "yes");
    await world.apply(bob, reply, reply);
    expect(await world.inbox(ada)).toHaveLength(1);
  },

  "a reply to a message that wanted none is not late and owes nothing": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const write = world.write({ to: "bob", body: "fyi", threadId: world.uuid() });
    await world.apply(ada, write);
    await world.apply(bob, world.reply(write.messageId, "thanks"));
    const [answer] = await world.inbox(ada);
    expect(answer).toMatchObject({ threadId: write.arguments.threadId, expectsReply: false });
    expect(answer).not.toHaveProperty("late");
    expect((await world.store.counts()).obligationsOpen).toBe(0);
  },

  "a write may refer to a message of the same batch": async (world) => {
    const ada = await world.agent("ada");
    const note = world.write({ to: "ada", body: "to myself", expectsReply: true });
    const { outcomes, woken } = await world.apply(ada, note, world.reply(note.messageId, "noted"));
    expect(outcomes.map(({ status }) => status)).toEqual(["committed", "committed"]);
    expect(woken).toEqual([ada.id]);
    expect((await world.inbox(ada)).map(({ body, seq }) => [body, seq])).toEqual([
      ["to myself", 1],
      ["noted", 2],
    ]);
    expect((await world.store.counts()).obligationsOpen).toBe(0);
  },

  "a parent that is not known is placed by what the record says of it, else refused": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const [lost, threadId] = [world.uuid(), world.uuid()];
    const { outcomes } = await world.apply(
      bob,
      world.reply(lost, "placed", { parent: { from: "ada", threadId } }),
      world.reply(lost, "not placed"),
      world.reply(lost, "nobody there", { parent: { from: "nobody", threadId } }),
    );
    expect(outcomes).toMatchObject([
      { status: "committed", result: { structuredContent: { threadId } } },
      { status: "rejected", code: "parent_unknown" },
      { status: "rejected", code: "recipient_unknown" },
    ]);
    expect(await world.inbox(ada)).toMatchObject([{ body: "placed", threadId, replyTo: lost, from: "bob" }]);
  },

  "a reply is only to a message of one's own inbox, whatever the record says": async (world) => {
    const { ada, bob, question } = await asked(world);
    const eve = await world.agent("eve");
    const parent = { from: "ada", threadId: question };
    const own = await world.apply(ada, world.reply(question, "to what I sent"));
    const foreign = await world.apply(
      eve,
      world.reply(question, "x"),
      world.reply(question, "y", { parent }),
    );
    expect(own.outcomes).toMatchObject([
      { code: "bad_request", detail: expect.stringMatching(/sent it yourself/) },
    ]);
    expect(foreign.outcomes).toMatchObject([{ code: "parent_unknown" }, { code: "parent_unknown" }]);
    expect(await world.inbox(ada)).toEqual([]);
    expect(await world.inbox(bob)).toHaveLength(1);
    expect((await world.store.counts()).obligationsOpen).toBe(1);
  },

  "the operator is a sender and recipient like any other": async (world) => {
    await world.store.createOperator(world.uuid() as never, world.token({ kind: "operator" }), start);
    const operator = (await world.store.agentByName("operator")) as Agent;
    const ada = await world.agent("ada");
    const order = world.write({ to: "ada", body: "report", expectsReply: true });
    await world.apply(operator, order);
    await world.apply(ada, world.reply(order.messageId, "done"));
    expect(await world.inbox(ada)).toMatchObject([{ from: "operator", fromKind: "operator" }]);
    expect(await world.inbox(operator)).toMatchObject([{ from: "ada", fromKind: "agent", to: "operator" }]);
  },
};

/** ada has asked bob something that wants a reply. */
async function asked(world: World): Promise<{ ada: Agent; bob: Agent; question: MessageId & ThreadId }> {
  const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
  const write = world.write({ to: "bob", body: "ready?", expectsReply: true });
  await world.apply(ada, write);
  return { ada, bob, question: write.messageId as MessageId & ThreadId };
}
