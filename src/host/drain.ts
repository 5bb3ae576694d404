/**
 * Outboxes that nobody owns, because their runner has ended with writes left: delivered in the background by whoever
 * starts next on the machine. Each store is held only for a moment at a time, so that a new owner never waits long.
 */
import { type Clock, sleep } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Limits } from "../limits.ts";

/** A store without an owner that holds writes. */
export type Orphan = { name: string; waiting: number };

/** A store held for a moment. */
export type HeldStore = {
  /** Delivers for at most so long; true when nothing is left. */
  flush(ms: number): Promise<boolean>;
  /** Nothing can be delivered until someone acts: why. */
  blocked(): string | undefined;
  left(): number;
  close(): Promise<void>;
};

export type DrainParts<One extends Orphan> = {
  clock: Clock;
  limits: Pick<Limits, "orphanSliceMs" | "orphanGapMs" | "orphanDrainMs" | "orphanStoresMax">;
  log: Log;
  /** Ends it; the store at hand is let go. */
  signal: AbortSignal;
  orphans: readonly One[];
  /** The orphan's own relay answers. */
  answers(orphan: One): Promise<boolean>;
  /** Undefined when somebody else has it by now. */
  hold(orphan: One): Promise<HeldStore | undefined>;
};

/** What became of one orphan. */
export type Drained = { name: string; delivered: number; left: number; why: string };

/** Delivers what can be delivered, one store after another. Never rejects because of one of them. */
export async function drainOrphans<One extends Orphan>(parts: DrainParts<One>): Promise<Drained[]> {
  const { limits, log, signal } = parts;
  const results: Drained[] = [];
  for (const orphan of parts.orphans.slice(0, limits.orphanStoresMax)) {
    if (signal.aborted) break;
    const result = await drainOne(parts, orphan).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      return { name: orphan.name, delivered: 0, left: orphan.waiting, why };
    });
    log.info("Looked after the writes of an agent that does not run", result);
    results.push(result);
  }
  return results;
}

async function drainOne<One extends Orphan>(parts: DrainParts<One>, orphan: One): Promise<Drained> {
  const { clock, limits, signal } = parts;
  const { name, waiting } = orphan;
  const result = (left: number, why: string) => ({ name, delivered: Math.max(0, waiting - left), left, why });
  if (!(await parts.answers(orphan))) return result(waiting, "its relay does not answer");
  const end = clock.monotonic() + limits.orphanDrainMs;
  let left = waiting;
  while (!signal.aborted && clock.monotonic() < end) {
    const store = await parts.hold(orphan);
    if (store === undefined) return result(left, "somebody runs it");
    let blocked: string | undefined;
    let done = false;
    try {
      done = await store.flush(limits.orphanSliceMs);
      left = store.left();
      blocked = store.blocked();
    } finally {
      await store.close();
    }
    if (done) return result(0, "delivered");
    if (blocked !== undefined) return result(left, blocked);
    await sleep(clock, limits.orphanGapMs, signal);
  }
  return result(left, signal.aborted ? "ended" : "its time is over");
}
