/** What an open outbox does in the background: forgets what is over, and stores notices that are no end of a record. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Limits } from "../limits.ts";
import type { Entry } from "./queue.ts";
import type { OutboxStore } from "./store.ts";

type Parts = { store: OutboxStore; clock: Clock; limits: Limits; log: Log };

/** Removes what is over, now and again and again; the returned function ends it. */
export function pruneAgain({ store, clock, limits }: Parts): () => void {
  let ended = false;
  let cancel: (() => void) | undefined;
  const soon = (ms: number) => {
    if (!ended) cancel = clock.after(ms, prune);
  };
  const prune = () =>
    void store.prune().then(
      (rows) => soon(rows > 0 ? limits.deliveryBackoffBaseMs : limits.outboxPruneMs),
      () => soon(limits.outboxPruneMs),
    );
  soon(0);
  return () => {
    ended = true;
    cancel?.();
  };
}

/** The lane was opened at a relay of this generation: a restored one may miss what it had confirmed. */
export function noteGeneration({ store, clock, limits, log }: Parts, generation: number): void {
  const now = clock.now();
  store
    .generation({ generation, now, since: now - limits.recordTombstoneMs })
    .catch((error: unknown) => log.warn("The relay's generation was not noted", { error }));
}

/** The oldest record has waited for so many steps. */
export function tellDelay(
  { store, clock, log }: Parts,
  facts: { oldest: Entry; step: number; waiting: number; lastError: string | undefined },
): void {
  const { oldest, step, waiting, lastError } = facts;
  const why = lastError === undefined ? "" : `; last: ${lastError}`;
  const since = new Date(oldest.enqueuedAt).toISOString();
  const detail = `${waiting} writes wait, the oldest since ${since}${why}`;
  store
    .delayed({ id: oldest.id, step, detail, now: clock.now() })
    .catch((error: unknown) => log.warn("The notice of a delay was not stored", { error }));
}
