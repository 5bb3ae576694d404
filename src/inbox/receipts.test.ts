/** Receipts reach the relay in their order, whatever fails, and whenever they come. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { createReceipts } from "./receipts.ts";

/** A relay that takes receipts, or not. */
function played() {
  const clock = new VirtualClock(1_800_000_000_000);
  const relay = { down: false, told: [] as string[] };
  const receipts = createReceipts({
    async send(stage, messages) {
      await Promise.resolve();
      if (relay.down) throw new Error("down");
      relay.told.push(`${stage} ${messages.join(" ")}`);
    },
    ...{ clock, random: seededRandom(1), limits, log: silentLog },
  });
  const settle = async () => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  return { clock, relay, receipts, settle };
}

test("what is reported while a later stage is being told is told too", async () => {
  for (let delay = 0; delay < 8; delay++) {
    const { relay, receipts, settle } = played();
    receipts.report("read", ["a"]);
    for (let i = 0; i < delay; i++) await Promise.resolve();
    receipts.report("injected", ["b"]);
    await settle();
    expect(relay.told).toEqual(["read a", "injected b"]);
  }
});

test("what the relay did not take is told again by itself, in the order of the stages", async () => {
  const { clock, relay, receipts, settle } = played();
  relay.down = true;
  receipts.report("injected", ["a"]);
  await settle();
  receipts.report("read", ["a"]);
  relay.down = false;
  await clock.advance(limits.deliveryBackoffBaseMs);
  await settle();
  expect(relay.told).toEqual(["injected a", "read a"]);
});

test("a flush asks at once; closed, nothing is told any more", async () => {
  const { clock, relay, receipts, settle } = played();
  relay.down = true;
  receipts.report("read", ["a"]);
  await settle();
  relay.down = false;
  await receipts.flush();
  expect(relay.told).toEqual(["read a"]);
  relay.down = true;
  receipts.report("read", ["b"]);
  receipts.close();
  await settle();
  relay.down = false;
  await clock.advance(60_000);
  expect(relay.told).toEqual(["read a"]);
});
