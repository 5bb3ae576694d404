/** What the agent has seen, and what its runner has got, reaches the relay: one request at a time, again after a failure. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { acknowledger } from "./acknowledge.ts";

/** A relay that answers when it is told to. */
function scriptedRelay() {
  const seen: number[] = [];
  const handed: string[][] = [];
  const open: { resolve(): void; reject(error: Error): void }[] = [];
  const answer = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    open.push({ resolve: () => resolve(), reject });
    return promise;
  };
  const relay = {
    seen(seq: number) {
      seen.push(seq);
      return answer();
    },
    handed(ids: string[]) {
      handed.push(ids);
      return answer();
    },
  };
  const turn = async (act: "resolve" | "reject") => {
    open.shift()?.[act](new Error("down"));
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };
  const clock = new VirtualClock(1_800_000_000_000);
  const linger = async () => {
    await clock.advance(limits.handedLingerMs);
  };
  return {
    seen,
    handed,
    acknowledge: acknowledger(relay, { clock, random: seededRandom(1), log: silentLog }),
    turn,
    linger,
    clock,
  };
}

test("of what is seen while a request is under way only the highest is sent", async () => {
  const { seen, acknowledge, turn } = scriptedRelay();
  for (const seq of [3, 5, 4]) acknowledge.seen(seq);
  expect(seen).toEqual([3]);
  await turn("resolve");
  expect(seen).toEqual([3, 5]);
  await turn("resolve");
  acknowledge.seen(5);
  acknowledge.seen(2);
  expect(seen).toEqual([3, 5]);
});

test("a failed one is sent again after a while, although nobody says that the relay is back", async () => {
  const { seen, handed, acknowledge, turn, linger, clock } = scriptedRelay();
  acknowledge.seen(3);
  await turn("reject");
  await clock.advance(limits.deliveryBackoffBaseMs);
  expect(seen).toEqual([3, 3]);
  await turn("resolve");
  acknowledge.handed("a");
  await linger();
  await turn("reject");
  await clock.advance(limits.deliveryBackoffBaseMs);
  expect(handed).toEqual([["a"], ["a"]]);
});

test("a failed one waits for the relay and is then sent again, with what came meanwhile", async () => {
  const { seen, acknowledge, turn } = scriptedRelay();
  acknowledge.seen(3);
  await turn("reject");
  expect(seen).toEqual([3]);
  acknowledge.retry();
  expect(seen).toEqual([3, 3]);
  acknowledge.seen(7);
  await turn("reject");
  acknowledge.retry();
  await turn("resolve");
  expect(seen).toEqual([3, 3, 7]);
  acknowledge.retry();
  expect(seen).toEqual([3, 3, 7]);
});

test("what was handed over goes together, each message once, and again after a failure", async () => {
  const { handed, acknowledge, turn, linger } = scriptedRelay();
  for (const id of ["a", "b", "a"]) acknowledge.handed(id);
  expect(handed).toEqual([]);
  await linger();
  expect(handed).toEqual([["a", "b"]]);
  acknowledge.handed("c");
  await linger();
  await turn("resolve");
  expect(handed).toEqual([["a", "b"], ["c"]]);
  await turn("reject");
  acknowledge.retry();
  expect(handed.at(-1)).toEqual(["c"]);
  await turn("resolve");
  acknowledge.retry();
  expect(handed).toHaveLength(3);
});

test("one report holds no more messages than the relay takes, and what waits is bounded", async () => {
  const { handed, acknowledge, turn, linger } = scriptedRelay();
  for (let n = 0; n < limits.handedWaitingMax + 5; n++) acknowledge.handed(`${n}`);
  await linger();
  for (let n = 0; n < handed.length; n++) await turn("resolve");
  expect(Math.max(...handed.map((ids) => ids.length))).toBe(limits.inboxPageMax);
  expect(new Set(handed.flat()).size).toBe(limits.handedWaitingMax);
});

test("a report that hangs keeps nobody from acknowledging", async () => {
  const { seen, handed, acknowledge, linger } = scriptedRelay();
  acknowledge.handed("a");
  await linger();
  acknowledge.seen(1);
  expect([handed, seen]).toEqual([[["a"]], [1]]);
});

test("a relay that comes back with nothing to tell it is asked nothing", () => {
  const { seen, handed, acknowledge } = scriptedRelay();
  acknowledge.retry();
  expect([...seen, ...handed]).toEqual([]);
});
