/**
 * Which texts were given to Codex: those that stand in its conversation, and those it has accepted but not taken up yet.
 * Codex does not know a repeated id, and an interrupted turn forgets what it had accepted; so whoever gives a text asks
 * here first.
 */
import type { Clock } from "../../base/clock.ts";

export interface Given {
  /** It stands in the conversation. */
  has(id: string): boolean;
  /** It was given and is waited for. */
  awaits(id: string): boolean;
  /** It is about to be given. */
  begin(id: string): void;
  /** Codex has accepted it for this turn. */
  accepted(id: string, turn: string | undefined): void;
  /** It was certainly not accepted. */
  forget(id: string): void;
  /** It stands in the conversation now. */
  taken(id: string): void;
  /** True as soon as it stands in the conversation, false after `ms` or when it is forgotten. */
  wait(id: string, ms: number): Promise<boolean>;
  /** The turn has ended: forgets what was accepted for it and not taken up, and says which these were. */
  turnEnded(turn: string | undefined): string[];
  /** Forgets what was accepted and not taken up: the program has ended. */
  clear(): void;
}

type Entry = { turn: string | undefined; waiters: Set<(taken: boolean) => void> };

/** @param max ids that are remembered; the oldest are forgotten first */
export function createGiven(clock: Clock, max: number): Given {
  const inConversation = new Set<string>();
  const entries = new Map<string, Entry>();
  const settle = (id: string, taken: boolean) => {
    const entry = entries.get(id);
    entries.delete(id);
    for (const waiter of entry?.waiters ?? []) waiter(taken);
  };
  return {
    has: (id) => inConversation.has(id),
    awaits: (id) => entries.has(id),
    begin: (id) => void entries.set(id, { turn: undefined, waiters: new Set() }),
    accepted(id, turn) {
      const entry = entries.get(id);
      if (entry !== undefined) entry.turn = turn;
    },
    forget: (id) => settle(id, false),
    taken(id) {
      inConversation.add(id);
      const [oldest] = inConversation;
      if (inConversation.size > max && oldest !== undefined) inConversation.delete(oldest);
      settle(id, true);
    },
    wait: (id, ms) => waitFor(entries.get(id), { clock, ms, now: inConversation.has(id) }),
    turnEnded(turn) {
      const lost = [...entries].filter(([, entry]) => turn !== undefined && entry.turn === turn);
      for (const [id] of lost) settle(id, false);
      return lost.map(([id]) => id);
    },
    clear() {
      for (const id of [...entries.keys()]) settle(id, false);
    },
  };
}

function waitFor(
  entry: Entry | undefined,
  { clock, ms, now }: { clock: Clock; ms: number; now: boolean },
): Promise<boolean> {
  if (entry === undefined) return Promise.resolve(now);
  return new Promise((resolve) => {
    const done = (taken: boolean) => {
      cancel();
      entry.waiters.delete(done);
      resolve(taken);
    };
    const cancel = clock.after(ms, () => done(false));
    entry.waiters.add(done);
  });
}
