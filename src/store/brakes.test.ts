/** What a sender may write, and when it has to wait. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { limits } from "../limits.ts";
import { type BrakeState, type Brakes, hopFault, type Taken, takeWrite, unbraked } from "./brakes.ts";

const start = 1_800_000_000_000;
const brakes: Brakes = { burst: 600, perMinute: 60, fanOutMax: 500, hopsMax: 8 };
const one = { body: undefined, recipients: 1 };

/** Tries a write at each of these times, keeping the state of those that passed. */
function tries(
  times: readonly number[],
  write: (index: number) => { body: string | undefined; recipients: number },
  with_: Brakes = brakes,
): Taken["status"][] {
  let state: BrakeState = unbraked;
  return times.map((now, index) => {
    const taken = takeWrite(state, write(index), { brakes: with_, now });
    state = taken.state;
    return taken.status;
  });
}
const passed = (statuses: readonly string[]) => statuses.filter((status) => status === "passed").length;
const at = (count: number, everyMs = 0) => Array.from({ length: count }, (_, i) => start + i * everyMs);

describe("the rate", () => {
  test("a burst passes, then one a second", () => {
    expect(passed(tries(at(700), () => one))).toBe(600);
    expect(passed(tries([...at(700), ...at(61, 1_000)], () => one))).toBe(660);
  });

  test("one that has to wait is told for how long, and passes then", () => {
    const small = { ...brakes, burst: 1, perMinute: 30 };
    const first = takeWrite(unbraked, one, { brakes: small, now: start });
    const { state } = first as Extract<Taken, { status: "passed" }>;
    const waits = takeWrite(state, one, { brakes: small, now: start + 500 });
    expect(waits).toMatchObject({ status: "limited", waitMs: 1_500 });
    expect(takeWrite(state, one, { brakes: small, now: start + 2_000 }).status).toBe("passed");
  });

  test("what waited in an outbox counts when it was written: an hour at the rate passes at once", () => {
    const now = start + 3_600_000;
    const drain = (times: readonly number[]) => {
      let state: BrakeState = { ...unbraked, used: brakes.burst, at: start };
      return times.map((writtenAt) => {
        const taken = takeWrite(state, { ...one, writtenAt }, { brakes, now });
        state = taken.state;
        return taken.status;
      });
    };
    expect(passed(drain(Array.from({ length: 4_000 }, (_, i) => start + i * 1_000)))).toBe(3_600);
    // Whoever dates back gets what the time gave and no more, and an hour of it at most.
    expect(passed(drain(Array(9_000).fill(start)))).toBe(3_600);
    expect(passed(drain(Array(9_000).fill(0)))).toBe(3_600);
    let state: BrakeState = { ...unbraked, at: 0 };
    const after = Array(9_000)
      .fill(0)
      .map((writtenAt) => {
        const taken = takeWrite(state, { ...one, writtenAt }, { brakes, now });
        state = taken.state;
        return taken.status;
      });
    expect(passed(after)).toBe(brakes.burst + 3_600);
  });

  test("a clock that is set back by a day gives nothing back and takes nothing", () => {
    const back = start - 86_400_000;
    expect(passed(tries([...at(599), ...Array(5).fill(back)], () => one))).toBe(600);
    expect(passed(tries([...at(600), back, back + 1_000], () => one))).toBe(601);
  });

  test("in no span do more pass than the burst and the rate of that span", () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 200 });
    const rates = fc.record({
      burst: fc.integer({ min: 1, max: 20 }),
      perMinute: fc.integer({ min: 1, max: 600 }),
    });
    fc.assert(
      fc.property(gaps, rates, (steps, rate) => {
        let now = start;
        const times = steps.map((gap) => {
          now += gap;
          return now;
        });
        const through = passed(tries(times, () => one, { ...brakes, ...rate }));
        const spanMs = now - (times[0] ?? now);
        expect(through).toBeGreaterThanOrEqual(1);
        expect(through).toBeLessThanOrEqual(rate.burst + (spanMs * rate.perMinute) / 60_000 + 1e-6);
      }),
      { seed: 5, numRuns: 200 },
    );
  });
});

describe("what counts more", () => {
  test("a message to many counts once for each ten of them", () => {
    expect(passed(tries(at(700), () => ({ body: undefined, recipients: 500 })))).toBe(12);
  });

  test("a body that is written again and again counts ten times from the 21st on", () => {
    const echoed = tries(at(700), () => ({ body: "thanks!", recipients: 1 }));
    expect(passed(echoed)).toBe(
      limits.repeatedBodyMax + (600 - limits.repeatedBodyMax) / limits.repeatedBodyPrice,
    );
    expect(passed(tries(at(700), (i) => ({ body: `text ${i}`, recipients: 1 })))).toBe(600);
  });

  test("an equal body after the time looked at is a new one", () => {
    const slowly = at(40, limits.repeatWindowMs / 10);
    expect(
      passed(tries(slowly, () => ({ body: "good morning", recipients: 1 }), { ...brakes, burst: 1 })),
    ).toBe(40);
  });

  test("no price is above the burst, so that every write passes some time", () => {
    const dear = { body: "x", recipients: 500 };
    expect(tries([start, start + 60_000], () => dear, { ...brakes, burst: 1 })).toEqual(["passed", "passed"]);
  });

  test("what is remembered of a sender is bounded", () => {
    let state: BrakeState = unbraked;
    for (let i = 0; i < 300; i++) {
      const taken = takeWrite(state, { body: `text ${i}`, recipients: 1 }, { brakes, now: start });
      state = (taken as Extract<Taken, { status: "passed" }>).state;
    }
    expect(state.repeats).toHaveLength(limits.repeatsRemembered);
  });
});

test("a message may be forwarded so often and not once more", () => {
  expect(hopFault(8, brakes)).toBeUndefined();
  expect(hopFault(9, brakes)).toEqual({
    code: "hops_exceeded",
    detail: "Forward a message: it would be forwarded for the 9th time, 8 times are the most",
  });
});
