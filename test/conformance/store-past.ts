/** What every twin of the relay's store promises about looking back, and about what is forgotten. */
import { expect } from "bun:test";
import { limits } from "../../src/limits.ts";
import type { Agent, PastPage } from "../../src/store/store.ts";
import { type Promises, start, upTo, type World } from "./store-world.ts";

const day = 24 * 3_600_000;

export const pastPromises: Promises = {
  "a thread shows what the asker sent or got, oldest first, and to people everything": async (world) => {
    const { ada, bob, eve } = await crew(world);
    const first = world.write({ to: "bob", body: "1" });
    await world.apply(ada, first);
    await world.apply(bob, world.reply(first.messageId, "2"));
    await world.apply(ada, world.write({ to: "eve", body: "3", threadId: first.messageId }));
    const thread = async (asker: Agent | undefined) =>
      (
        await world.store.readThread(first.messageId as never, {
          asker: asker?.id,
          before: undefined,
          limit: 9,
        })
      ).messages.map(({ body, self, seq }) => [body, self, seq]);
    expect(await thread(ada)).toEqual([
      ["1", true, undefined],
      ["2", false, 1],
      ["3", true, undefined],
    ]);
    expect(await thread(bob)).toEqual([
      ["1", false, 1],
      ["2", true, undefined],
    ]);
    expect(await thread(eve)).toEqual([["3", false, 1]]);
    expect((await thread(undefined)).map(([body]) => body)).toEqual(["1", "2", "3"]);
    expect(await thread(await world.agent("nobody"))).toEqual([]);
  },

  "a thread and a search are read backwards page by page, without a gap or a repetition": async (world) => {
    const { ada, bob } = await crew(world);
    const first = world.write({ to: "bob", body: "needle 1" });
    await world.apply(ada, first);
    const more = upTo(6).map((n) =>
      world.write({ to: "bob", body: `needle ${n + 1}`, threadId: first.messageId }),
    );
    await world.apply(ada, ...more);
    const bodies = (page: PastPage) => page.messages.map(({ body }) => body.slice(7));
    const thread = (before?: string) =>
      world.store.readThread(first.messageId as never, { asker: bob.id, before: before as never, limit: 3 });
    const newest = await thread();
    expect([bodies(newest), newest.more]).toEqual([["5", "6", "7"], true]);
    const middle = await thread(newest.messages[0]?.id);
    expect([bodies(middle), middle.more]).toEqual([["2", "3", "4"], true]);
    const oldest = await thread(middle.messages[0]?.id);
    expect([bodies(oldest), oldest.more]).toEqual([["1"], false]);
    const found = (before?: string) => search(world, bob, ["needle"], { before, limit: 4 });
    const late = await found();
    expect([bodies(late), late.more]).toEqual([["7", "6", "5", "4"], true]);
    const early = await found(late.messages.at(-1)?.id);
    expect([bodies(early), early.more]).toEqual([["3", "2", "1"], false]);
  },

  "a search finds whole words in any order and case, all of them, newest first": async (world) => {
    const { ada, bob } = await crew(world);
    const bodies = [
      "The quick brown fox",
      "a QUICK fix for the build",
      "quickly done",
      "Überraschung: naïve café",
      "你好 世界",
      'he said "stop" AND left; body : who NOT x*',
    ];
    await world.apply(ada, ...bodies.map((body) => world.write({ to: "bob", body })));
    const found = async (...words: string[]) =>
      (await search(world, bob, words)).messages.map(({ body }) => bodies.indexOf(body));
    expect(await found("quick")).toEqual([1, 0]);
    expect(await found("fox", "QUICK")).toEqual([0]);
    expect(await found("quick", "missing")).toEqual([]);
    expect(await found("uberraschung", "CAFE")).toEqual([3]);
    expect(await found("世界")).toEqual([4]);
    expect(await found('"stop"', "AND")).toEqual([5]);
    expect(await found("body", "NOT")).toEqual([5]);
    expect(await found("qui*")).toEqual([]);
    expect(await found("NEAR(quick")).toEqual([]);
    // A NUL parts words; it ends neither the word nor the query.
    expect(await found("\0fox", "brown\0")).toEqual([0]);
    expect(await found("brown\0fox")).toEqual([0]);
    expect(await found("fox\0brown")).toEqual([]);
  },

  "[P3.10] a search shows an agent only what it sent or got; people see everything": async (world) => {
    const { ada, bob, eve } = await crew(world);
    const direct = world.write({ to: "bob", body: "needle for bob" });
    const all = world.write({ to: "@all", body: "needle for all" });
    const scopes = ["message:send", "message:broadcast"] as const;
    await world.store.applyWrites(world.batch(ada, [direct, all], { scopes }), start);
    await world.apply(eve, world.write({ to: "ada", body: "needle back" }));
    const found = async (asker: Agent | undefined, ...words: string[]) =>
      (await search(world, asker, words)).messages.map(({ body }) => body);
    expect(await found(ada, "needle")).toEqual(["needle back", "needle for all", "needle for bob"]);
    expect(await found(bob, "needle")).toEqual(["needle for all", "needle for bob"]);
    expect(await found(eve, "needle")).toEqual(["needle back", "needle for all"]);
    expect(await found(undefined, "needle")).toHaveLength(3);
    // The ids of sender and recipients are in the search too, and are no words of a text.
    for (const word of [bob.id, bob.id.replaceAll("-", ""), `who : ${bob.id}`])
      expect(await found(eve, word)).toEqual([]);
  },

  "without words a look back gives the newest that the asker got, to people the newest of all": async (
    world,
  ) => {
    const { ada, bob } = await crew(world);
    await world.apply(ada, ...upTo(3).map((n) => world.write({ to: "bob", body: `${n}` })));
    await world.apply(bob, world.write({ to: "ada", body: "4" }));
    const newest = await search(world, bob, [], { limit: 2 });
    expect(newest).toMatchObject({ messages: [{ body: "3", seq: 3 }, { body: "2" }], more: true });
    const older = await search(world, bob, [], { before: newest.messages.at(-1)?.id, limit: 2 });
    expect(older).toMatchObject({ messages: [{ body: "1" }], more: false });
    expect((await search(world, undefined, [])).messages.map(({ body }) => body)).toEqual([
      "4",
      "3",
      "2",
      "1",
    ]);
  },

  "messages are taken into the search in bounded steps, each once": async (world) => {
    await world.unbraked();
    const { ada } = await crew(world);
    const count = limits.searchStepRows + 7;
    await world.apply(ada, ...upTo(count).map(() => world.write({ to: "bob", body: "x" })));
    expect(await world.store.indexMessages()).toBe(limits.searchStepRows);
    expect(await world.store.indexMessages()).toBe(7);
    expect(await world.store.indexMessages()).toBe(0);
    expect(await search(world, ada, ["x"], { limit: 1 })).toMatchObject({ more: true });
  },

  "[P2.19] old messages are forgotten, but not what is unread, owed, or the newest": async (world) => {
    const { ada, bob, eve } = await crew(world);
    const [old, owed, unread, young] = [
      world.write({ to: "bob", body: "needle old" }),
      world.write({ to: "bob", body: "needle owed", expectsReply: true }),
      world.write({ to: "eve", body: "needle unread" }),
      world.write({ to: "bob", body: "needle young" }),
    ];
    await world.store.applyWrites(world.batch(ada, [old, owed, unread]), start);
    await world.store.applyWrites(world.batch(ada, [young]), start + 2 * day);
    await world.store.acknowledgeInbox(bob.id, 3, start);
    await world.store.indexMessages();
    expect(await forget(world, start + day)).toBe(1);
    const left = async () => (await search(world, undefined, ["needle"])).messages.map(({ body }) => body);
    expect(await left()).toEqual(["needle young", "needle unread", "needle owed"]);
    expect(await world.store.findMessage(bob.id, old.messageId)).toBeUndefined();
    expect((await world.inbox(bob)).map(({ seq }) => seq)).toEqual([2, 3]);
    await world.apply(bob, world.reply(owed.messageId, "here"));
    await world.store.acknowledgeInbox(eve.id, 1, start);
    expect(await forget(world, start + day)).toBe(2);
    expect(await left()).toEqual(["needle young"]);
    expect(await forget(world, start + 9 * day)).toBe(1);
    expect(await forget(world, start + 9 * day)).toBe(0);
    expect((await world.inbox(ada)).map(({ body }) => body)).toEqual(["here"]);
  },

  "what only a removed agent has not read is forgotten": async (world) => {
    const { ada, bob } = await crew(world);
    await world.apply(ada, world.write({ to: "eve", body: "x" }), world.write({ to: "bob", body: "y" }));
    await world.store.acknowledgeInbox(bob.id, 1, start);
    expect(await forget(world, start + day)).toBe(0);
    await world.store.removeAgent("eve", start);
    expect(await forget(world, start + day)).toBe(1);
  },

  "what was forgotten before it was taken into the search harms nothing, and numbers go on": async (
    world,
  ) => {
    const { ada, bob } = await crew(world);
    await world.apply(ada, ...upTo(3).map((n) => world.write({ to: "bob", body: `gone ${n}` })));
    await world.store.acknowledgeInbox(bob.id, 3, start);
    expect(await forget(world, start + day)).toBe(2);
    await world.apply(ada, world.write({ to: "bob", body: "needle" }));
    expect((await search(world, bob, ["needle"])).messages).toHaveLength(1);
    expect((await search(world, bob, ["gone"])).messages.map(({ body }) => body)).toEqual(["gone 3"]);
  },

  "a reply to a message that was forgotten is placed by its record": async (world) => {
    const { ada, bob } = await crew(world);
    const question = world.write({ to: "bob", body: "old question" });
    await world.apply(ada, question, world.write({ to: "bob", body: "newer" }));
    await world.store.acknowledgeInbox(bob.id, 2, start);
    await forget(world, start + day);
    const parent = { from: "ada", threadId: question.messageId as string };
    const { outcomes } = await world.apply(bob, world.reply(question.messageId, "late answer", { parent }));
    expect(outcomes).toMatchObject([{ status: "committed" }]);
    expect(await world.inbox(ada)).toMatchObject([{ body: "late answer", threadId: question.messageId }]);
  },
};

async function crew(world: World) {
  return { ada: await world.agent("ada"), bob: await world.agent("bob"), eve: await world.agent("eve") };
}

function search(
  world: World,
  asker: Agent | undefined,
  words: string[],
  { before, limit = 9 }: { before?: string | undefined; limit?: number } = {},
): Promise<PastPage> {
  return world.store.searchMessages({ asker: asker?.id, before: before as never, limit, words });
}

/** Forgets all that may be, step by step; how many messages went. */
async function forget(world: World, before: number): Promise<number> {
  let gone = 0;
  for (let after: number | undefined = 0; after !== undefined; ) {
    const step = await world.store.pruneMessages({ before, after });
    gone += step.gone;
    after = step.next;
  }
  return gone;
}
