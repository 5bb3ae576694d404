/**
 * What the relay does for its store by itself: forgets what need not be kept, and takes new messages into the search.
 * Everything goes in steps between which writes go on.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { limits } from "../limits.ts";
import type { RelayStore } from "../store/store.ts";

export type UpkeepOptions = {
  store: Pick<RelayStore, "prune" | "pruneMessages" | "indexMessages">;
  clock: Clock;
  log: Log;
  /** Messages older than this that nobody needs any more are forgotten, ms; undefined keeps all. */
  retentionMs: number | undefined;
};

/** Begins now; the returned function ends it. A step that runs then may fail at a closed store, which is no news. */
export function keepUp(options: UpkeepOptions): () => void {
  const { log } = options;
  const tasks = [
    repeat(options, {
      task: () => forget(options),
      pauseMs: () => limits.pruneIntervalMs,
      failed: (error) => log.warn("Pruning failed", { error }),
    }),
    repeat(options, {
      task: () => options.store.indexMessages(),
      pauseMs: (taken) => (taken < limits.searchStepRows ? limits.searchStepMs : limits.searchCatchUpMs),
      failed: (error) => log.warn("New messages could not be taken into the search", { error }),
    }),
  ];
  return () => {
    for (const end of tasks) end();
  };
}

type Task = { task(): Promise<number>; pauseMs(done: number): number; failed(error: unknown): void };

/** Runs a task again and again, with a pause that depends on what it did; the returned function ends it. */
function repeat({ clock }: UpkeepOptions, { task, pauseMs, failed }: Task): () => void {
  let ended = false;
  let stopTimer = () => {};
  const round = async () => {
    let done = 0;
    try {
      done = await task();
    } catch (error) {
      if (!ended) failed(error);
    }
    if (!ended) stopTimer = clock.after(pauseMs(done), () => void round());
  };
  void round();
  return () => {
    ended = true;
    stopTimer();
  };
}

async function forget({ store, clock, log, retentionMs }: UpkeepOptions): Promise<number> {
  const rows = await store.prune(clock.now(), limits.outcomeRetentionMs);
  log.debug("Pruned", { rows });
  if (retentionMs === undefined) return rows;
  const before = clock.now() - retentionMs;
  let messages = 0;
  for (let after: number | undefined = 0; after !== undefined; ) {
    const step = await store.pruneMessages({ before, after });
    messages += step.gone;
    after = step.next;
  }
  log.debug("Old messages were forgotten", { messages });
  return rows + messages;
}
