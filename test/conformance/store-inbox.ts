/** What every twin of the relay's store promises about reading, forgetting and lasting. */
import { expect } from "bun:test";
import { limits } from "../../src/limits.ts";
import { defaultProfile } from "../../src/wire/scope.ts";
import { applied, keyWindowMs, type Promises, start, upTo, type World } from "./store-world.ts";

export const inboxPromises: Promises = {
  "an inbox is read by pages in order, all of it or what is unread": async (world) => {
    const { bob } = await filled(world, 10);
    const read = (afterSeq: number, unread: boolean, limit: number) =>
      world.store.readInbox({ agentId: bob.id, afterSeq, unread, limit });
    const seqs = async (...query: Parameters<typeof read>) => {
      const { messages, more } = await read(...query);
      return [messages.map(({ seq }) => seq), more];
    };
    expect(await seqs(0, false, 4)).toEqual([[1, 2, 3, 4], true]);
    expect(await seqs(4, false, 6)).toEqual([[5, 6, 7, 8, 9, 10], false]);
    expect(await seqs(10, false, 4)).toEqual([[], false]);
    await world.store.acknowledgeInbox(bob.id, 7, start);
    expect(await seqs(0, true, 2)).toEqual([[8, 9], true]);
    expect(await seqs(8, true, 9)).toEqual([[9, 10], false]);
    expect(await seqs(0, false, 1)).toEqual([[1], true]);
    expect(await read(0, true, 1)).toMatchObject({ newestSeq: 10, acknowledgedSeq: 7 });
  },

  "a page ends early rather than grow without bound, and nothing is left out": async (world) => {
    const body = "x".repeat(limits.messageBodyBytesMax);
    const { bob } = await filled(world, 12, body);
    const page = await world.store.readInbox({ agentId: bob.id, afterSeq: 0, unread: false, limit: 200 });
    expect(page.more).toBe(true);
    expect(page.messages.length).toBe(limits.inboxPageBytesMax / limits.messageBodyBytesMax);
    expect((await world.inbox(bob)).map(({ seq }) => seq)).toEqual(upTo(12));
  },

  "the acknowledged seq never goes back and never past the newest": async (world) => {
    const { bob } = await filled(world, 5);
    const acknowledge = (seq: number) => world.store.acknowledgeInbox(bob.id, seq, start);
    expect(await acknowledge(3)).toBe(3);
    expect(await acknowledge(2)).toBe(3);
    expect(await acknowledge(0)).toBe(3);
    expect((await world.store.counts()).unread).toBe(2);
    expect(await acknowledge(99)).toBe(5);
    expect(await Promise.all([acknowledge(1), acknowledge(4)])).toEqual([5, 5]);
    expect((await world.store.counts()).unread).toBe(0);
  },

  "an agent that does not exist has an empty inbox": async (world) => {
    const agentId = world.uuid() as never;
    expect(await world.store.readInbox({ agentId, afterSeq: 0, unread: true, limit: 5 })).toEqual({
      messages: [],
      more: false,
      newestSeq: 0,
      acknowledgedSeq: 0,
    });
    expect(await world.store.acknowledgeInbox(agentId, 3, start)).toBe(0);
  },

  "a message is found by its recipient and its sender, and by nobody else": async (world) => {
    const [ada, bob, eve] = [await world.agent("ada"), await world.agent("bob"), await world.agent("eve")];
    await world.apply(eve, world.write({ to: "bob", body: "other" }));
    const write = world.write({ to: "bob", body: "x" });
    await world.apply(ada, write);
    const [, stored] = await world.inbox(bob);
    expect(stored).toMatchObject({ id: write.messageId, seq: 2 });
    expect(await world.store.findMessage(bob.id, write.messageId)).toEqual(stored as never);
    expect(await world.store.findMessage(ada.id, write.messageId)).toEqual(stored as never);
    expect(await world.store.findMessage(eve.id, write.messageId)).toBeUndefined();
    expect(await world.store.findMessage(bob.id, world.uuid() as never)).toBeUndefined();
  },

  "outcomes older than the window and expired agent tokens are forgotten, nothing else": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const [old, young] = [world.write({ to: "bob", body: "old" }), world.write({ to: "bob", body: "young" })];
    await world.apply(ada, old);
    await world.store.applyWrites(world.batch(ada, [young]), start + 10);
    const short = await world.store.addToken(world.token({ kind: "agent", expiresAt: start + 5 }), start);
    const long = await world.store.addToken(
      world.token({ kind: "agent", expiresAt: start + 2 * keyWindowMs }),
      start,
    );
    const now = start + keyWindowMs + 1;
    expect(await world.store.prune(now, keyWindowMs)).toBe(2);
    expect(await world.store.prune(now, keyWindowMs)).toBe(0);
    const left = (await world.store.listTokens(start)).map(({ id }) => id);
    expect(left).toContain(long.id);
    expect(left).not.toContain(short.id);
    expect(await world.inbox(bob)).toHaveLength(2);
    const again = await world.store.applyWrites(
      world.batch(
        ada,
        [old, young].map((write) => ({ ...write, enqueuedAt: new Date(now).toISOString() })),
      ),
      now,
    );
    expect(applied(again).outcomes).toMatchObject([
      { status: "rejected", code: "id_taken" },
      { status: "committed", replayed: true },
    ]);
  },

  "more than one step of forgetting is done in one call": async (world) => {
    await world.unbraked();
    const ada = await world.agent("ada");
    const unbraked = { ...defaultProfile.limits, burst: 1_000_000 };
    await world.store.setProfile({ ...defaultProfile, limits: unbraked }, start);
    const count = limits.pruneRowsMax + 1;
    const writes = upTo(count).map(() => world.write({ to: "nobody", body: "x" }));
    await world.apply(ada, ...writes);
    expect(await world.store.prune(start + keyWindowMs + 1, keyWindowMs)).toBe(count);
  },

  "everything is there after the store was closed and opened again": async (world) => {
    const { ada, bob } = await filled(world, 3);
    const write = world.write({ to: "bob", body: "4", expectsReply: true });
    await world.apply(ada, write);
    await world.store.acknowledgeInbox(bob.id, 2, start);
    const [before, counts] = [await world.inbox(bob), await world.store.counts()];
    const store = await world.reopen();
    expect(store.identity).toEqual(world.store.identity);
    expect(store.identity).toMatchObject({
      generation: 1,
      relayId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const page = await store.readInbox({ agentId: bob.id, afterSeq: 0, unread: false, limit: 9 });
    expect(page).toEqual({ messages: before, more: false, newestSeq: 4, acknowledgedSeq: 2 });
    expect(await store.counts()).toEqual(counts);
    expect(applied(await store.applyWrites(world.batch(ada, [write]), start)).outcomes).toMatchObject([
      { status: "committed", replayed: true },
    ]);
  },

  "what was asked before the store is closed is done; what is asked after it throws": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const asked = world.apply(ada, world.write({ to: "bob", body: "x" }));
    const closed = world.store.close();
    expect((await asked).outcomes).toMatchObject([{ status: "committed" }]);
    await closed;
    await world.store.close();
    await expect(world.store.agentById(bob.id)).rejects.toThrow("closed");
  },
};

async function filled(world: World, count: number, body = "x") {
  const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
  await world.apply(ada, ...upTo(count).map(() => world.write({ to: "bob", body })));
  return { ada, bob };
}
