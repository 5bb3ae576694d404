/** Every state meets every event; the table in SPEC.md is the one the code has; random lives keep the invariants. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  isEnded,
  newLife,
  type RecordEvent,
  type RecordEventType,
  type RecordLife,
  type RecordState,
  recordEventTypes,
  recordStates,
  step,
} from "./record.ts";

const bounds = { poisonAttemptsMax: 3, poisonSpanMs: 100 };
const detail = "words";
const events: Record<RecordEventType, RecordEvent> = {
  attempt: { type: "attempt" },
  committed: { type: "committed" },
  rejected: { type: "rejected", code: "recipient_unknown", detail },
  deferred: { type: "deferred", detail },
  notSent: { type: "notSent", detail },
  lost: { type: "lost", detail },
  failedAlone: { type: "failedAlone", detail, sent: "unknown", now: 1_000 },
  expired: { type: "expired", detail },
  dropped: { type: "dropped", detail },
  reopened: { type: "reopened" },
};

/** What a cell does, in the words of SPEC.md: `·` for nothing, `?` behind a state for a remembered attempt. */
function cell(life: RecordLife, event: RecordEvent): string {
  const next = step(life, event, bounds);
  if (next.life === life) return "·";
  const notice = next.effects.find((effect) => effect.do === "notice");
  const name = next.life.ambiguous && !isEnded(next.life.state) ? `${next.life.state}?` : next.life.state;
  return notice === undefined ? name : `${name} ! ${notice.reason}`;
}

type Expected = Record<RecordEventType, string>;
const ended: Expected = {
  attempt: "·",
  committed: "·",
  rejected: "·",
  deferred: "·",
  notSent: "·",
  lost: "·",
  failedAlone: "·",
  expired: "·",
  dropped: "·",
  reopened: "·",
};
const clean: Record<RecordState, Expected> = {
  queued: {
    attempt: "sending",
    committed: "sent",
    rejected: "rejected ! rejected",
    deferred: "·",
    notSent: "·",
    lost: "queued?",
    failedAlone: "·",
    expired: "expired ! expired",
    dropped: "dropped ! dropped",
    reopened: "·",
  },
  sending: {
    attempt: "·",
    committed: "sent",
    rejected: "rejected ! rejected",
    deferred: "queued",
    notSent: "queued",
    lost: "queued?",
    failedAlone: "queued?",
    expired: "unknown ! unknown",
    dropped: "unknown ! unknown",
    reopened: "queued?",
  },
  sent: ended,
  rejected: ended,
  expired: ended,
  unknown: ended,
  dropped: ended,
};
/** The cells that differ when an earlier attempt may have worked. */
const ambiguous = {
  queued: {
    ...clean.queued,
    attempt: "sending?",
    expired: "unknown ! unknown",
    dropped: "unknown ! unknown",
  },
  sending: { ...clean.sending, deferred: "queued?", notSent: "queued?" },
};

const lifeIn = (state: RecordState, isAmbiguous: boolean): RecordLife => ({
  ...newLife,
  state,
  ambiguous: isAmbiguous,
});

describe("O1: every state meets every event", () => {
  for (const state of recordStates)
    for (const type of recordEventTypes)
      test(`${state} × ${type}`, () => {
        expect(cell(lifeIn(state, false), events[type])).toBe(clean[state][type]);
      });
  for (const state of ["queued", "sending"] as const)
    for (const type of recordEventTypes)
      test(`${state}? × ${type}`, () => {
        expect(cell(lifeIn(state, true), events[type])).toBe(ambiguous[state][type]);
      });
});

test("the table in SPEC.md is the one the code has", async () => {
  const spec = await Bun.file(new URL("./SPEC.md", import.meta.url)).text();
  const read = Object.fromEntries(
    spec
      .split("\n")
      .filter((line) => /^\| `\w+` /.test(line))
      .map((line) => line.split("|").map((part) => part.replaceAll("`", "").trim()))
      .map(([, type, ...cells]) => [type, cells.slice(0, 5)]),
  );
  const made = Object.fromEntries(
    recordEventTypes.map((type) => [
      type,
      [
        cell(lifeIn("queued", false), events[type]),
        cell(lifeIn("queued", true), events[type]),
        cell(lifeIn("sending", false), events[type]),
        cell(lifeIn("sending", true), events[type]),
        cell(lifeIn("sent", false), events[type]),
      ],
    ]),
  );
  expect(read).toEqual(made);
});

describe("refusals that say nothing about earlier attempts", () => {
  for (const code of [undefined, "agent_removed", "key_expired"] as const)
    test(`O4: ${code ?? "a refusal without a code"} leaves an ambiguous record unknown`, () => {
      const life = lifeIn("sending", true);
      expect(cell(life, { type: "rejected", code, detail })).toBe("unknown ! unknown");
      expect(cell(lifeIn("sending", false), { type: "rejected", code, detail })).toBe("rejected ! rejected");
    });
});

describe("O5: poison", () => {
  const fail = (life: RecordLife, now: number, sent: "no" | "unknown"): RecordLife =>
    step({ ...life, state: "sending" }, { type: "failedAlone", detail, sent, now }, bounds).life;

  test("needs both the attempts and the time", () => {
    const many = [0, 1, 2, 3, 99].reduce((life, now) => fail(life, now, "no"), newLife);
    expect([many.state, many.failures]).toEqual(["queued", 5]);
    const late = [0, 500].reduce((life, now) => fail(life, now, "no"), newLife);
    expect([late.state, late.failures]).toEqual(["queued", 2]);
    expect(fail(many, 100, "no").state).toBe("dropped");
    expect(fail(late, 501, "no").state).toBe("dropped");
  });

  test("P5: is unknown when an attempt may have worked", () => {
    const life = [0, 50].reduce((before, now) => fail(before, now, "unknown"), newLife);
    const last = step(
      { ...life, state: "sending" },
      { ...events.failedAlone, type: "failedAlone", detail, sent: "no", now: 100 },
      bounds,
    );
    expect([last.life.state, last.effects]).toEqual([
      "unknown",
      [{ do: "end" }, { do: "notice", reason: "unknown" }],
    ]);
  });
});

test("O2 O3 O4: random lives keep the invariants", () => {
  const seed = Number(process.env.OUTBOX_SEED ?? Date.now() % 1_000_000);
  console.log(`seed of the random lives: ${seed}`);
  const event: fc.Arbitrary<RecordEvent> = fc
    .constantFrom(...recordEventTypes)
    .chain((type) =>
      fc
        .record({ now: fc.nat(1_000), sent: fc.constantFrom("no" as const, "unknown" as const) })
        .map((more) => ({ ...events[type], ...(type === "failedAlone" ? more : {}) }) as RecordEvent),
    );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (story) => {
      let life = newLife;
      let mayHaveWorked = false;
      for (const happening of story) {
        const before = life;
        const { life: after, effects } = step(before, happening, bounds);
        const lost = happening.type === "lost" || happening.type === "reopened";
        const failed = happening.type === "failedAlone" && happening.sent === "unknown";
        mayHaveWorked ||= before.state === "sending" && (lost || failed);
        mayHaveWorked ||= before.state === "queued" && happening.type === "lost";
        const ends = effects.filter((effect) => effect.do === "end").length;
        const notices = effects.filter((effect) => effect.do === "notice").length;
        // O2: an end is final. O3: every end but sent has its notice. O4: ambiguity is never forgotten.
        expect(isEnded(before.state) && after !== before).toBe(false);
        expect(ends).toBe(!isEnded(before.state) && isEnded(after.state) ? 1 : 0);
        expect(notices).toBe(ends === 1 && after.state !== "sent" ? 1 : 0);
        expect(mayHaveWorked && (after.state === "expired" || after.state === "dropped")).toBe(false);
        expect(!isEnded(after.state) && after.ambiguous).toBe(!isEnded(after.state) && mayHaveWorked);
        life = after;
      }
    }),
    { seed, numRuns: 500 },
  );
});
