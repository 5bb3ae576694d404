/** An agent is told of replies that it owes or waits for, and never nagged. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { type Reminder, reminderNotes } from "../wire/obligation.ts";
import { createReminders } from "./reminders.ts";

const limits = { remindersMax: 2, reminderPauseMs: 1_000, remindersShownMax: 2 };
const of =
  (kind: Reminder["kind"]) =>
  (messageId: string): Reminder => ({
    ...{ kind, messageId, with: "ada", askedAt: "2026-01-01T00:00:00.000Z", text: reminderNotes[kind] },
  });
const [owed, overdue, ended] = [of("owed"), of("overdue"), of("ended")];

/** Reminders of a relay that a test plays. */
function play(...answers: Reminder[]) {
  const played = { answers, asked: 0, answering: false, clock: new VirtualClock(0) };
  const reminders = createReminders({
    ask: async () => {
      played.asked += 1;
      return played.answers;
    },
    answering: () => played.answering,
    clock: played.clock,
    limits,
  });
  const due = async () => {
    await reminders.look(true);
    return reminders.due();
  };
  return { played, reminders, due };
}

test("I9: a reply is brought up twice with a pause between, then no more", async () => {
  const { played, due } = play(owed("m1"));
  const first = await due();
  expect(first?.text).toContain("reply owed to ada · message m1");
  expect(await due()).toBeUndefined();
  played.clock.advance(1_000);
  expect((await due())?.id).not.toBe(first?.id);
  played.clock.advance(1_000_000);
  expect(await due()).toBeUndefined();
});

test("I9: what was answered is forgotten, and one text names a bounded number", async () => {
  const { played, reminders, due } = play(...["m1", "m2", "m3"].map(owed));
  expect((await due())?.text).not.toContain("m3");
  played.answers = [];
  await due();
  reminders.changed();
  played.answers = [owed("m1")];
  expect((await due())?.text).toContain("m1");
});

test("I10: that a reply is late or will not come is told once", async () => {
  const { played, due } = play(overdue("m1"), ended("m2"));
  const text = (await due())?.text;
  expect(text).toContain("reply overdue from ada · message m1");
  expect(text).toContain("no reply from ada · message m2");
  played.clock.advance(1_000_000);
  expect(await due()).toBeUndefined();
});

test("I10: what the relay says only once is kept until it was taken", async () => {
  const { played, reminders, due } = play(ended("m1"));
  const first = await due();
  reminders.refused(first?.id ?? "");
  played.answers = [];
  expect((await due())?.text).toBe(first?.text ?? "");
  expect(await due()).toBeUndefined();
});

test("a text that was refused does not count", async () => {
  const { reminders, due } = play(owed("m1"));
  const first = await due();
  reminders.refused("another");
  expect(await due()).toBeUndefined();
  reminders.refused(first?.id ?? "");
  expect((await due())?.id).toBe(first?.id ?? "");
});

test("what it owes is not brought up while its own replies may be on their way; the rest is", async () => {
  const { played, due } = play(owed("m1"), overdue("m2"));
  played.answering = true;
  expect((await due())?.text).not.toContain("m1");
  played.answering = false;
  expect((await due())?.text).toContain("m1");
});

test("the relay is asked while there may be something, and not again before the feed brings news", async () => {
  const { played, reminders } = play(owed("m1"));
  await reminders.look(true);
  await reminders.look(true);
  played.answers = [];
  await reminders.look(false);
  await reminders.look(true);
  await reminders.look(true);
  expect(played.asked).toBe(4);
  reminders.changed();
  await reminders.look(true);
  expect(played.asked).toBe(5);
});

test("news that comes while the relay is asked is not forgotten", async () => {
  const { played, reminders } = play();
  const asking = reminders.look(true);
  reminders.changed();
  await asking;
  await reminders.look(true);
  expect(played.asked).toBe(2);
});
