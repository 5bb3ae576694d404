/**
 * Taking records through an event that may end them. One that would end although an attempt may have worked is asked
 * about first: the relay's word stands, and a key that it has never seen has had no effect.
 */
import type { Log } from "../base/log.ts";
import type { Limits } from "../limits.ts";
import type { LaneOutcome } from "../wire/lane.ts";
import type { NeutralResult } from "../wire/receipt.ts";
import { type Deliverer, DeliveryError, type LaneOpening } from "../wire/write.ts";
import type { Ages } from "./age.ts";
import type { Entry } from "./queue.ts";
import { type RecordEvent, step } from "./record.ts";

type Outcomes = (LaneOutcome | undefined)[];

export type ConcludeParts = {
  deliverer: Deliverer;
  limits: Limits;
  log: Log;
  ages: Ages;
  stop: AbortSignal;
  apply(entry: Entry, event: RecordEvent, result?: NeutralResult): void;
  /** Opens the lane anew: whatever is still on its way will not be applied. */
  fence(): Promise<LaneOpening>;
  /** One question with a deadline; rejects with DeliveryError only. */
  attempt(ask: (signal: AbortSignal) => Promise<Outcomes>): Promise<Outcomes>;
};

/** Must not run while a delivery is under way, except for the records of that delivery once it is over. */
export type Conclude = (entries: readonly Entry[], eventOf: (entry: Entry) => RecordEvent) => Promise<void>;

/** A function that takes records through an event. Without `outcomesOf` nobody is asked. */
export function concluder(parts: ConcludeParts): Conclude {
  const { apply, ages, deliverer, limits, stop } = parts;
  return async (entries, eventOf) => {
    const uncertain: Entry[] = [];
    for (const entry of entries) {
      const event = eventOf(entry);
      const givesUp = step(entry.life, event, limits).life.state === "unknown";
      if (givesUp && deliverer.outcomesOf !== undefined) uncertain.push(entry);
      else apply(entry, event);
    }
    if (uncertain.length === 0) return;
    const answers = await askAll(parts, uncertain);
    // An outbox that closes leaves it to its next opening to ask.
    if (answers === undefined && stop.aborted) return;
    for (const [index, entry] of uncertain.entries()) {
      const answer = answers?.outcomes[index];
      const known = answer?.key === entry.key ? answer : undefined;
      if (known?.status === "committed") apply(entry, { type: "committed" }, known.result);
      else if (known?.status === "rejected") {
        const { code, detail } = known;
        apply(entry, { type: "rejected", code, detail: `${code}: ${detail}`, neverSeen: true });
      } else {
        // "Never seen" is only the word of a relay that would still remember: by every clock, and by its own answer.
        const event = eventOf(entry);
        const forgot = event.type === "rejected" && event.code === "key_expired";
        const remembers =
          answers !== undefined && !forgot && ages.most(entry.enqueuedAt) < answers.keyWindowMs;
        apply(entry, { ...event, ...(remembers ? { neverSeen: true } : {}) });
      }
    }
  };
}

/** Fences, then asks in batches; undefined when the relay cannot be asked. */
async function askAll(
  { attempt, deliverer, fence, limits, log }: ConcludeParts,
  entries: readonly Entry[],
): Promise<{ outcomes: Outcomes; keyWindowMs: number } | undefined> {
  const outcomes: Outcomes = [];
  try {
    const { keyWindowMs, laneSession } = await fence();
    for (let from = 0; from < entries.length; from += limits.batchRecordsMax) {
      const keys = entries.slice(from, from + limits.batchRecordsMax).map(({ key }) => key);
      const some = await attempt(
        (signal) => deliverer.outcomesOf?.(keys, laneSession, signal) ?? Promise.resolve([]),
      );
      if (some.length !== keys.length)
        throw new DeliveryError(
          "unreachable",
          "no",
          `Ask about ${keys.length} keys: ${some.length} answers came`,
        );
      outcomes.push(...some);
    }
    return { outcomes, keyWindowMs };
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
    log.warn("The relay could not be asked about records that are given up", {
      error,
      records: entries.length,
    });
    return undefined;
  }
}
