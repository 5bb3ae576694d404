/** Answers that are kept back for a moment, so that whoever asks without a pause is slowed by its own waiting. */
import type { Clock } from "./clock.ts";

export type Holds = {
  /**
   * Keeps an answer back.
   * @param who whose it is; each has room for so many at once
   * @returns undefined when there is no room and it is given at once, else a promise that resolves when it may be given
   */
  hold(who: string): Promise<void> | undefined;
  /** Lets every answer go; none is held from now on. */
  close(): void;
};

/**
 * The held answers of one server.
 * @param options.ms how long each is held
 * @param options.max held at once
 * @param options.eachMax of them for one; all without it
 */
export function createHolds(options: { clock: Clock; ms: number; max: number; eachMax?: number }): Holds {
  const { clock, ms, max, eachMax = max } = options;
  const held = new Set<() => void>();
  const each = new Map<string, number>();
  let closed = false;

  const leave = (who: string) => {
    const left = (each.get(who) ?? 1) - 1;
    if (left === 0) each.delete(who);
    else each.set(who, left);
  };

  return {
    hold(who) {
      const mine = each.get(who) ?? 0;
      if (closed || held.size >= max || mine >= eachMax) return undefined;
      each.set(who, mine + 1);
      return new Promise((resolve) => {
        const release = () => {
          cancel();
          held.delete(release);
          leave(who);
          resolve();
        };
        const cancel = clock.after(ms, release);
        held.add(release);
      });
    },
    close() {
      closed = true;
      for (const release of [...held]) release();
    },
  };
}
