/** The invariants of SPEC.md, against a played session. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { limits } from "../limits.ts";
import type { DeliveryOutcome } from "./deliver.ts";
import { message, type Played, play, settle } from "./played-session.ts";

const injected: DeliveryOutcome = { status: "injected" };
const refused: DeliveryOutcome = { status: "refused", reason: "no", final: false };
const unknown: DeliveryOutcome = { status: "unknown", reason: "nothing heard" };

async function add(played: Played, ...ids: string[]) {
  ids.forEach((id, index) => {
    played.inbox.add(message(id, index + 1));
  });
  await settle();
}
async function answer(played: Played, outcome: DeliveryOutcome) {
  played.given.at(-1)?.answer(outcome);
  await settle();
}

test("I1, I3: [P8.1] [P8.3] an idle agent gets a message: intent on disk, given, injected, and read when its turn completed", async () => {
  const played = play();
  await add(played, "m1");
  expect(played.log).toEqual(["offered m1", "give m1"]);
  await answer(played, injected);
  expect(played.log.slice(2)).toEqual(["report injected m1", "injected m1"]);
  played.inbox.turnEnded(true, ["m1"]);
  await settle();
  expect(played.log.slice(4)).toEqual(["report read m1", "read m1"]);
  expect(played.inbox.waiting).toBe(0);
});

test("I1: nothing is given while the intent cannot be written, and it is given when it can", async () => {
  const played = play();
  played.ledgerFails = true;
  await add(played, "m1");
  expect(played.given).toHaveLength(0);
  played.ledgerFails = false;
  played.clock.advance(limits.deliveryBackoffCapMs);
  await settle();
  expect(played.log).toEqual(["offered m1", "give m1"]);
});

test("I3: a turn that failed or was interrupted reads nothing; the next completed one does", async () => {
  const played = play();
  await add(played, "m1");
  await answer(played, injected);
  played.inbox.turnEnded(false, undefined);
  await settle();
  expect(played.log).not.toContain("report read m1");
  played.inbox.turnEnded(true, undefined);
  await settle();
  expect(played.log).toContain("report read m1");
});

test("I5: [P8.2] a running turn gets urgent messages only; the rest comes at its end in one text", async () => {
  const played = play();
  played.state = "busy";
  await add(played, "m1", "m2");
  expect(played.given).toHaveLength(0);
  played.inbox.add(message("m3", 3, { urgent: true }));
  await settle();
  expect(played.given.map(({ delivery, urgent }) => [delivery.id, urgent])).toEqual([["m3", true]]);
  await answer(played, injected);
  played.state = "idle";
  played.inbox.turnEnded(true, ["m3"]);
  await settle();
  const text = played.given.at(-1)?.delivery.text ?? "";
  expect(text).toStartWith("Agent Relay · 2 messages for you · delivery ");
  expect(text.indexOf("body of m1")).toBeLessThan(text.indexOf("body of m2"));
});

test("I5: a waiting approval counts as a running turn; a session that starts or has ended gets nothing", async () => {
  const played = play();
  for (const state of ["starting", "ended", "waiting_approval"] as const) {
    played.state = state;
    await add(played, "m1");
    played.inbox.wake();
    await settle();
  }
  expect(played.given).toHaveLength(0);
});

test("I2: while a text is under way an idle agent gets no other", async () => {
  const played = play();
  await add(played, "m1");
  await add(played, "m1", "m2");
  expect(played.given).toHaveLength(1);
});

test("I6: a text is bounded by messages and bytes, one message is always given", async () => {
  const played = play({}, { injectionMessagesMax: 2, injectionBytesMax: 30 });
  await add(played, "m1", "m2", "m3");
  expect(played.log[0]).toBe("offered m1 m2");
  const big = play({}, { injectionBytesMax: 5 });
  await add(big, "m1", "m2");
  expect(big.log[0]).toBe("offered m1");
});

describe("I7: what the session did not take is given again", () => {
  test("refused: after a back-off, with the same id, not said to be again", async () => {
    const played = play();
    await add(played, "m1");
    await answer(played, refused);
    expect(played.given).toHaveLength(1);
    played.clock.advance(limits.deliveryBackoffCapMs);
    await settle();
    expect(played.given.map(({ delivery }) => delivery.id)).toEqual(["m1", "m1"]);
    expect(played.given[1]?.delivery.text).not.toContain("redelivered");
  });

  test("refused for good: it stays at the relay, nothing is tried again", async () => {
    const played = play();
    await add(played, "m1");
    await answer(played, { ...refused, final: true });
    played.canInject = false;
    played.clock.advance(3_600_000);
    await settle();
    expect(played.given).toHaveLength(1);
    expect(played.inbox.waiting).toBe(1);
  });

  test("not heard of while the agent is idle: anew after a while, another id, said to be again", async () => {
    const played = play();
    await add(played, "m1");
    await answer(played, unknown);
    played.clock.advance(limits.injectionLostMs - 1);
    await settle();
    expect(played.given).toHaveLength(1);
    played.clock.advance(1);
    await settle();
    expect(played.given).toHaveLength(2);
    expect(played.given[1]?.delivery.id).not.toBe("m1");
    expect(played.given[1]?.delivery.text).toContain("redelivered");
  });

  test("heard of late: not given again", async () => {
    const played = play();
    await add(played, "m1");
    await answer(played, unknown);
    played.inbox.taken("m1");
    await settle();
    played.clock.advance(limits.injectionLostMs * 2);
    await settle();
    expect(played.given).toHaveLength(1);
    expect(played.log).toContain("report injected m1");
  });

  test("accepted and then dropped by the provider", async () => {
    const played = play();
    await add(played, "m1");
    await answer(played, unknown);
    played.inbox.dropped("m1");
    await settle();
    expect(played.given).toHaveLength(2);
  });
});

describe("I4: [P8.4] a message under way at a crash is looked for", () => {
  const rows = [
    { what: "not there", found: undefined, again: true },
    { what: "there, its turn was cut", found: "taken", again: true },
    { what: "there, its turn completed", found: "done", again: false },
  ] as const;
  test.each(rows)("of the program: $what", async ({ found, again }) => {
    const played = play();
    await add(played, "m1");
    await answer(played, injected);
    played.state = "starting";
    played.inbox.exited();
    await settle();
    if (found !== undefined) played.conversation.set("m1", found);
    played.state = "idle";
    played.inbox.wake();
    await settle();
    expect(played.given).toHaveLength(again ? 2 : 1);
    expect(played.log.includes("report read m1")).toBe(!again);
  });

  test("of the runner: the ledger says so", async () => {
    const played = play({ m1: { state: "doubtful", attempt: 1 }, m2: { state: "read", attempt: 1 } });
    await add(played, "m1", "m2");
    expect(played.given).toHaveLength(1);
    expect(played.given[0]?.delivery.text).toContain("redelivered");
    expect(played.log).toContain("report read m2");
  });
});

test("I3: what the agent has seen with a tool is read and not given", async () => {
  const played = play();
  played.state = "busy";
  await add(played, "m1", "m2");
  played.inbox.seen(1);
  played.state = "idle";
  played.inbox.wake();
  await settle();
  expect(played.log).toEqual(["report read m1", "read m1", "offered m2", "give m2"]);
});

test("a provider that asks at the end of a turn gets what waits, once", async () => {
  const played = play();
  played.state = "busy";
  await add(played, "m1", "m2");
  expect(played.inbox.takeWaiting()?.text).toContain("body of m2");
  expect(played.inbox.takeWaiting()).toBeUndefined();
});

test("what cannot be held in memory is read from the relay when there is room", async () => {
  const played = play({}, { inboxWaitingMax: 2 });
  await add(played, "m1", "m2", "m3");
  played.more = [message("m3", 3)];
  await answer(played, injected);
  played.inbox.turnEnded(true, undefined);
  await settle();
  expect(played.given.at(-1)?.delivery.id).toBe("m3");
});

test("a reminder is given when a turn completed and nothing waits, not before the first turn", async () => {
  const played = play();
  played.reminder = { id: "r1", text: "you owe a reply" };
  played.inbox.wake();
  await settle();
  expect(played.given).toHaveLength(0);
  played.inbox.turnEnded(true, undefined);
  await settle();
  expect(played.given.map(({ delivery }) => delivery.id)).toEqual(["r1"]);
  expect(played.asked).toEqual(["all"]);
});

test("an idle agent is told of a late reply at once, a busy one when its turn has ended", async () => {
  const played = play();
  played.reminder = { id: "late", text: "a reply is overdue" };
  played.inbox.remind();
  await settle();
  expect(played.given.map(({ delivery, urgent }) => [delivery.id, urgent])).toEqual([["late", false]]);
  played.state = "busy";
  played.reminder = { id: "later", text: "another" };
  played.inbox.remind();
  await settle();
  expect(played.given).toHaveLength(1);
  played.state = "idle";
  played.inbox.turnEnded(false, undefined);
  await settle();
  expect(played.given.map(({ delivery }) => delivery.id)).toEqual(["late", "later"]);
  expect(played.asked).toEqual(["pressing", "pressing"]);
});

test("messages go before reminders, and a reminder waits for the end of their turn", async () => {
  const played = play();
  await add(played, "m1");
  played.reminder = { id: "late", text: "a reply is overdue" };
  played.inbox.remind();
  await settle();
  expect(played.given).toHaveLength(1);
  expect(played.asked).toEqual([]);
  await answer(played, injected);
  played.inbox.turnEnded(true, undefined);
  await settle();
  expect(played.given.at(-1)?.delivery.id).toBe("late");
});

test("a reminder that is refused was not told, and is tried again", async () => {
  const played = play();
  played.reminder = { id: "late", text: "a reply is overdue" };
  played.inbox.remind();
  await settle();
  await answer(played, refused);
  expect(played.log).toContain("untold late");
  played.reminder = { id: "late", text: "a reply is overdue" };
  played.clock.advance(60_000);
  await settle();
  expect(played.given.map(({ delivery }) => delivery.id)).toEqual(["late", "late"]);
});

test("while the relay is away nothing is reminded of, and nothing asks it over and over", async () => {
  const played = play();
  played.relayFails = true;
  played.reminder = { id: "late", text: "a reply is overdue" };
  played.inbox.remind();
  await settle();
  played.inbox.wake();
  await settle();
  expect([played.asked, played.given]).toEqual([["pressing"], []]);
  played.relayFails = false;
  played.inbox.remind();
  await settle();
  expect(played.given).toHaveLength(1);
});

/** What may happen at any moment. */
const happenings = {
  add: (p: Played, n: number) => p.inbox.add(message(`m${n}`, n + 1, { urgent: n % 3 === 0 })),
  injected: (p: Played) => p.given.at(-1)?.answer(injected),
  refused: (p: Played) => p.given.at(-1)?.answer(refused),
  unknown: (p: Played) => p.given.at(-1)?.answer(unknown),
  busy(p: Played) {
    p.state = "busy";
  },
  idle(p: Played) {
    p.state = "idle";
    p.inbox.wake();
  },
  completed: (p: Played) => p.inbox.turnEnded(true, undefined),
  failed: (p: Played) => p.inbox.turnEnded(false, undefined),
  exited: (p: Played) => p.inbox.exited(),
  time: (p: Played) => p.clock.advance(60_000),
};
const names = Object.keys(happenings) as (keyof typeof happenings)[];

test("I7, I2: [P8.4] whatever happens, every message ends as read once the session works again", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...names), fc.nat({ max: 8 })), { maxLength: 40 }),
      async (story) => {
        const played = play();
        for (const [name, n] of story) {
          happenings[name](played, n);
          await settle();
        }
        const added = new Set(story.filter(([name]) => name === "add").map(([, n]) => `m${n}`));
        for (let round = 0; round < 30; round++) {
          happenings.idle(played);
          await settle();
          for (const given of played.given) given.answer(injected);
          await settle();
          happenings.time(played);
          await settle();
          happenings.completed(played);
          await settle();
        }
        const read = played.log
          .filter((line) => line.startsWith("read "))
          .flatMap((line) => line.slice(5).split(" "));
        expect(read.toSorted()).toEqual([...added].toSorted());
        expect(played.inbox.waiting).toBe(0);
      },
    ),
    { numRuns: 150 },
  );
});
