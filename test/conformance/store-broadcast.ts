/** What every twin of the relay's store promises about messages to many, and about messages that are passed on. */
import { expect } from "bun:test";
import { limits } from "../../src/limits.ts";
import type { Agent, Write } from "../../src/store/store.ts";
import { applied, type Promises, start, upTo, type World } from "./store-world.ts";

export const broadcastPromises: Promises = {
  "[P2.8] [P2.20] a message to a channel is one message for every member but its sender, each with a seq of its own":
    async (world) => {
      const { ada, bob, eve } = await crew(world);
      await joined(world, "#build", ada, bob, eve);
      await world.apply(ada, world.write({ to: "eve", body: "before" }));
      const write = world.write({ to: "#build", body: "to all of you" });
      const { outcomes, woken } = await cast(world, ada, write);
      expect(outcomes).toMatchObject([{ status: "committed" }]);
      expect(woken.toSorted()).toEqual([bob.id, eve.id].toSorted());
      expect(await world.inbox(ada)).toEqual([]);
      expect(await world.inbox(bob)).toMatchObject([
        { id: write.messageId, seq: 1, to: "#build", from: "ada" },
      ]);
      expect(await world.inbox(eve)).toMatchObject([
        { seq: 1 },
        { id: write.messageId, seq: 2, to: "#build" },
      ]);
      expect((await world.store.counts()).messages).toBe(2);
    },

  "a message to a channel is for those who are in it at that moment": async (world) => {
    const { ada, bob, eve } = await crew(world);
    await joined(world, "#build", bob);
    await cast(world, ada, world.write({ to: "#build", body: "1" }));
    await joined(world, "#build", eve);
    await cast(world, ada, world.write({ to: "#build", body: "2" }));
    await world.store.leaveChannel("#build", bob.id);
    await cast(world, ada, world.write({ to: "#build", body: "3" }));
    expect((await world.inbox(bob)).map(({ body }) => body)).toEqual(["1", "2"]);
    expect((await world.inbox(eve)).map(({ body }) => body)).toEqual(["2", "3"]);
  },

  "a message to @all is for every agent but its sender, and not for the operator": async (world) => {
    await world.store.createOperator(world.uuid() as never, world.token({ kind: "operator" }), start);
    const { ada, bob, eve } = await crew(world);
    const { woken } = await cast(world, ada, world.write({ to: "@all", body: "x" }));
    expect(woken.toSorted()).toEqual([bob.id, eve.id].toSorted());
    const operator = await world.store.agentByName("operator");
    expect(operator === undefined ? [] : await world.inbox(operator)).toEqual([]);
    expect(await world.inbox(bob)).toMatchObject([{ to: "@all" }]);
  },

  "[P3.7] a message to many needs message:broadcast at that moment": async (world) => {
    const { ada, bob } = await crew(world);
    await joined(world, "#build", bob);
    const writes = ["#build", "@all"].map((to) => world.write({ to, body: "x" }));
    const { outcomes } = await world.apply(ada, ...writes);
    expect(outcomes).toMatchObject([
      { status: "rejected", code: "forbidden", detail: expect.stringContaining("message:broadcast") },
      { status: "rejected", code: "forbidden" },
    ]);
    expect(await world.inbox(bob)).toEqual([]);
  },

  "a message to nobody is refused: an unknown channel, one without another member": async (world) => {
    const { ada } = await crew(world);
    await joined(world, "#mine", ada);
    const { outcomes } = await cast(
      world,
      ada,
      world.write({ to: "#none", body: "x" }),
      world.write({ to: "#mine", body: "x" }),
    );
    expect(outcomes).toMatchObject([
      { code: "recipient_unknown", detail: expect.stringContaining("no channel of that name") },
      { code: "recipient_unknown", detail: expect.stringContaining("nobody but you") },
    ]);
  },

  "a message has at most as many recipients as the limit; one more is refused and nobody gets it": async (
    world,
  ) => {
    const [ada, ...others] = await Promise.all(
      upTo(limits.fanOutMax + 2).map((n) => world.agent(`agent-${n}`)),
    );
    if (ada === undefined) throw new Error("there is no first agent");
    const most = others.slice(0, limits.fanOutMax);
    await joined(world, "#many", ...most);
    const { outcomes } = await cast(
      world,
      ada,
      world.write({ to: "@all", body: "too many" }),
      world.write({ to: "#many", body: "just enough" }),
    );
    expect(outcomes).toMatchObject([{ code: "too_many_recipients" }, { status: "committed" }]);
    const last = others.at(-1);
    if (last === undefined) throw new Error("there is no last agent");
    expect(await world.inbox(last)).toEqual([]);
    for (const agent of [most[0], most.at(-1)])
      expect(await world.inbox(agent as Agent)).toMatchObject([{ seq: 1, body: "just enough" }]);
    expect(await world.store.joinChannel("#many", ada.id, start)).toMatchObject({ status: "joined" });
    expect(await world.store.joinChannel("#many", last.id, start)).toEqual({
      status: "full",
      what: "members",
    });
  },

  "P2: of equal broadcasts at the same time one takes effect, and inboxes stay without gaps [P2.7]": async (
    world,
  ) => {
    const { ada, bob, eve } = await crew(world);
    const write = world.write({ to: "@all", body: "once" });
    await Promise.all([
      ...upTo(10).map(() => cast(world, ada, write)),
      ...upTo(5).map((n) => cast(world, bob, world.write({ to: "@all", body: `${n}` }))),
    ]);
    const inbox = await world.inbox(eve);
    expect(inbox.map(({ seq }) => seq)).toEqual(upTo(6));
    expect(inbox.filter(({ body }) => body === "once")).toHaveLength(1);
  },

  "a reply to a message to many goes to its sender alone, in its thread": async (world) => {
    const { ada, bob, eve } = await crew(world);
    const question = world.write({ to: "@all", body: "who?" });
    await cast(world, ada, question);
    await world.apply(bob, world.reply(question.messageId, "me"));
    expect(await world.inbox(ada)).toMatchObject([
      { body: "me", to: "ada", threadId: question.messageId, replyTo: question.messageId },
    ]);
    expect(await world.inbox(eve)).toHaveLength(1);
  },

  "urgent is said of the message and changes nothing else": async (world) => {
    const { ada, bob } = await crew(world);
    await world.apply(
      ada,
      world.write({ to: "bob", body: "1", priority: "normal" }),
      world.write({ to: "bob", body: "2", priority: "urgent" }),
    );
    const [normal, urgent] = await world.inbox(bob);
    expect(normal).not.toHaveProperty("urgent");
    expect(urgent).toMatchObject({ seq: 2, urgent: true });
  },

  "a message that is passed on brings the original as its own sender wrote it, and counts hops": async (
    world,
  ) => {
    const { ada, bob, eve } = await crew(world);
    const first = world.write({ to: "bob", body: "the build is red" });
    await world.apply(ada, first);
    const second = world.write({ to: "eve", body: "see this", forwardOf: first.messageId });
    await world.apply(bob, second);
    expect(await world.inbox(eve)).toMatchObject([
      {
        body: "see this",
        from: "bob",
        hops: 1,
        threadId: second.messageId,
        forwarded: {
          id: first.messageId,
          from: "ada",
          body: "the build is red",
          createdAt: new Date(start).toISOString(),
        },
      },
    ]);
    await world.apply(eve, world.write({ to: "ada", body: "yours", forwardOf: second.messageId }));
    expect(await world.inbox(ada)).toMatchObject([{ hops: 2, forwarded: { from: "bob", body: "see this" } }]);
  },

  "nobody passes on what it has neither sent nor got": async (world) => {
    const { ada, eve } = await crew(world);
    const secret = world.write({ to: "bob", body: "for bob" });
    await world.apply(ada, secret);
    const { outcomes } = await world.apply(
      eve,
      world.write({ to: "ada", body: "x", forwardOf: secret.messageId }),
      world.write({ to: "ada", body: "x", forwardOf: world.uuid() }),
    );
    expect(outcomes).toMatchObject([{ code: "parent_unknown" }, { code: "parent_unknown" }]);
    const own = await world.apply(ada, world.write({ to: "eve", body: "x", forwardOf: secret.messageId }));
    expect(own.outcomes).toMatchObject([{ status: "committed" }]);
  },

  "a channel begins with its first member and ends with its last; joining twice is joining": async (
    world,
  ) => {
    const { ada, bob } = await crew(world);
    expect(await world.store.listChannels()).toEqual([]);
    const join = (agent: Agent) => world.store.joinChannel("#build", agent.id, start);
    expect(await join(bob)).toEqual({ status: "joined", members: ["bob"], made: true });
    expect(await join(ada)).toEqual({ status: "joined", members: ["ada", "bob"], made: false });
    expect(await join(ada)).toEqual({ status: "joined", members: ["ada", "bob"], made: false });
    expect(await world.store.listChannels()).toEqual([{ name: "#build", members: 2, createdAt: start }]);
    expect(await world.store.channelMembers("#build")).toEqual([
      { id: ada.id, name: "ada", joinedAt: start },
      { id: bob.id, name: "bob", joinedAt: start },
    ]);
    expect(await world.store.channelsOf(ada.id)).toEqual(["#build"]);
    expect(await world.store.leaveChannel("#build", ada.id)).toBe(true);
    expect(await world.store.leaveChannel("#build", ada.id)).toBe(false);
    expect(await world.store.leaveChannel("#build", bob.id)).toBe(true);
    expect(await world.store.listChannels()).toEqual([]);
    expect(await world.store.channelMembers("#build")).toBeUndefined();
  },
};

async function crew(world: World) {
  return { ada: await world.agent("ada"), bob: await world.agent("bob"), eve: await world.agent("eve") };
}

async function joined(world: World, channel: string, ...agents: Agent[]): Promise<void> {
  for (const { id } of agents) await world.store.joinChannel(channel, id, start);
}

/** Writes by a sender that may write to many. */
async function cast(world: World, sender: Agent, ...writes: Write[]) {
  const scopes = ["message:send", "message:broadcast"] as const;
  return applied(await world.store.applyWrites(world.batch(sender, writes, { scopes }), start));
}
