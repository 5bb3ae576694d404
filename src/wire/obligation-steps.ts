/**
 * When something happens about a reply that is owed: pure decisions for the relay and every twin of its store. The debtor
 * is reminded twice, then both sides hear that the reply is overdue; it stays owed until it comes or is declined.
 */
import { limits } from "../limits.ts";

/** How far it has come: 0 opened, 1 and 2 reminded so often, 3 overdue. */
export type ObligationStep = 0 | 1 | 2 | 3;

/** What decides the steps; ms since 1970. `dueAt` is when the sender wants the reply, if it said so. */
export type ObligationTimes = { readonly openedAt: number; readonly dueAt: number | undefined };

/** When an obligation without a due time is overdue, or the one with it. Never before it was opened. */
export function overdueAt({ openedAt, dueAt }: ObligationTimes): number {
  return Math.max(openedAt, dueAt ?? openedAt + limits.replyOverdueMs);
}

/**
 * The step an obligation is in at a time, and when the next one comes; undefined after the last. Steps that were
 * missed while nobody looked are not made up for.
 */
export function stepAt(
  times: ObligationTimes,
  now: number,
): { step: ObligationStep; nextAt: number | undefined } {
  const overdue = overdueAt(times);
  if (now >= overdue) return { step: 3, nextAt: undefined };
  const first = times.openedAt + limits.replyReminderMs;
  const second = times.openedAt + limits.replySecondReminderMs;
  if (now >= second) return { step: 2, nextAt: overdue };
  if (now >= first) return { step: 1, nextAt: Math.min(second, overdue) };
  return { step: 0, nextAt: Math.min(first, overdue) };
}
