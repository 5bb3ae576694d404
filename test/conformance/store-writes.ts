/** What every twin of the relay's store promises about writes: exactly once, in order, all or nothing. */
import { expect } from "bun:test";
import { limits } from "../../src/limits.ts";
import type { Write } from "../../src/store/store.ts";
import type { ErrorCode } from "../../src/wire/error.ts";
import { receiptSchema } from "../../src/wire/receipt.ts";
import { applied, committed, keyWindowMs, type Promises, start, upTo, type World } from "./store-world.ts";

export const writePromises: Promises = {
  "a write becomes a message in its recipient's inbox, and the sender gets a receipt": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const write = world.write({ to: "bob", body: "hello" });
    const { outcomes, woken } = await world.apply(ada, write);
    expect(woken).toEqual([bob.id]);
    expect(outcomes).toMatchObject([{ status: "committed", key: write.key, replayed: false }]);
    const { result } = committed(outcomes[0]);
    expect(result.isError).toBe(false);
    expect(receiptSchema.parse(result.structuredContent)).toMatchObject({
      delivery: "sent",
      queued: false,
      tool: "relay_send_message",
      idempotencyKey: write.key,
      messageId: write.messageId,
      threadId: write.messageId,
    });
    expect(await world.inbox(bob)).toEqual([
      {
        id: write.messageId,
        seq: 1,
        from: "ada",
        fromKind: "agent",
        to: "bob",
        body: "hello",
        threadId: write.messageId,
        expectsReply: false,
        createdAt: new Date(start).toISOString(),
      },
    ]);
  },

  "P2: a key seen before gives the stored outcome and does nothing [P2.7]": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const write = world.write({ to: "bob", body: "once" });
    const first = await world.apply(ada, write, write);
    const again = await world.apply(ada, write);
    const replayed = { ...first.outcomes[0], replayed: true };
    expect(first.outcomes[1]).toEqual(replayed as never);
    expect(again).toEqual({ status: "applied", outcomes: [replayed as never], woken: [] });
    expect(await world.inbox(bob)).toHaveLength(1);
  },

  "P2: what became of a key is told to its sender alone, and asking changes nothing [P2.17]": async (
    world,
  ) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const sent = world.write({ to: "bob", body: "hello" });
    const refused = world.write({ to: "nobody", body: "hello" });
    const never = world.write({ to: "bob", body: "never sent" });
    const { outcomes } = await world.apply(ada, sent, refused);
    const keys = [refused, never, sent].map(({ key }) => key);
    expect(await world.store.findOutcomes({ sender: ada.id, keys })).toEqual({
      status: "found",
      outcomes: [outcomes[1], undefined, { ...outcomes[0], replayed: true } as never],
    });
    expect(await world.store.findOutcomes({ sender: bob.id, keys })).toEqual({
      status: "found",
      outcomes: [undefined, undefined, undefined],
    });
    const late = await world.apply(ada, never);
    expect(late.outcomes).toMatchObject([{ status: "committed", replayed: false }]);
  },

  "P2: of equal writes at the same time one takes effect": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const write = world.write({ to: "bob", body: "once" });
    const results = await Promise.all(upTo(20).map(() => world.apply(ada, write)));
    expect(results.filter(({ woken }) => woken.length === 1)).toHaveLength(1);
    expect(await world.inbox(bob)).toHaveLength(1);
  },

  "P2: an inbox is numbered without gaps and in each sender's order, also under concurrent batches [P2.6]":
    async (world) => {
      const bob = await world.agent("bob");
      const senders = await Promise.all(["s1", "s2", "s3", "s4"].map((name) => world.agent(name)));
      await Promise.all(
        senders.flatMap((sender) => upTo(6).map((part) => world.apply(sender, ...mixed(world, part)))),
      );
      const messages = await world.inbox(bob, 17);
      expect(messages.map(({ seq }) => seq)).toEqual(upTo(4 * 6 * 10));
      for (const { name } of senders) {
        const bodies = messages.filter(({ from }) => from === name).map(({ body }) => Number(body));
        expect(bodies).toEqual(upTo(60));
      }
    },

  "a refused write does not stop the ones after it": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const { outcomes } = await world.apply(
      ada,
      world.write({ to: "bob", body: "1" }),
      world.write({ to: "nobody", body: "2" }),
      world.write({ to: "bob", body: "3" }),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(["committed", "rejected", "committed"]);
    expect((await world.inbox(bob)).map(({ body }) => body)).toEqual(["1", "3"]);
  },

  "the same key with other arguments or another tool is refused; its own name and member order do not count [P2.7]":
    async (world) => {
      const ada = await world.agent("ada");
      await world.agent("bob");
      const write = world.write({ to: "bob", body: "x", expectsReply: false });
      await world.apply(ada, write);
      const again = (over: Partial<Write>) => world.apply(ada, { ...write, ...over });
      const same = await again({
        arguments: { idempotencyKey: write.key, expectsReply: false, body: "x", to: "bob" },
      });
      const body = await again({ arguments: { ...write.arguments, body: "y" } });
      const tool = await again({ tool: "relay_reply" });
      expect(same.outcomes).toMatchObject([{ status: "committed", replayed: true }]);
      expect(body.outcomes).toMatchObject([{ status: "rejected", code: "key_reused" }]);
      expect(tool.outcomes).toMatchObject([{ status: "rejected", code: "key_reused" }]);
      expect((await again({})).outcomes).toMatchObject([{ status: "committed", replayed: true }]);
    },

  "a key belongs to its sender: two senders may use the same": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const mine = world.write({ to: "bob", body: "x" });
    const yours = { ...world.write({ to: "ada", body: "y" }), key: mine.key };
    expect((await world.apply(ada, mine)).outcomes).toMatchObject([{ status: "committed", replayed: false }]);
    expect((await world.apply(bob, yours)).outcomes).toMatchObject([
      { status: "committed", replayed: false },
    ]);
  },

  "a message id that belongs to another write is refused, whoever sends it": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const first = world.write({ to: "bob", body: "x" });
    await world.apply(ada, first);
    const taken = { status: "rejected", code: "id_taken" };
    const { messageId } = first;
    const other = await world.apply(bob, world.write({ to: "ada", body: "z" }, { messageId }));
    const own = await world.apply(ada, world.write({ to: "bob", body: "x" }, { messageId }));
    expect([...other.outcomes, ...own.outcomes]).toMatchObject([taken, taken]);
    expect(await world.inbox(bob)).toMatchObject([{ body: "x" }]);
    expect(await world.inbox(ada)).toEqual([]);
  },

  "a record older than the remembered keys is refused, and leaves its key free": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const write = world.write({ to: "bob", body: "x" });
    const at = async (now: number, over: Partial<Write> = {}) =>
      applied(await world.store.applyWrites(world.batch(ada, [{ ...write, ...over }]), now)).outcomes;
    const expired = [{ status: "rejected", code: "key_expired" }];
    expect(await at(start + keyWindowMs + 1)).toMatchObject(expired);
    expect(await at(start + keyWindowMs + 2)).toMatchObject(expired);
    expect(await at(start + keyWindowMs)).toMatchObject([{ status: "committed", replayed: false }]);
    expect(await at(start + keyWindowMs + 1)).toMatchObject([{ status: "committed", replayed: true }]);
    expect(await world.inbox(bob)).toHaveLength(1);
  },

  "P3: [P3.7] a write whose scope the sender lacks is refused, and stays so when the scope comes back":
    async (world) => {
      const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
      const writes = [world.write({ to: "bob", body: "x" })];
      const without = await world.store.applyWrites(
        world.batch(ada, writes, { scopes: ["message:read"] }),
        start,
      );
      const later = await world.store.applyWrites(world.batch(ada, writes), start);
      expect(applied(without).outcomes).toMatchObject([{ status: "rejected", code: "forbidden" }]);
      expect(later).toEqual(without);
      expect(await world.inbox(bob)).toEqual([]);
    },

  "a sender that does not exist applies nothing": async (world) => {
    const bob = await world.agent("bob");
    const ghost = { ...bob, id: world.uuid() as never };
    const result = await world.store.applyWrites(
      world.batch(ghost, [world.write({ to: "bob", body: "boo" })]),
      start,
    );
    expect(result).toEqual({ status: "sender_removed" });
    expect(await world.inbox(bob)).toEqual([]);
  },

  "bodies come back as they were, up to the largest": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const bodies = [
      "é 😀 \u202e‮ '\"; DROP TABLE messages; --",
      "a\nb\tc",
      "x".repeat(limits.messageBodyBytesMax),
    ];
    await world.apply(ada, ...bodies.map((body) => world.write({ to: "bob", body })));
    expect((await world.inbox(bob)).map(({ body }) => body)).toEqual(bodies);
  },
};

export const lanePromises: Promises = {
  "P2: only the newest session that a lane has used may deliver [P2.9]": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const storeId = world.uuid() as never;
    const deliver = (laneSession: number, sender = ada) =>
      world.store.applyWrites(
        world.batch(sender, [world.write({ to: "bob", body: `${laneSession}` })], {
          lane: { storeId, laneSession },
        }),
        start,
      );
    expect(await deliver(1)).toEqual({ status: "fenced", newestSession: 0 });
    expect(await world.store.openLane(storeId, ada.id, start)).toBe(1);
    expect(await deliver(1)).toMatchObject({ status: "applied" });
    expect(await world.store.openLane(storeId, ada.id, start + 1)).toBe(2);
    expect(await deliver(3)).toEqual({ status: "fenced", newestSession: 2 });
    expect(await deliver(2)).toMatchObject({ status: "applied" });
    expect(await deliver(1)).toEqual({ status: "fenced", newestSession: 2 });
    expect(await deliver(2, bob)).toEqual({ status: "fenced", newestSession: 0 });
    expect((await world.inbox(bob)).map(({ body }) => body)).toEqual(["1", "2"]);
  },

  "an opening that nobody uses fences nobody: it may arrive long after its sender gave it up": async (
    world,
  ) => {
    const [ada] = [await world.agent("ada"), await world.agent("bob")];
    const storeId = world.uuid() as never;
    const deliver = (laneSession: number) =>
      world.store.applyWrites(
        world.batch(ada, [world.write({ to: "bob", body: "x" })], { lane: { storeId, laneSession } }),
        start,
      );
    for (const session of [1, 2, 3]) expect(await world.store.openLane(storeId, ada.id, start)).toBe(session);
    expect(await deliver(2)).toMatchObject({ status: "applied" });
    expect(await world.store.openLane(storeId, ada.id, start)).toBe(4);
    expect(await deliver(2)).toMatchObject({ status: "applied" });
    expect(await deliver(1)).toEqual({ status: "fenced", newestSession: 4 });
  },

  "a question about keys in a lane session fences what older ones sent, and is fenced like a delivery":
    async (world) => {
      const [ada] = [await world.agent("ada"), await world.agent("bob")];
      const storeId = world.uuid() as never;
      const write = world.write({ to: "bob", body: "on its way" });
      const ask = (laneSession: number) =>
        world.store.findOutcomes({ sender: ada.id, keys: [write.key], lane: { storeId, laneSession } });
      for (const session of [1, 2]) expect(await world.store.openLane(storeId, ada.id, start)).toBe(session);
      expect(await ask(3)).toEqual({ status: "fenced", newestSession: 2 });
      expect(await ask(2)).toEqual({ status: "found", outcomes: [undefined] });
      expect(
        await world.store.applyWrites(
          world.batch(ada, [write], { lane: { storeId, laneSession: 1 } }),
          start,
        ),
      ).toEqual({ status: "fenced", newestSession: 2 });
      expect(await ask(1)).toEqual({ status: "fenced", newestSession: 2 });
      expect(await ask(2)).toEqual({ status: "found", outcomes: [undefined] });
    },

  "a lane belongs to one agent, and openings at the same time get different sessions": async (world) => {
    const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
    const storeId = world.uuid() as never;
    const sessions = await Promise.all(upTo(10).map(() => world.store.openLane(storeId, ada.id, start)));
    expect(sessions.toSorted((a, b) => (a ?? 0) - (b ?? 0))).toEqual(upTo(10));
    expect(await world.store.openLane(storeId, bob.id, start)).toBeUndefined();
    expect(await world.store.openLane(world.uuid() as never, world.uuid() as never, start)).toBeUndefined();
    expect(await world.store.openLane(storeId, ada.id, start)).toBe(11);
  },
};

/** Writes that are refused: what is wrong with each, the code, and what the sentence has to quote. */
const refusals: [string, Partial<Write>, ErrorCode, RegExp][] = [
  ["an unknown tool", { tool: "relay_dance" }, "bad_request", /"relay_dance"/],
  ["the name of an inherited member", { tool: "toString" }, "bad_request", /"toString"/],
  [
    "a tool that is not buffered",
    { tool: "relay_list_agents", arguments: {} },
    "bad_request",
    /relay_send_message/,
  ],
  ["a missing body", { arguments: { to: "bob" } }, "bad_request", /body/],
  ["an unknown argument", { arguments: { to: "bob", body: "x", cc: "eve" } }, "bad_request", /cc/],
  ["a time that is none", { enqueuedAt: "yesterday" }, "bad_request", /"yesterday"/],
  [
    "a recipient that does not exist",
    { arguments: { to: "late", body: "x" } },
    "recipient_unknown",
    /"late"/,
  ],
  [
    "a recipient other than the one meant",
    { recipientId: "0190a000-0000-7000-8000-000000000000" },
    "recipient_replaced",
    /0190a000-0000-7000-8000-000000000000/,
  ],
];

export const refusalPromises: Promises = Object.fromEntries(
  refusals.map(([what, over, code, detail]) => [
    `refused with ${code}, and remembered: ${what}`,
    async (world) => {
      const [ada, bob] = [await world.agent("ada"), await world.agent("bob")];
      const write = { ...world.write({ to: "bob", body: "x" }), ...over };
      const first = await world.apply(ada, write);
      await world.agent("late");
      const again = await world.apply(ada, write);
      expect(first.outcomes).toEqual([
        { status: "rejected", key: write.key, code, detail: expect.stringMatching(detail) },
      ]);
      expect(again).toEqual(first);
      expect(first.woken).toEqual([]);
      expect(await world.inbox(bob)).toEqual([]);
    },
  ]),
);

/** Ten numbered messages to bob, and among them writes that are refused. */
function mixed(world: World, part: number): Write[] {
  return upTo(10).flatMap((n) => [
    world.write({ to: "bob", body: `${(part - 1) * 10 + n}` }),
    world.write({ to: "nobody", body: "refused" }),
  ]);
}
