/** When the steps of an obligation come. */
import { expect, test } from "bun:test";
import { stepAt } from "./obligation-steps.ts";

const minute = 60_000;
const openedAt = 1_800_000_000_000;

/** Step and minutes to the next one, at a minute after the opening. */
function seen(dueMinutes: number | undefined, atMinutes: number): [number, number | undefined] {
  const dueAt = dueMinutes === undefined ? undefined : openedAt + dueMinutes * minute;
  const { step, nextAt } = stepAt({ openedAt, dueAt }, openedAt + atMinutes * minute);
  return [step, nextAt === undefined ? undefined : (nextAt - openedAt) / minute];
}

test.each([
  ["opened", undefined, 0, [0, 10]],
  ["just before the first reminder", undefined, 9.99, [0, 10]],
  ["reminded", undefined, 10, [1, 30]],
  ["reminded again", undefined, 30, [2, 60]],
  ["overdue without a due time", undefined, 60, [3, undefined]],
  ["steps missed in an outage are not made up for", undefined, 45, [2, 60]],
  ["due before the first reminder: no reminder", 5, 0, [0, 5]],
  ["due before the first reminder", 5, 5, [3, undefined]],
  ["due between the reminders", 20, 10, [1, 20]],
  ["due between the reminders: overdue then", 20, 20, [3, undefined]],
  ["due in two days: reminded twice, then at the due time", 2_880, 31, [2, 2_880]],
  ["due before it was opened: overdue at once", -5, 0, [3, undefined]],
] as const)("%s", (_, due, at, wanted) => {
  expect(seen(due, at)).toEqual([...wanted]);
});
