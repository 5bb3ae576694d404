/** Nothing that is wanted is overlooked, whenever it comes and whatever fails. */
import { expect, test } from "bun:test";
import { backoff } from "./backoff.ts";
import { VirtualClock } from "./clock.ts";
import { persistentWork } from "./persistent.ts";
import { seededRandom } from "./random.ts";

/** Work whose pieces end when they are told to. */
function scripted() {
  const clock = new VirtualClock(1_800_000_000_000);
  const state = { wanted: 0, begun: 0, failures: 0 };
  const open: { resolve(): void; reject(error: Error): void }[] = [];
  const piece = async () => {
    state.begun += 1;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    open.push({ resolve: () => resolve(), reject });
    await promise;
    state.wanted -= 1;
  };
  const work = persistentWork({
    wanted: () => state.wanted > 0,
    work: piece,
    failed: () => {
      state.failures += 1;
    },
    clock,
    delays: backoff({ baseMs: 500, capMs: 2_000, random: { ...seededRandom(1), fraction: () => 0.5 } }),
  });
  const end = async (how: "resolve" | "reject") => {
    open.shift()?.[how](new Error("down"));
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };
  return { clock, state, work, end };
}

test("one piece at a time, until nothing is wanted", async () => {
  const { state, work, end } = scripted();
  state.wanted = 2;
  work.wake();
  work.wake();
  expect(state.begun).toBe(1);
  await end("resolve");
  expect(state.begun).toBe(2);
  await end("resolve");
  expect(state).toEqual({ wanted: 0, begun: 2, failures: 0 });
});

test("what comes while a piece is under way, or in the moment it ends, is done", async () => {
  const { state, work, end } = scripted();
  for (let delay = 0; delay < 8; delay++) {
    state.wanted = 1;
    work.wake();
    const ended = end("resolve");
    for (let i = 0; i < delay; i++) await Promise.resolve();
    state.wanted += 1;
    work.wake();
    await ended;
    await end("resolve");
    expect(state.wanted).toBe(0);
  }
});

test("a failed piece is done again by itself after a pause, and nothing hurries it but now()", async () => {
  const { clock, state, work, end } = scripted();
  state.wanted = 1;
  work.wake();
  await end("reject");
  work.wake();
  expect(state).toMatchObject({ begun: 1, failures: 1 });
  await clock.advance(250);
  expect(state.begun).toBe(2);
  await end("reject");
  const settled = work.now();
  expect(state.begun).toBe(3);
  await end("resolve");
  await settled;
  expect(state.wanted).toBe(0);
  await clock.advance(60_000);
  expect(state.begun).toBe(3);
});

test("closed, it tries no more by itself", async () => {
  const { clock, state, work, end } = scripted();
  state.wanted = 1;
  work.wake();
  work.close();
  await end("reject");
  await clock.advance(60_000);
  expect(state.begun).toBe(1);
});
