/** Work that is done while there is some: one piece at a time, and after a failure again, with growing pauses. */
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";

export type PersistentWork = {
  /** There may be work. During the pause after a failure it waits for the end of the pause. */
  wake(): void;
  /** Tries now, pause or not. Resolves when nothing is left, or a piece has failed; never rejects. */
  now(): Promise<void>;
  /** Tries no more by itself. */
  close(): void;
};

export type PersistentOptions = {
  wanted(): boolean;
  /** Does one piece; rejects when that failed. */
  work(): Promise<unknown>;
  failed(error: unknown): void;
  clock: Pick<Clock, "after">;
  /** Pauses after failures. */
  delays: Backoff;
};

/** Begins with the first `wake`. */
export function persistentWork(options: PersistentOptions): PersistentWork {
  const { wanted, work, failed, clock, delays } = options;
  let busy = false;
  let closed = false;
  let settled = Promise.resolve();
  let cancelPause: (() => void) | undefined;
  const pause = () => {
    if (closed) return;
    cancelPause = clock.after(delays.next(), () => void now());
  };
  const run = async () => {
    try {
      while (wanted()) {
        await work();
        delays.reset();
      }
    } catch (error) {
      failed(error);
      pause();
    } finally {
      // In the same step as the last look at what is wanted: nothing that comes later is overlooked.
      busy = false;
    }
  };
  const now = () => {
    cancelPause?.();
    cancelPause = undefined;
    if (!busy) {
      busy = true;
      settled = run();
    }
    return settled;
  };
  return {
    wake() {
      if (cancelPause === undefined) void now();
    },
    now,
    close() {
      closed = true;
      cancelPause?.();
    },
  };
}
