/** Asking before giving up: the relay's word stands, what it has never seen had no effect, else it is unknown. */
import { describe, expect, test } from "bun:test";
import { pumpWorld, settled } from "../../test/fixtures/outbox/pump-world.ts";
import { answerLost, askable, failsWith, ScriptedRelay } from "../../test/fixtures/outbox/scripted-relay.ts";
import { VirtualClock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import { createAges } from "./age.ts";

/** A world whose record has an ambiguous attempt behind it when it is too old, with the relay away meanwhile. */
async function tooOld(first: ReturnType<typeof failsWith>) {
  const relay = askable(new ScriptedRelay());
  const world = pumpWorld(relay, { scale: { recordAgeMaxMs: 60_000 } });
  await settled();
  relay.script = [first];
  world.add("tried");
  await settled();
  relay.up = false;
  await world.pass(59_000, 500);
  return { relay, world };
}

describe("O4 [P2.17]: an ambiguous record that is too old", () => {
  test("was committed: the relay's result stands, and it is asked after its lane was fenced", async () => {
    const { relay, world } = await tooOld(answerLost);
    // An answer that comes back too late to be delivered again.
    relay.always = failsWith("overloaded", "no", "busy");
    relay.up = true;
    await world.pass(40_000, 250);
    expect(world.ends).toEqual([["tried", "sent"]]);
    expect(relay.questions).toHaveLength(1);
    expect(relay.questions[0]?.keys).toEqual(["key-1"]);
    expect(relay.questions[0]?.session).toBe(relay.opened);
    expect(relay.opened).toBeGreaterThan(1);
    await world.pump.close();
  });

  test("was never seen: it ends as expired, without effect", async () => {
    const { relay, world } = await tooOld(failsWith("unreachable", "unknown", "reset"));
    relay.always = failsWith("overloaded", "no", "busy");
    relay.up = true;
    await world.pass(40_000, 250);
    expect(world.ends.map(([text, state]) => [text, state])).toEqual([["tried", "expired"]]);
    await world.pump.close();
  });

  test("cannot be asked about: it is unknown", async () => {
    const { world } = await tooOld(failsWith("unreachable", "unknown", "reset"));
    await world.pass(40_000, 500);
    expect(world.ends.map(([text, state]) => [text, state])).toEqual([["tried", "unknown"]]);
    await world.pump.close();
  });

  test("a relay that answers for another number of keys, or for another key, says nothing", async () => {
    for (const answer of [
      [],
      [{ status: "committed", key: "key-9", result: { content: [] }, replayed: true }],
    ]) {
      const { relay, world } = await tooOld(failsWith("unreachable", "unknown", "reset"));
      relay.always = failsWith("overloaded", "no", "busy");
      relay.asked = async () => answer as never;
      relay.up = true;
      await world.pass(40_000, 250);
      expect(world.ends).toHaveLength(1);
      expect(world.ends[0]?.[1]).not.toBe("sent");
      await world.pump.close();
    }
  });
});

test("O4 O5: poison that may have worked is asked about, and ends without effect when it was never seen", async () => {
  const relay = askable(new ScriptedRelay());
  relay.always = failsWith("unreachable", "unknown", "500 internal");
  const world = pumpWorld(relay, { scale: { poisonAttemptsMax: 3, poisonSpanMs: 5_000 } });
  world.add("bad");
  await world.pass(90_000, 250);
  expect(world.ends).toEqual([["bad", "dropped", "500 internal"]]);
  expect(relay.questions).toHaveLength(1);
  await world.pump.close();
});

test("O4: a record that is dropped while it may be under way is asked about once its delivery is over", async () => {
  const relay = askable(new ScriptedRelay());
  let answer = () => {};
  relay.script = [
    (_records, apply) =>
      new Promise((resolve) => {
        answer = () => resolve(apply());
      }),
  ];
  const world = pumpWorld(relay);
  const [first, second] = [world.add("under way"), world.add("waits")];
  await settled();
  const dropped = world.pump.drop([first, second], "a person");
  await settled();
  expect(world.ends).toEqual([]);
  answer();
  await dropped;
  expect(world.ends.map(([text, state]) => [text, state])).toEqual([
    ["under way", "sent"],
    ["waits", "sent"],
  ]);
  await world.pump.close();
});

describe("[P2.11] the age of a record, by clocks that may be wrong", () => {
  const day = 86_400_000;

  test("is this machine's for writes of this process while its clocks agree", () => {
    const clock = new VirtualClock(1_000 * day);
    const ages = createAges(clock, limits);
    clock.advance(3 * day);
    expect(ages.of(1_000 * day)).toBe(3 * day);
  });

  test("is half of it for earlier writes and after a jump, until the relay was heard", () => {
    const clock = new VirtualClock(1_000 * day);
    const jumped = { ...clock, now: () => clock.now() + jump, monotonic: () => clock.monotonic() };
    let jump = 0;
    const ages = createAges(jumped as never, limits);
    expect(ages.of(990 * day)).toBe(5 * day);
    jump = 400 * day;
    expect(ages.of(1_000 * day)).toBe(200 * day);
    // The relay says that no day has passed.
    ages.heard(1_000 * day);
    expect(ages.of(1_000 * day)).toBe(0);
    expect(ages.of(993 * day)).toBe(7 * day);
  });

  test("is never below zero, and a receiver without a clock confirms this machine's", () => {
    const clock = new VirtualClock(1_000 * day);
    const ages = createAges(clock, limits);
    ages.heard(0);
    expect([ages.of(990 * day), ages.of(2_000 * day)]).toEqual([10 * day, 0]);
  });
});
