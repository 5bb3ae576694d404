/** The pump against a scripted relay, on a clock that stands still until it is told to move. */
import { describe, expect, test } from "bun:test";
import { settled, pumpWorld as start } from "../../test/fixtures/outbox/pump-world.ts";
import {
  answerLost,
  answersAbout,
  failsWith,
  ScriptedRelay,
} from "../../test/fixtures/outbox/scripted-relay.ts";
import { limits } from "../limits.ts";
import { newLife } from "./record.ts";

describe("a relay that works", () => {
  test("[P2.6] O7: gets everything in order, in batches within their bounds", async () => {
    const world = start(new ScriptedRelay(), { scale: { batchRecordsMax: 3 } });
    for (const text of ["a", "b", "c", "d", "e"]) world.add(text);
    await settled();
    expect(world.relay.deliveries).toEqual([
      ["a", "b", "c"],
      ["d", "e"],
    ]);
    expect(world.ends.map(([, state]) => state)).toEqual(["sent", "sent", "sent", "sent", "sent"]);
    expect(world.marked).toEqual([1, 2, 3, 4, 5]);
    await world.pump.close();
  });

  test("gets no batch above its bytes, and one large record alone", async () => {
    const world = start(new ScriptedRelay(), { scale: { batchBytesMax: 2_000 } });
    world.add("x".repeat(1_000));
    world.add("y".repeat(1_000));
    world.add("z".repeat(5_000));
    await settled();
    expect(world.relay.deliveries.map((batch) => batch.length)).toEqual([1, 1, 1]);
    await world.pump.close();
  });

  test("gets a write at once, without any timer", async () => {
    const world = start(new ScriptedRelay());
    await settled();
    expect(world.pump.live).toBe(true);
    world.add("now");
    await settled();
    expect(world.relay.applied).toEqual(["now"]);
    await world.pump.close();
  });
});

describe("a relay that cannot be reached", () => {
  test("[P2.5] O6: gets the same keys again after an answer was lost, and applies once", async () => {
    const relay = new ScriptedRelay();
    relay.script = [answerLost, answerLost];
    const world = start(relay);
    world.add("a");
    world.add("b");
    await world.pass(5_000);
    expect(new Set(relay.keys.flat())).toEqual(new Set(["key-1", "key-2"]));
    expect(relay.deliveries.length).toBeGreaterThanOrEqual(3);
    expect(relay.applied).toEqual(["a", "b"]);
    expect(world.ends.map(([text, state]) => [text, state])).toEqual([
      ["a", "sent"],
      ["b", "sent"],
    ]);
    await world.pump.close();
  });

  test("is asked for a new lane session after an ambiguous failure, which fences the old attempt", async () => {
    const relay = new ScriptedRelay();
    relay.script = [answerLost];
    const world = start(relay);
    world.add("a");
    await world.pass(2_000);
    expect([relay.opened, relay.applied]).toEqual([2, ["a"]]);
    await world.pump.close();
  });

  test("is probed, and the first answer ends a long back-off early", async () => {
    const relay = new ScriptedRelay();
    relay.up = false;
    const world = start(relay, { scale: { deliveryBackoffBaseMs: 20_000, deliveryBackoffCapMs: 20_000 } });
    world.add("a");
    await world.pass(2_000);
    expect([world.pump.phase, world.pump.live, relay.probed > 2]).toEqual(["waiting", false, true]);
    relay.up = true;
    await world.pass(limits.probeIntervalMs, 10);
    expect(relay.applied).toEqual(["a"]);
    await world.pump.close();
  });

  test("lets callers go at once, also those that come during the outage", async () => {
    const relay = new ScriptedRelay();
    relay.up = false;
    const world = start(relay, { scale: { deliveryBackoffBaseMs: 1e6, deliveryBackoffCapMs: 1e6 } });
    world.add("a");
    await settled();
    const before = world.stalls();
    expect(before).toBeGreaterThan(0);
    world.add("b");
    await settled();
    expect(world.stalls()).toBeGreaterThan(before);
    await world.pump.close();
  });

  test("O5: never costs a record an attempt, however long it lasts", async () => {
    const relay = new ScriptedRelay();
    const world = start(relay, { scale: { poisonAttemptsMax: 2, poisonSpanMs: 10 } });
    await settled();
    relay.up = false;
    const entry = world.add("a");
    await world.pass(120_000, 500);
    expect([entry.life.failures, entry.life.ambiguous, entry.life.state]).toEqual([0, false, "queued"]);
    relay.up = true;
    world.pump.kick();
    await settled();
    expect(relay.applied).toEqual(["a"]);
    await world.pump.close();
  });

  test("an answer that does not fit its question is none: what fits counts, the rest is sent again", async () => {
    const relay = new ScriptedRelay();
    relay.script = [async (_records, apply) => apply().slice(0, 1)];
    const world = start(relay);
    world.add("a");
    world.add("b");
    await settled();
    expect(world.ends).toEqual([["a", "sent"]]);
    await world.pass(2_000);
    expect([world.ends.length, relay.applied]).toEqual([2, ["a", "b"]]);
    await world.pump.close();
  });

  test("one that never answers is given up after the attempt's time", async () => {
    const relay = new ScriptedRelay();
    relay.script = [() => new Promise(() => {})];
    const world = start(relay);
    const entry = world.add("a");
    await settled();
    expect(entry.life.state).toBe("sending");
    await world.pass(limits.deliveryAttemptMs + 2_000, 100);
    expect([world.ends, relay.applied]).toEqual([[["a", "sent"]], ["a"]]);
    expect(entry.life.ambiguous).toBe(true);
    await world.pump.close();
  });
});

describe("a relay that answers no", () => {
  test("[P2.10] gives one record back and takes the ones after it", async () => {
    const relay = new ScriptedRelay();
    relay.script = [
      answersAbout("b", (key) => ({ status: "rejected", key, code: "recipient_unknown", detail: "no bob" })),
    ];
    const world = start(relay);
    for (const text of ["a", "b", "c"]) world.add(text);
    await settled();
    expect(world.ends).toEqual([
      ["a", "sent"],
      ["b", "rejected", "recipient_unknown: no bob"],
      ["c", "sent"],
    ]);
    await world.pump.close();
  });

  test("refuses a batch as such: its records go one by one at once, and only the bad one ends", async () => {
    const relay = new ScriptedRelay();
    relay.always = async (records, apply) => {
      if (!records.some(({ arguments: { body } }) => body === "bad")) return apply();
      return failsWith("refused", "no", "400 not understood")(records, apply);
    };
    const world = start(relay);
    for (const text of ["a", "bad", "c"]) world.add(text);
    await settled();
    expect(relay.deliveries).toEqual([["a", "bad", "c"], ["a"], ["bad"], ["c"]]);
    expect(world.ends).toEqual([
      ["a", "sent"],
      ["bad", "rejected", "400 not understood"],
      ["c", "sent"],
    ]);
    await world.pump.close();
  });

  test("429: waits as long as it is asked to, whoever kicks, and bounces nothing", async () => {
    const relay = new ScriptedRelay();
    relay.script = [failsWith("overloaded", "no", "429", { retryAfterMs: 7_000 })];
    const world = start(relay);
    const entry = world.add("a");
    await world.pass(6_900);
    world.pump.kick();
    await settled();
    expect([relay.deliveries.length, world.pump.phase, entry.life.failures]).toEqual([1, "waiting", 0]);
    await world.pass(200);
    expect(world.ends).toEqual([["a", "sent"]]);
    await world.pump.close();
  });

  test("a credential that is not accepted now is waited for", async () => {
    const relay = new ScriptedRelay();
    relay.script = [failsWith("unauthorized", "no", "401 token_expired")];
    const world = start(relay);
    world.add("a");
    await settled();
    expect([world.pump.phase, world.pump.pausedBy]).toEqual(["waiting", undefined]);
    await world.pass(1_000);
    expect(world.ends).toEqual([["a", "sent"]]);
    await world.pump.close();
  });

  test("a revoked credential pauses until someone kicks", async () => {
    const relay = new ScriptedRelay();
    relay.script = [failsWith("revoked", "no", "401 token_revoked")];
    const world = start(relay);
    world.add("a");
    await world.pass(60_000, 1_000);
    expect([world.pump.phase, world.pump.pausedBy, relay.deliveries.length]).toEqual([
      "paused",
      "revoked",
      1,
    ]);
    world.pump.kick();
    await settled();
    expect(world.ends).toEqual([["a", "sent"]]);
    await world.pump.close();
  });

  test("[P2.9] a fenced lane stays paused, whoever kicks", async () => {
    const relay = new ScriptedRelay();
    const world = start(relay);
    await settled();
    relay.opened += 1;
    const entry = world.add("a");
    await settled();
    world.pump.kick();
    await world.pass(60_000, 1_000);
    expect([world.pump.pausedBy, world.pump.phase, entry.life.state, relay.deliveries]).toEqual([
      "fenced",
      "paused",
      "queued",
      [],
    ]);
    await world.pump.close();
  });

  test("a removed agent gets everything back, unknown where an attempt may have worked", async () => {
    const relay = new ScriptedRelay();
    relay.script = [failsWith("removed", "no", "410 agent_removed")];
    const world = start(relay, { scale: { batchRecordsMax: 1 } });
    world.add("a", { ...newLife, ambiguous: true });
    world.add("b");
    await settled();
    expect(world.ends).toEqual([
      ["a", "unknown", "410 agent_removed"],
      ["b", "rejected", "410 agent_removed"],
    ]);
    expect(world.pump.pausedBy).toBe("removed");
    await world.pump.close();
  });

  test("what it puts off is sent again and not counted", async () => {
    const relay = new ScriptedRelay();
    relay.script = [
      async (records) =>
        records.map(({ key }) => ({ status: "deferred", key, code: "unavailable", detail: "busy" })),
    ];
    const world = start(relay);
    const entry = world.add("a");
    await world.pass(2_000);
    expect([world.ends, entry.life.failures]).toEqual([[["a", "sent"]], 0]);
    await world.pump.close();
  });
});

describe("a relay that puts records off because their sender is over its rate", () => {
  test("gets them again, in order, when it asked for them and not before", async () => {
    const relay = new ScriptedRelay();
    const later = {
      status: "deferred",
      code: "rate_limited",
      detail: "slower",
      retryAfterMs: 5_000,
    } as const;
    relay.script = [async (records) => records.map(({ key }) => ({ ...later, key }))];
    const world = start(relay);
    for (const text of ["a", "b"]) world.add(text);
    await world.pass(4_900);
    expect([relay.deliveries, world.pump.phase]).toEqual([[["a", "b"]], "waiting"]);
    await world.pass(200);
    expect(relay.deliveries).toEqual([
      ["a", "b"],
      ["a", "b"],
    ]);
    expect(relay.applied).toEqual(["a", "b"]);
    await world.pump.close();
  });
});

describe("records that are given up", () => {
  test("O5: poison is sent alone and ends while the ones behind it go on", async () => {
    const relay = new ScriptedRelay();
    relay.always = async (records, apply) => {
      if (!records.some(({ arguments: { body } }) => body === "bad")) return apply();
      return failsWith("unreachable", "no", "500 internal")(records, apply);
    };
    const world = start(relay, { scale: { poisonAttemptsMax: 4, poisonSpanMs: 20_000 } });
    for (const text of ["a", "bad", "c"]) world.add(text);
    await world.pass(19_000, 250);
    expect(world.ends).toEqual([["a", "sent"]]);
    await world.pass(60_000, 250);
    expect(world.ends).toEqual([
      ["a", "sent"],
      ["bad", "dropped", "500 internal"],
      ["c", "sent"],
    ]);
    await world.pump.close();
  });

  test("[P2.11] O4: what is too old ends as expired, or as unknown when an attempt may have worked", async () => {
    const relay = new ScriptedRelay();
    const world = start(relay, { scale: { recordAgeMaxMs: 60_000 } });
    await settled();
    relay.script = [failsWith("unreachable", "unknown", "reset")];
    world.add("tried");
    await settled();
    relay.up = false;
    world.add("never left");
    await world.pass(120_000, 1_000);
    expect(world.ends.map(([text, state]) => [text, state])).toEqual([
      ["tried", "unknown"],
      ["never left", "expired"],
    ]);
    await world.pump.close();
  });

  test("[P2.11] expiry comes also while the pump is paused", async () => {
    const relay = new ScriptedRelay();
    relay.script = [failsWith("revoked", "no", "401")];
    const world = start(relay, { scale: { recordAgeMaxMs: 60_000 } });
    world.add("a");
    await world.pass(61_000, 1_000);
    expect(world.ends.map(([, state]) => state)).toEqual(["expired"]);
    await world.pump.close();
  });

  test("what is older than the keys the relay remembers is never sent", async () => {
    const relay = new ScriptedRelay();
    relay.up = false;
    relay.keyWindowMs = 10_000;
    const world = start(relay);
    world.add("old");
    await world.pass(20_000, 500);
    relay.up = true;
    world.pump.kick();
    await settled();
    expect([relay.deliveries, world.ends.map(([, state]) => state)]).toEqual([[], ["expired"]]);
    await world.pump.close();
  });
});

test("closing gives the attempt under way up and leaves its outcome open", async () => {
  const relay = new ScriptedRelay();
  relay.script = [() => new Promise(() => {})];
  const world = start(relay);
  const entry = world.add("a");
  await settled();
  await world.pump.close();
  expect([entry.life.state, entry.life.ambiguous, world.pump.phase]).toEqual(["queued", true, "closed"]);
});
