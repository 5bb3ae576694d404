/**
 * Replies that an agent owes, brought up when a turn has ended without them: each at most so often, with a pause between.
 * The relay has the timers and the last word; this only helps a model that forgot.
 */
import type { Clock } from "../base/clock.ts";
import type { Limits } from "../limits.ts";
import { uuidOf } from "../wire/id.ts";
import { type Obligation, reminderNotes, reminderText } from "../wire/obligation.ts";
import type { Delivery } from "./deliver.ts";

export type Reminders = {
  /** The text for what is due now, which then counts as said; undefined when nothing is. */
  due(owed: readonly Obligation[]): Delivery | undefined;
};

export type Owed = {
  /** The feed brought what may make a reply owed, or was away. */
  changed(): void;
  /** What the agent owes; asked at the relay only while that may be anything. Rejects when it does not answer. */
  now(): Promise<readonly Obligation[]>;
};

/** Remembers that nothing is owed until the feed says otherwise, so that most turns end without a question. */
export function rememberOwed(ask: () => Promise<readonly Obligation[]>): Owed {
  let clear = false;
  let changes = 0;
  return {
    changed() {
      clear = false;
      changes += 1;
    },
    async now() {
      if (clear) return [];
      const before = changes;
      const owed = await ask();
      clear = owed.length === 0 && before === changes;
      return owed;
    },
  };
}

type Said = { count: number; at: number };

/** @param limits bounds how often one reply is brought up */
export function createReminders(
  clock: Clock,
  limits: Pick<Limits, "remindersMax" | "reminderPauseMs" | "remindersShownMax">,
): Reminders {
  const said = new Map<string, Said>();
  return {
    due(owed) {
      const now = clock.monotonic();
      const open = new Set(owed.map(({ messageId }) => messageId));
      for (const id of said.keys()) if (!open.has(id)) said.delete(id);
      const due = owed
        .filter(({ messageId }) => isDue(said.get(messageId), now, limits))
        .slice(0, limits.remindersShownMax);
      if (due.length === 0) return undefined;
      const counts = due.map(({ messageId }) => {
        const count = (said.get(messageId)?.count ?? 0) + 1;
        said.set(messageId, { count, at: now });
        return `${messageId} ${count}`;
      });
      const id = uuidOf("reminder", ...counts);
      return { id, text: [`Agent Relay · delivery ${id}`, ...due.map(lineOf)].join("\n\n") };
    },
  };
}

function isDue(
  said: Said | undefined,
  now: number,
  limits: Pick<Limits, "remindersMax" | "reminderPauseMs">,
): boolean {
  if (said === undefined) return true;
  return said.count < limits.remindersMax && now - said.at >= limits.reminderPauseMs;
}

function lineOf({ messageId, creditor, askedAt, replyBy }: Obligation): string {
  return reminderText({
    kind: "owed",
    messageId,
    with: creditor,
    askedAt,
    ...(replyBy === undefined ? {} : { replyBy }),
    text: reminderNotes.owed,
  });
}
