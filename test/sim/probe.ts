/**
 * Asks the record machine about every event at each life that the product comes to, also the events that nobody
 * sends then, and checks the invariants of SPEC.md on the answers.
 */

import type { Limits } from "../../src/limits.ts";
import {
  isEnded,
  type RecordEvent,
  type RecordLife,
  recordEventTypes,
  step,
} from "../../src/outbox/record.ts";
import type { Coverage } from "./coverage.ts";

type Means = { limits: Limits; coverage: Coverage };

/** What is wrong with the answers; nothing when the machine keeps its word. */
export function probe(life: RecordLife, { limits, coverage }: Means): string[] {
  return recordEventTypes.flatMap((type) => {
    coverage.probe(life.state, type);
    const event = { type, code: undefined, detail: "probe", sent: "unknown", now: 0 } as RecordEvent;
    const { life: next, effects } = step(life, event, limits);
    const asks = effects.map((effect) => effect.do);
    const about = `${life.state}${life.ambiguous ? "?" : ""} ${type} gives ${next.state}`;
    if (isEnded(life.state)) return next === life && asks.length === 0 ? [] : [`O2: ${about}`];
    const ends = isEnded(next.state);
    const needsNotice = ends && next.state !== "sent";
    if (needsNotice !== asks.includes("notice") || ends !== asks.includes("end"))
      return [`O3: ${about}, ${asks}`];
    const forgets =
      life.ambiguous && (["expired", "dropped"].includes(next.state) || (!ends && !next.ambiguous));
    return forgets ? [`O4: ${about}`] : [];
  });
}
