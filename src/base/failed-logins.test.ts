/** Failed logins on a clock that stands: who is kept waiting, for how long, and how much that may cost. */
import { expect, test } from "bun:test";
import { limits } from "../limits.ts";
import { VirtualClock } from "./clock.ts";
import { createFailedLogins, type FailedLogins } from "./failed-logins.ts";

const {
  failedLoginsMax,
  failedLoginsWindowMs,
  failedLoginDelayMs,
  failedLoginPeersMax,
  failedLoginsHeldMax,
} = limits;
const peer = "192.0.2.1";

function started(more: Partial<typeof limits> = {}) {
  const clock = new VirtualClock(1_800_000_000_000);
  return { clock, logins: createFailedLogins({ clock, limits: { ...limits, ...more } }) };
}

/** Counts so many failures. @returns how many of them are answered at once */
function fail(logins: FailedLogins, times: number, from: string | ((i: number) => string) = peer): number {
  const names = Array.from({ length: times }, (_, i) => (typeof from === "string" ? from : from(i)));
  return names.filter((name) => logins.count(name) === undefined).length;
}

test("[P4.5] S5: ten failures in a minute are answered at once, each further one after a second", async () => {
  const { clock, logins } = started();
  expect(fail(logins, 10)).toBe(10);
  let answered = 0;
  const held = [logins.count(peer), logins.count(peer)].map((wait) => wait?.then(() => (answered += 1)));
  clock.advance(failedLoginDelayMs - 1);
  await Promise.resolve();
  expect([held.length, answered]).toEqual([2, 0]);
  clock.advance(1);
  expect(await Promise.all(held)).toEqual([1, 2]);
});

test("the minute begins with the first failure and is forgotten after its end", () => {
  const { clock, logins } = started();
  expect(fail(logins, 1)).toBe(1);
  clock.advance(failedLoginsWindowMs - 1);
  expect(fail(logins, failedLoginsMax)).toBe(failedLoginsMax - 1);
  clock.advance(1);
  expect(fail(logins, failedLoginsMax + 1)).toBe(failedLoginsMax);
});

test("peers are counted apart", () => {
  const { logins } = started();
  expect(fail(logins, 12)).toBe(10);
  expect(fail(logins, 12, "192.0.2.2")).toBe(10);
});

test("peers beyond the bound share one count, until there is room again", () => {
  const { clock, logins } = started();
  const strangers = (first: number) => (i: number) => `stranger-${first + i}`;
  expect(fail(logins, failedLoginPeersMax, strangers(0))).toBe(failedLoginPeersMax);
  expect(fail(logins, 1_000, strangers(failedLoginPeersMax))).toBe(1_000 - failedLoginsHeldMax);
  clock.advance(failedLoginsWindowMs);
  expect(fail(logins, 12, strangers(0))).toBe(12);
});

test("beyond the bound of held answers one is given at once, and their room is used again", () => {
  const { clock, logins } = started();
  fail(logins, failedLoginsMax);
  expect(fail(logins, failedLoginsHeldMax + 5)).toBe(5);
  clock.advance(failedLoginDelayMs);
  expect(fail(logins, failedLoginsHeldMax + 5)).toBe(5);
});

test("the end lets everything that is held go, and holds nothing any more", async () => {
  const { logins } = started();
  fail(logins, failedLoginsMax);
  const held = [logins.count(peer), logins.count(peer)];
  logins.close();
  expect(await Promise.all(held)).toEqual([undefined, undefined]);
  expect(logins.count(peer)).toBeUndefined();
});
