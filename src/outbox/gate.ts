/** What the pump waits at: opened by a new write, by someone who knows better, or by time. */
import type { Clock } from "../base/clock.ts";

/** kick: go on now, whatever you wait for. write: a record was added. time: nobody came. */
export type Opener = "kick" | "write" | "time";

export type Gate = {
  open(why: "kick" | "write"): void;
  /** Resolves at the next opening, or at once when there was one since the last wait; without `ms` it has no end. */
  wait(ms?: number): Promise<Opener>;
};

/** A closed gate for one who waits. */
export function createGate(clock: Clock): Gate {
  let opened: "kick" | "write" | undefined;
  let wake: (() => void) | undefined;
  return {
    open(why) {
      if (opened !== "kick") opened = why;
      wake?.();
    },
    async wait(ms) {
      if (opened === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const cancel = ms === undefined ? undefined : clock.after(ms, resolve);
        await promise;
        cancel?.();
        wake = undefined;
      }
      const why = opened ?? "time";
      opened = undefined;
      return why;
    },
  };
}
