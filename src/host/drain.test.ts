/** Stores that nobody owns: delivered in short turns, let go for whoever wants them, each failure its own. */
import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { limits } from "../limits.ts";
import { type DrainParts, drainOrphans, type HeldStore, type Orphan } from "./drain.ts";

type Script = Orphan & { perSlice: number; answers?: boolean; owned?: boolean; blocked?: string };

function world(orphans: readonly Script[]) {
  const clock = new VirtualClock(1_000);
  const ending = new AbortController();
  const held: string[] = [];
  let open = 0;
  let openMax = 0;
  const left = new Map(orphans.map(({ name, waiting }) => [name, waiting]));
  const hold = (orphan: Script): HeldStore => {
    held.push(orphan.name);
    open += 1;
    openMax = Math.max(openMax, open);
    return {
      async flush(ms) {
        expect(ms).toBe(limits.orphanSliceMs);
        clock.advance(ms);
        left.set(orphan.name, Math.max(0, (left.get(orphan.name) ?? 0) - orphan.perSlice));
        return left.get(orphan.name) === 0;
      },
      blocked: () => orphan.blocked,
      left: () => left.get(orphan.name) ?? 0,
      async close() {
        open -= 1;
      },
    };
  };
  const parts: DrainParts<Script> = {
    ...{ clock, limits, log: silentLog, signal: ending.signal, orphans },
    answers: async ({ answers = true }) => answers,
    hold: async (orphan) => (orphan.owned === true ? undefined : hold(orphan)),
  };
  /** Runs it with the gaps between the slices passing at once. */
  const run = async () => {
    const running = drainOrphans(parts);
    let done = false;
    void running.finally(() => {
      done = true;
    });
    for (let turns = 0; !done && turns < 10_000; turns += 1) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      clock.advance(limits.orphanGapMs);
    }
    return running;
  };
  return { parts, run, held, ending, openMax: () => openMax };
}

const orphan = (name: string, over: Partial<Script> = {}): Script => ({
  ...{ name, waiting: 100, perSlice: 1_000 },
  ...over,
});

describe("[P2.18] orphans", () => {
  test("are delivered one after another, in as many turns as they need", async () => {
    const { run, held, openMax } = world([orphan("a", { perSlice: 40 }), orphan("b")]);
    expect(await run()).toEqual([
      { name: "a", delivered: 100, left: 0, why: "delivered" },
      { name: "b", delivered: 100, left: 0, why: "delivered" },
    ]);
    expect([held, openMax()]).toEqual([["a", "a", "a", "b"], 1]);
  });

  test("whose relay is away, that are paused, or that somebody runs by now are left alone", async () => {
    const { run, held } = world([
      orphan("away", { answers: false }),
      orphan("paused", { perSlice: 0, blocked: "it is paused" }),
      orphan("owned", { owned: true }),
    ]);
    expect(await run()).toEqual([
      { name: "away", delivered: 0, left: 100, why: "its relay does not answer" },
      { name: "paused", delivered: 0, left: 100, why: "it is paused" },
      { name: "owned", delivered: 0, left: 100, why: "somebody runs it" },
    ]);
    expect(held).toEqual(["paused"]);
  });

  test("take a bounded time and number", async () => {
    const many = Array.from({ length: limits.orphanStoresMax + 5 }, (_, index) => orphan(`o${index}`));
    expect(await world(many).run()).toHaveLength(limits.orphanStoresMax);
    const slow = world([orphan("slow", { perSlice: 0 })]);
    expect(await slow.run()).toEqual([{ name: "slow", delivered: 0, left: 100, why: "its time is over" }]);
    expect(slow.held.length).toBeLessThanOrEqual(limits.orphanDrainMs / limits.orphanSliceMs);
  });

  test("one that cannot be opened does not stop the others, and the end of the process stops all", async () => {
    const { parts, run } = world([orphan("broken"), orphan("good")]);
    const { hold } = parts;
    parts.hold = async (one) => {
      if (one.name === "broken") throw new Error("Open outbox: permission denied");
      return hold(one);
    };
    expect((await run()).map(({ why }) => why)).toEqual(["Open outbox: permission denied", "delivered"]);
    const ended = world([orphan("a"), orphan("b")]);
    ended.ending.abort();
    expect(await ended.run()).toEqual([]);
  });
});
