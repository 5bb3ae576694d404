/** What every twin of the relay's store promises about how far messages have got, and about showing them again. */
import { expect } from "bun:test";
import { limits } from "../../src/limits.ts";
import type { Agent } from "../../src/store/store.ts";
import { type ReportedStage, stages } from "../../src/wire/receipt.ts";
import { type Promises, start, upTo, type World } from "./store-world.ts";

export const receiptPromises: Promises = {
  "[P5.11] a message goes from step to step, each with its time, and never back": async (world) => {
    const { ada, bob, ids } = await sent(world, 1);
    const [id = ""] = ids;
    const report = (stage: ReportedStage, at: number) =>
      world.store.reportReceipts({ agentId: bob.id, stage, messageIds: [id as never] }, at);
    expect(await timesOf(world, ada, id)).toEqual({ stored: start });
    expect(await report("handed", start + 1)).toBe(1);
    expect(await report("handed", start + 2)).toBe(0);
    expect(await report("injected", start + 3)).toBe(1);
    expect(await report("handed", start + 4)).toBe(0);
    expect(await report("read", start + 5)).toBe(1);
    await world.store.applyWrites(world.batch(bob, [world.reply(id, "yes")]), start + 6);
    expect(await report("injected", start + 7)).toBe(0);
    expect(await timesOf(world, ada, id)).toEqual({
      stored: start,
      handed: start + 1,
      injected: start + 3,
      read: start + 5,
      replied: start + 6,
    });
  },

  "[P5.11] steps may be missing, and one that comes after a later one is not filled in": async (world) => {
    const { ada, bob, ids } = await sent(world, 1);
    const [id = ""] = ids;
    await world.store.acknowledgeInbox(bob.id, 1, start + 1);
    for (const stage of ["handed", "injected", "read"] as const)
      await world.store.reportReceipts({ agentId: bob.id, stage, messageIds: [id as never] }, start + 2);
    expect(await timesOf(world, ada, id)).toEqual({ stored: start, read: start + 1 });
  },

  "every order of reports leaves the steps in order": async (world) => {
    const { ada, bob } = await sent(world, 0);
    const orders = [
      ["read", "injected", "handed"],
      ["injected", "handed", "read"],
      ["handed", "read", "injected"],
    ] as const;
    for (const order of orders) {
      const write = world.write({ to: "bob", body: "x" });
      await world.apply(ada, write);
      for (const [n, stage] of order.entries())
        await world.store.reportReceipts(
          { agentId: bob.id, stage, messageIds: [write.messageId] },
          start + 1 + n,
        );
      const times = await timesOf(world, ada, write.messageId);
      const known = stages.map((stage) => times[stage]).filter((time) => time !== undefined);
      expect(known).toEqual(known.toSorted((a, b) => a - b));
    }
  },

  "only the recipient's own messages move, and only the sender or people hear of it": async (world) => {
    const { ada, bob, ids } = await sent(world, 1);
    const eve = await world.agent("eve");
    const [id = ""] = ids;
    const report = { stage: "read", messageIds: [id as never, world.uuid() as never] } as const;
    expect(await world.store.reportReceipts({ agentId: eve.id, ...report }, start)).toBe(0);
    expect(await world.store.reportReceipts({ agentId: ada.id, ...report }, start)).toBe(0);
    const asked = (sender: Agent | undefined) =>
      world.store.messageStatus({ id: id as never, sender: sender?.id });
    expect(await asked(bob)).toBeUndefined();
    expect(await asked(eve)).toBeUndefined();
    const known = { id, from: "ada", to: "bob", threadId: id, createdAt: start } as never;
    expect(await asked(ada)).toMatchObject(known);
    expect(await asked(undefined)).toMatchObject(known);
    expect(await world.store.messageStatus({ id: world.uuid() as never, sender: undefined })).toBeUndefined();
  },

  "a message to many has steps for each recipient": async (world) => {
    const [ada, bob, eve] = [await world.agent("ada"), await world.agent("bob"), await world.agent("eve")];
    const write = world.write({ to: "@all", body: "x" });
    const scopes = ["message:send", "message:broadcast"] as const;
    await world.store.applyWrites(world.batch(ada, [write], { scopes }), start);
    await world.store.acknowledgeInbox(bob.id, 1, start + 1);
    const status = await world.store.messageStatus({ id: write.messageId, sender: ada.id });
    expect(status?.recipients.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
      { name: "bob", times: { stored: start, read: start + 1 } },
      { name: eve.name, times: { stored: start } },
    ]);
  },

  "what was read one by one is unread no more, and is acknowledged once nothing before it is unread": async (
    world,
  ) => {
    const { bob, ids } = await sent(world, 4);
    const read = (...which: number[]) =>
      world.store.reportReceipts(
        { agentId: bob.id, stage: "read", messageIds: which.map((n) => ids[n - 1] as never) },
        start,
      );
    const unread = async () => {
      const page = await world.store.readInbox({ agentId: bob.id, afterSeq: 0, unread: true, limit: 9 });
      return [page.acknowledgedSeq, ...page.messages.map(({ seq }) => seq)];
    };
    await read(3);
    expect(await unread()).toEqual([0, 1, 2, 4]);
    await read(1);
    expect(await unread()).toEqual([1, 2, 4]);
    await read(2);
    expect(await unread()).toEqual([3, 4]);
    await read(4);
    expect(await unread()).toEqual([4]);
  },

  "what was replied to is unread no more": async (world) => {
    const { bob, ids } = await sent(world, 2);
    await world.apply(bob, world.reply(ids[0] ?? "", "done"));
    const page = await world.store.checkInbox({ agentId: bob.id, limit: 9 });
    expect(page.messages.map(({ seq }) => seq)).toEqual([2]);
  },

  "more than one step of acknowledging is done in one call": async (world) => {
    await world.unbraked();
    const { bob } = await sent(world, limits.pruneRowsMax + 5);
    expect(await world.store.acknowledgeInbox(bob.id, limits.pruneRowsMax + 3, start)).toBe(
      limits.pruneRowsMax + 3,
    );
    expect(await world.store.acknowledgeInbox(bob.id, Number.MAX_SAFE_INTEGER, start)).toBe(
      limits.pruneRowsMax + 5,
    );
  },

  "[P5.12] a check marks what an earlier check gave, or what the agent's program took before, and nothing else":
    async (world) => {
      const { ada, bob, ids } = await sent(world, 3);
      const check = async (limit = 9) =>
        (await world.store.checkInbox({ agentId: bob.id, limit })).messages.map(
          ({ seq, redelivered }) => [seq, redelivered === true] as const,
        );
      await world.store.reportReceipts(
        { agentId: bob.id, stage: "handed", messageIds: ids.map((id) => id as never) },
        start,
      );
      await world.store.reportReceipts(
        { agentId: bob.id, stage: "injected", messageIds: [ids[1] as never] },
        start,
      );
      expect(await check(2)).toEqual([
        [1, false],
        [2, true],
      ]);
      expect(await check()).toEqual([
        [1, true],
        [2, true],
        [3, false],
      ]);
      await world.store.acknowledgeInbox(bob.id, 2, start);
      await world.apply(ada, world.write({ to: "bob", body: "4" }));
      expect(await check()).toEqual([
        [3, true],
        [4, false],
      ]);
    },

  "[P5.12] a page for a feed marks what was handed over before and not read yet; a page for people marks nothing":
    async (world) => {
      const { bob, ids } = await sent(world, 3);
      const handed = (...which: number[]) =>
        world.store.reportReceipts(
          { agentId: bob.id, stage: "handed", messageIds: which.map((n) => ids[n - 1] as never) },
          start,
        );
      await handed(1, 2);
      await world.store.acknowledgeInbox(bob.id, 1, start);
      const marks = async (marksRedelivered: boolean) => {
        const query = { agentId: bob.id, afterSeq: 0, unread: false, limit: 9, marksRedelivered };
        return (await world.store.readInbox(query)).messages.map(({ redelivered }) => redelivered === true);
      };
      expect(await marks(true)).toEqual([false, true, false]);
      expect(await marks(false)).toEqual([false, false, false]);
    },
};

/** `count` messages from ada to bob. */
async function sent(world: World, count: number) {
  const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
  const writes = upTo(count).map((n) => world.write({ to: "bob", body: `${n}` }));
  for (let from = 0; from < writes.length; from += 500)
    await world.apply(ada, ...writes.slice(from, from + 500));
  return { ada, bob, ids: writes.map(({ messageId }) => messageId as string) };
}

async function timesOf(world: World, sender: Agent, id: string) {
  const status = await world.store.messageStatus({ id: id as never, sender: sender.id });
  return status?.recipients[0]?.times ?? {};
}
