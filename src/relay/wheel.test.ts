/** Many callbacks on one timer: each in its turn, none of them after it left. */
import { expect, test } from "bun:test";
import { type Clock, VirtualClock } from "../base/clock.ts";
import { createWheel } from "./wheel.ts";

/** A virtual clock that counts the timers set on it. */
function countedClock() {
  const clock = new VirtualClock(0);
  let timers = 0;
  const counted: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after(ms, callback) {
      timers += 1;
      return clock.after(ms, callback);
    },
  };
  return { counted, advance: (ms: number) => clock.advance(ms), timers: () => timers };
}

test("each is called once in every turn, one turn after it joined", () => {
  const world = countedClock();
  const wheel = createWheel({ clock: world.counted, turnMs: 1_000, slots: 10 });
  const calls: string[] = [];
  wheel.join(() => calls.push("first"));
  world.advance(500);
  wheel.join(() => calls.push("second"));
  world.advance(499);
  expect(calls).toEqual([]);
  world.advance(1);
  expect(calls).toEqual(["first"]);
  world.advance(1_500);
  expect(calls).toEqual(["first", "second", "first", "second"]);
});

test("ten thousand share one timer, and one that left is not called", () => {
  const world = countedClock();
  const wheel = createWheel({ clock: world.counted, turnMs: 1_000, slots: 10 });
  let calls = 0;
  const leave = Array.from({ length: 10_000 }, () => wheel.join(() => (calls += 1)));
  expect(world.timers()).toBe(1);
  for (const one of leave.slice(0, 9_999)) one();
  world.advance(1_000);
  expect(calls).toBe(1);
  leave[9_999]?.();
  const before = world.timers();
  world.advance(10_000);
  expect([calls, world.timers()]).toEqual([1, before]);
});

test("one that ends another in the same step spares it; after the end nobody is called", () => {
  const world = countedClock();
  const wheel = createWheel({ clock: world.counted, turnMs: 100, slots: 4 });
  const calls: string[] = [];
  let leaveOther = () => {};
  wheel.join(() => {
    calls.push("one");
    leaveOther();
  });
  leaveOther = wheel.join(() => calls.push("other"));
  world.advance(100);
  wheel.close();
  world.advance(1_000);
  expect(calls).toEqual(["one"]);
});
