/** When a call is one that was made before. */
import { describe, expect, test } from "bun:test";
import { type Candidate, type EarlierWrite, judge, type Verdict } from "./reissue.ts";

const windowed = { reissueWindowMs: 120_000 };
const call: Candidate = {
  origin: "minted",
  fingerprint: "f",
  callId: undefined,
  parallel: [],
  now: 1_000_000,
};
const write: EarlierWrite = { id: 7, fingerprint: "f", callId: undefined, enqueuedAt: 990_000, seen: false };
const isNew: Verdict = { kind: "new" };
const isSame: Verdict = { kind: "same", id: 7 };

describe("O9 [P2.7] a key", () => {
  const cases: [string, Candidate, EarlierWrite, Verdict][] = [
    ["with equal arguments is the same write", { ...call, origin: "own" }, write, isSame],
    [
      "is the same also when its answer was seen",
      { ...call, origin: "own" },
      { ...write, seen: true },
      isSame,
    ],
    ["is the same also after the window", { ...call, origin: "call" }, { ...write, enqueuedAt: 0 }, isSame],
    [
      "with other arguments is refused",
      { ...call, origin: "own" },
      { ...write, fingerprint: "g" },
      { kind: "reused", id: 7 },
    ],
  ];
  for (const [name, candidate, byKey, verdict] of cases)
    test(name, () => expect(judge(candidate, { byKey, equal: [] }, windowed)).toEqual(verdict));
});

describe("O10 [P2.13] an equal call", () => {
  const called = { ...call, origin: "call" as const, callId: "b" };
  const cases: [string, Candidate, EarlierWrite, Verdict][] = [
    ["whose answer was never seen is the same write", call, write, isSame],
    ["whose answer was seen is new", call, { ...write, seen: true }, isNew],
    ["after the window is new", call, { ...write, enqueuedAt: 1_000_000 - 120_001 }, isNew],
    ["at the end of the window is the same", call, { ...write, enqueuedAt: 1_000_000 - 120_000 }, isSame],
    ["with a key of the agent's own is new", { ...call, origin: "own" }, write, isNew],
    ["with other arguments is new", call, { ...write, fingerprint: "g" }, isNew],
    ["with another call id, one after the other, is the same", called, { ...write, callId: "a" }, isSame],
    [
      "with another call id, both in flight, is new",
      { ...called, parallel: ["a"] },
      { ...write, callId: "a" },
      isNew,
    ],
    ["without a call id while one is in flight is the same", { ...call, parallel: ["a"] }, write, isSame],
  ];
  for (const [name, candidate, earlier, verdict] of cases)
    test(name, () =>
      expect(judge(candidate, { byKey: undefined, equal: [earlier] }, windowed)).toEqual(verdict),
    );
});
