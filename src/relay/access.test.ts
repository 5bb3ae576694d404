/** What is remembered of tokens, and for how long. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { FoundToken, RelayStore } from "../store/store.ts";
import { type AgentId, asId, uuidV7 } from "../wire/id.ts";
import { tokenHash, tokenText } from "../wire/token.ts";
import { createAccess } from "./access.ts";
import { operatorToken } from "./tokens.ts";

/** A store that counts its token lookups and can hold one back. */
async function countedStore() {
  const clock = new VirtualClock(1_800_000_000_000);
  const random = seededRandom(2);
  const store = await openSqliteStore({ path: ":memory:", clock, random });
  const text = tokenText("operator", random.bytes(32));
  const agentId = asId<AgentId>(uuidV7(clock.now(), random.bytes(10)));
  const token = operatorToken(uuidV7(clock.now(), random.bytes(10)), tokenHash(text), agentId);
  await store.createOperator(agentId, token, clock.now());
  let lookups = 0;
  let gate: Promise<void> = Promise.resolve();
  const counted: RelayStore = {
    ...store,
    async findToken(...args): Promise<FoundToken | undefined> {
      lookups += 1;
      const found = await store.findToken(...args);
      await gate;
      return found;
    },
  };
  return {
    clock,
    store,
    header: `Bearer ${text}`,
    id: token.id,
    access: createAccess({ store: counted, clock }),
    lookups: () => lookups,
    hold(until: Promise<void>) {
      gate = until;
    },
    [Symbol.asyncDispose]: () => store.close(),
  };
}

test("many calls cost one lookup until the memory is too old", async () => {
  await using world = await countedStore();
  for (let i = 0; i < 5; i++) await world.access.authenticate(world.header);
  expect(world.lookups()).toBe(1);
  world.clock.advance(limits.tokenCacheMs);
  await world.access.authenticate(world.header);
  expect(world.lookups()).toBe(2);
});

test("what is not a token of ours costs no lookup", async () => {
  await using world = await countedStore();
  const wrong = [
    "",
    "Bearer",
    "Bearer hello",
    `${world.header}0`,
    `${world.header}, ${world.header}`,
    "Basic eA==",
  ];
  for (const header of wrong) {
    await expect(world.access.authenticate(header)).rejects.toMatchObject({ code: "unauthorized" });
  }
  expect(world.lookups()).toBe(0);
});

test("P4: [P4.7] a revocation is seen at once, also by a lookup that was under way", async () => {
  await using world = await countedStore();
  const held = Promise.withResolvers<void>();
  world.hold(held.promise);
  const early = world.access.authenticate(world.header);
  await world.store.findToken("0".repeat(64), world.clock.now());
  await world.store.revokeToken(world.id, world.clock.now());
  world.access.forget([world.id]);
  held.resolve();
  await early;
  const refused = await world.access.authenticate(world.header).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "token_revoked" });
});
