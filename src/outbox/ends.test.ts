/** When ends are told, and that nothing leaves before one that a crash would undo is on disk. */
import { describe, expect, test } from "bun:test";
import { settled as idle, pumpWorld } from "../../test/fixtures/outbox/pump-world.ts";
import { failsWith, ScriptedRelay } from "../../test/fixtures/outbox/scripted-relay.ts";
import { outcomeOfEnd } from "./answers.ts";
import { Ends } from "./ends.ts";
import { isRemembered } from "./record.ts";

const sent = outcomeOfEnd("sent", { detail: undefined, result: undefined });
const dropped = outcomeOfEnd("dropped", { detail: "a person took it out", result: undefined });

/** A disk that takes ends when it is told to, and what was told. */
function world() {
  const told: number[] = [];
  let disk = Promise.withResolvers<void>();
  const ends = new Ends({ tell: (id) => told.push(id), save: () => disk.promise });
  const saves = () => disk.resolve();
  const fails = (error: Error) => {
    disk.reject(error);
    disk = Promise.withResolvers();
  };
  return { ends, told, saves, fails };
}

describe("an end", () => {
  test("that the relay remembers is told at once and holds nothing up", async () => {
    const { ends, told } = world();
    ends.ended(1, sent, true);
    await ends.settled();
    expect([told, ends.isUntold(1)]).toEqual([[1], false]);
  });

  test("[P5.16] that only this process knows is told once, when it is on disk", () => {
    const { ends, told } = world();
    ends.ended(1, dropped, false);
    expect([told, ends.isUntold(1)]).toEqual([[], true]);
    ends.stored([2]);
    expect(told).toEqual([]);
    ends.stored([1]);
    ends.stored([1]);
    expect([told, ends.isUntold(1)]).toEqual([[1], false]);
  });

  test("is waited for until the disk has it; a disk that does not take it says so", async () => {
    const { ends, saves, fails } = world();
    ends.ended(1, dropped, false);
    const refused = ends.settled();
    fails(new Error("no room"));
    expect(refused).rejects.toThrow("no room");
    let over = false;
    const later = ends.settled().then(() => {
      over = true;
    });
    await idle();
    expect(over).toBe(false);
    ends.stored([1]);
    saves();
    await later;
    expect(over).toBe(true);
  });
});

describe("[P2.6] [P5.16] O7: what is behind a record that was refused by a word nobody remembers", () => {
  /** A relay that refuses the delivery of "bad" as such, and a disk that is slow with its end. */
  function refusing(heed: boolean) {
    const relay = new ScriptedRelay();
    const refusal = failsWith("refused", "no", "413 too large");
    relay.script = [refusal, refusal];
    const { ends, told, saves } = world();
    const pump = pumpWorld(relay, {
      settled: heed ? () => ends.settled() : async () => {},
      ended: (id, event) => ends.ended(id, sent, isRemembered(event)),
    });
    pump.add("bad");
    pump.add("good");
    return { relay, pump, told, saves, ends };
  }

  test("leaves only when that end is on disk", async () => {
    const { relay, pump, told, saves, ends } = refusing(true);
    await pump.pass(1_000);
    expect([relay.applied, told]).toEqual([[], []]);
    ends.stored([1]);
    saves();
    await pump.pass(1_000);
    expect([relay.applied, told]).toEqual([["good"], [1, 2]]);
    await pump.pump.close();
  });

  test("negative control: leaves before it with a pump that does not wait", async () => {
    const { relay, pump } = refusing(false);
    await pump.pass(1_000);
    expect(relay.applied).toEqual(["good"]);
    await pump.pump.close();
  });
});
