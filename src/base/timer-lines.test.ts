/** Cheap timers: as exact as the clock they are made of, whatever is set and cancelled meanwhile. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { VirtualClock } from "./clock.ts";
import { timerLines } from "./timer-lines.ts";

test("timers fire once, in time, and not when cancelled", () => {
  const clock = new VirtualClock(0);
  const timers = timerLines(clock);
  const fired: string[] = [];
  timers.after(100, () => fired.push("a"));
  clock.advance(50);
  const stop = timers.after(100, () => fired.push("b"));
  timers.after(100, () => fired.push("c"));
  timers.after(30, () => fired.push("d"));
  stop();
  stop();
  clock.advance(49);
  expect(fired).toEqual(["d"]);
  clock.advance(1);
  expect(fired).toEqual(["d", "a"]);
  clock.advance(1_000);
  expect(fired).toEqual(["d", "a", "c"]);
});

test("a callback may set and cancel timers of its own line, and may throw", () => {
  const clock = new VirtualClock(0);
  const timers = timerLines(clock);
  const fired: string[] = [];
  timers.after(10, () => {
    fired.push("a");
    stop();
    timers.after(10, () => fired.push("c"));
    throw new Error("broken");
  });
  const stop = timers.after(10, () => fired.push("b"));
  expect(() => clock.advance(10)).toThrow("broken");
  clock.advance(10);
  expect(fired).toEqual(["a", "c"]);
});

test("any order of sets, cancels and waits does what plain timers do", () => {
  const step = fc.record({
    ms: fc.constantFrom(1, 5, 20),
    act: fc.constantFrom("set", "cancel", "wait"),
    which: fc.nat(20),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const play = (make: (clock: VirtualClock) => Pick<VirtualClock, "after">) => {
        const clock = new VirtualClock(0);
        const timers = make(clock);
        const fired: string[] = [];
        const stops: (() => void)[] = [];
        const acts = {
          set: (ms: number) => {
            const name = stops.length;
            stops.push(timers.after(ms, () => fired.push(`${name} at ${clock.now()}`)));
          },
          cancel: (_: number, which: number) => stops[which]?.(),
          wait: (ms: number) => clock.advance(ms),
        };
        for (const { ms, act, which } of steps) acts[act as keyof typeof acts](ms, which);
        clock.advance(100);
        return fired.sort();
      };
      expect(play(timerLines)).toEqual(play((clock) => clock));
    }),
    { numRuns: 300 },
  );
});
