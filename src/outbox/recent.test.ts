/** What a repeated call is compared with: writes of this moment that were not seen, also those not yet committed. */
import { expect, test } from "bun:test";
import { Recent } from "./recent.ts";

const write = (id: number, over: { print?: string; at?: number } = {}) => ({
  ...{ id, fingerprint: over.print ?? "p", callId: undefined, enqueuedAt: over.at ?? 1_000, seen: false },
});
const ids = (recent: Recent, print = "p") => recent.equal(print).map(({ id }) => id);

test("[P2.13] a write counts at once, and no longer when its transaction is undone or its answer was seen", () => {
  const recent = new Recent({ reissueWindowMs: 500 }, [write(1)]);
  recent.add(write(2));
  recent.add(write(3, { print: "q" }));
  expect([ids(recent), ids(recent, "q")]).toEqual([[2, 1], [3]]);
  recent.settle(false);
  expect([ids(recent), ids(recent, "q")]).toEqual([[1], []]);
  recent.add(write(4));
  recent.seen([1, 4]);
  expect(ids(recent)).toEqual([]);
  recent.settle(true);
  expect(ids(recent)).toEqual([]);
});

test("[P2.13] a transaction that stores nothing forgets nothing", () => {
  const recent = new Recent({ reissueWindowMs: 500 }, [write(1)]);
  recent.settle(true);
  expect(ids(recent)).toEqual([1]);
});

test("what is older than the window is forgotten when a newer one is stored", () => {
  const recent = new Recent({ reissueWindowMs: 500 }, [write(1), write(2, { at: 1_400 })]);
  recent.add(write(3, { at: 1_600, print: "q" }));
  recent.settle(true);
  expect([ids(recent), ids(recent, "q")]).toEqual([[2], [3]]);
});
