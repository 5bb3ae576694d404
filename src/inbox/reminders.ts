/**
 * What an agent is told about replies without asking: those that it owes when a turn has ended without them, and those
 * to it that are late or will not come. The relay has the timers and the last word; here is only how often one is told.
 */
import type { Clock } from "../base/clock.ts";
import type { Limits } from "../limits.ts";
import { uuidOf } from "../wire/id.ts";
import { type Reminder, reminderText } from "../wire/obligation.ts";
import type { Delivery } from "./text.ts";

export type Reminders = {
  /** The feed brought what may make a reply owed or late, or was away. */
  changed(): void;
  /**
   * Asks the relay, unless nothing can be new since it last knew of nothing. Rejects when it does not answer.
   * @param fresh also of replies owed that the relay has not reminded of yet
   */
  look(fresh: boolean): Promise<void>;
  /** The text for what is due of what was found, which then counts as told; undefined when nothing is. */
  due(): Delivery | undefined;
  /** The text with this id was not taken: what is in it was not told. */
  refused(id: string): void;
};

export type RemindersOptions = {
  /** What the relay wants told. */
  ask(fresh: boolean): Promise<readonly Reminder[]>;
  /** The agent's own replies may be on their way: what it owes is not brought up now. */
  answering(): boolean;
  clock: Clock;
  /** Bounds how often one reply is brought up, and how many at once. */
  limits: Pick<Limits, "remindersMax" | "reminderPauseMs" | "remindersShownMax">;
};

type Told = { count: number; at: number };

const keyOf = ({ kind, messageId }: Reminder) => `${kind} ${messageId}`;

export function createReminders({ ask, answering, clock, limits }: RemindersOptions): Reminders {
  let found: readonly Reminder[] = [];
  let nothing = false;
  let changes = 0;
  const told = new Map<string, Told>();
  /** The last text, and how often each part of it had been told before. */
  let last: { id: string; before: [string, Told | undefined][] } | undefined;

  const isDue = (reminder: Reminder) => {
    const before = told.get(keyOf(reminder));
    if (reminder.kind !== "owed") return before === undefined;
    if (answering()) return false;
    if (before === undefined) return true;
    return before.count < limits.remindersMax && clock.monotonic() - before.at >= limits.reminderPauseMs;
  };

  return {
    changed() {
      nothing = false;
      changes += 1;
    },
    async look(fresh) {
      if (nothing) return;
      const before = changes;
      const heard = await ask(fresh);
      const keys = new Set(heard.map(keyOf));
      // The relay says only once that a reply has ended: it is kept until it was told.
      const kept = found.filter(
        (one) => one.kind === "ended" && !keys.has(keyOf(one)) && !told.has(keyOf(one)),
      );
      found = [...kept, ...heard];
      if (!fresh) return;
      for (const key of told.keys()) if (!keys.has(key)) told.delete(key);
      nothing = heard.length === 0 && before === changes;
    },
    due() {
      const due = found.filter(isDue).slice(0, limits.remindersShownMax);
      if (due.length === 0) return undefined;
      const before = due.map((one): [string, Told | undefined] => [keyOf(one), told.get(keyOf(one))]);
      const counts = before.map(([key, earlier]) => {
        const count = (earlier?.count ?? 0) + 1;
        told.set(key, { count, at: clock.monotonic() });
        return `${key} ${count}`;
      });
      const id = uuidOf("reminder", ...counts);
      last = { id, before };
      return { id, text: [`Agent Relay · delivery ${id}`, ...due.map(reminderText)].join("\n\n") };
    },
    refused(id) {
      if (last?.id !== id) return;
      for (const [key, earlier] of last.before) {
        if (earlier === undefined) told.delete(key);
        else told.set(key, earlier);
      }
    },
  };
}
