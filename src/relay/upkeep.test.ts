/** The relay's own work on its store: when it happens, what a failure costs, and that it ends. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { limits } from "../limits.ts";
import type { PrunedStep, PruneStep } from "../store/store.ts";
import { keepUp } from "./upkeep.ts";

const day = 24 * 3_600_000;

/** A store that writes down what it is asked; `index` says how many messages each step takes. */
function scriptedStore(index: number[] = [], steps: PrunedStep[] = []) {
  const asked: { prune: number[]; pruneMessages: PruneStep[]; index: number } = {
    prune: [],
    pruneMessages: [],
    index: 0,
  };
  const store = {
    async prune(now: number) {
      asked.prune.push(now);
      return 0;
    },
    async pruneMessages(step: PruneStep) {
      asked.pruneMessages.push(step);
      return steps.shift() ?? { gone: 0, next: undefined };
    },
    async indexMessages() {
      asked.index += 1;
      const taken = index.shift() ?? 0;
      if (taken < 0) throw new Error("the store failed");
      return taken;
    },
  };
  return { asked, store };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

function started(script: ReturnType<typeof scriptedStore>, retentionMs?: number) {
  const clock = new VirtualClock(1_800_000_000_000);
  const end = keepUp({ store: script.store, clock, log: silentLog, retentionMs });
  const pass = async (ms: number) => {
    await clock.advance(ms);
    await settle();
  };
  return { clock, end, pass };
}

test("without a retention setting no message is ever forgotten; keys are, now and every hour", async () => {
  const script = scriptedStore();
  const { pass, end } = started(script);
  await settle();
  await pass(limits.pruneIntervalMs);
  expect(script.asked.prune).toHaveLength(2);
  expect(script.asked.pruneMessages).toEqual([]);
  end();
});

test("old messages are forgotten step by step until the store says that there are no more", async () => {
  const script = scriptedStore(
    [],
    [
      { gone: 3, next: 7 },
      { gone: 0, next: 9 },
      { gone: 1, next: undefined },
    ],
  );
  const { clock, end } = started(script, 30 * day);
  await settle();
  const before = clock.now() - 30 * day;
  expect(script.asked.pruneMessages).toEqual([0, 7, 9].map((after) => ({ before, after })));
  end();
});

test("new messages are taken into the search soon, and sooner while there are many; a failure is tried again", async () => {
  const script = scriptedStore([limits.searchStepRows, 5, -1, 0]);
  const { pass, end } = started(script);
  await settle();
  expect(script.asked.index).toBe(1);
  await pass(limits.searchCatchUpMs);
  expect(script.asked.index).toBe(2);
  await pass(limits.searchCatchUpMs);
  expect(script.asked.index).toBe(2);
  await pass(limits.searchStepMs);
  expect(script.asked.index).toBe(3);
  await pass(limits.searchStepMs);
  expect(script.asked.index).toBe(4);
  end();
  await pass(limits.pruneIntervalMs);
  expect(script.asked.index).toBe(4);
});
