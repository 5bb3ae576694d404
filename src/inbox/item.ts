/**
 * One message on its way from the relay into the conversation of an agent, as a pure machine: the table of SPEC.md.
 * Every state answers every event.
 */

export const itemStates = ["waiting", "offered", "doubtful", "injected", "read"] as const;
/**
 * waiting: certainly not in the conversation by this attempt. offered: the intent is on disk, the provider has not said
 * what became of it. doubtful: the program ended before it said so, or before a turn with it completed. injected: in
 * the conversation. read: a turn with it completed, or the agent has seen it otherwise.
 */
export type ItemState = (typeof itemStates)[number];

export const itemEvents = [
  "offer",
  "taken",
  "refused",
  "lost",
  "ended",
  "absent",
  "cut",
  "done",
  "completed",
  "seen",
] as const;
/**
 * offer: it is about to be given. taken: the provider has it in the conversation. refused: it certainly has not. lost:
 * it was accepted, but will not arrive. ended: the program has ended. absent, cut, done: what a look into the
 * conversation found afterwards: nothing, it without the end of its turn, it with. completed: a turn ended. seen: the
 * agent read it with a tool.
 */
export type ItemEvent = (typeof itemEvents)[number];

/** The next states; a missing cell stays. `*` marks that the next attempt is a new one: another id, said to be again. */
export const itemTable: Readonly<Record<ItemState, Partial<Record<ItemEvent, ItemState | `${ItemState}*`>>>> =
  {
    waiting: { offer: "offered", taken: "injected", seen: "read" },
    offered: {
      taken: "injected",
      refused: "waiting",
      lost: "waiting*",
      ended: "doubtful",
      seen: "read",
    },
    doubtful: { taken: "injected", absent: "waiting*", cut: "waiting*", done: "read", seen: "read" },
    injected: { lost: "waiting*", ended: "doubtful", completed: "read", seen: "read" },
    read: {},
  };

export type Item = {
  readonly state: ItemState;
  /** From 1; grows when the message is given anew although it may have arrived. */
  readonly attempt: number;
};

/** A message that was never offered. */
export const newItem: Item = { state: "waiting", attempt: 1 };

/** The item after an event. */
export function nextItem(item: Item, event: ItemEvent): Item {
  const cell = itemTable[item.state][event];
  if (cell === undefined) return item;
  const again = cell.endsWith("*");
  const state = (again ? cell.slice(0, -1) : cell) as ItemState;
  return { state, attempt: item.attempt + (again ? 1 : 0) };
}
