/** Held answers on a clock that stands. */
import { expect, test } from "bun:test";
import { VirtualClock } from "./clock.ts";
import { createHolds } from "./holds.ts";

function started() {
  const clock = new VirtualClock(1_800_000_000_000);
  return { clock, holds: createHolds({ clock, ms: 100, max: 5, eachMax: 3 }) };
}

/** How many of so many answers are given at once. */
const given = (times: number, hold: () => Promise<void> | undefined) =>
  Array.from({ length: times }, hold).filter((wait) => wait === undefined).length;

test("an answer is held for its time and no longer", async () => {
  const { clock, holds } = started();
  let answered = false;
  const held = holds.hold("a")?.then(() => {
    answered = true;
  });
  clock.advance(99);
  await Promise.resolve();
  expect(answered).toBe(false);
  clock.advance(1);
  await held;
  expect(answered).toBe(true);
});

test("one holds so many, all together so many; the rest is given at once, until there is room again", () => {
  const { clock, holds } = started();
  expect(given(4, () => holds.hold("a"))).toBe(1);
  expect(given(4, () => holds.hold("b"))).toBe(2);
  clock.advance(100);
  expect(given(4, () => holds.hold("b"))).toBe(1);
});

test("the end lets all go and holds nothing any more", async () => {
  const { holds } = started();
  const held = [holds.hold("a"), holds.hold("b")];
  holds.close();
  expect(await Promise.all(held)).toEqual([undefined, undefined]);
  expect(given(3, () => holds.hold("a"))).toBe(3);
});
