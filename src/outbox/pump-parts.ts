/** What the pump is made of, and how it tells what it does. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { LaneRecord } from "../wire/lane.ts";
import type { NeutralResult } from "../wire/receipt.ts";
import type { Deliverer, DeliveryFailureKind, LaneOpening } from "../wire/write.ts";
import type { Entry, Queue } from "./queue.ts";
import type { RecordEvent } from "./record.ts";

export type PumpParts = {
  queue: Queue;
  deliverer: Deliverer;
  limits: Limits;
  /** A person had stopped delivery before. */
  suspended?: boolean;
  clock: Clock;
  random: Random;
  log: Log;
  /** Commits that an attempt with these records may begin. */
  mark(ids: number[]): Promise<void>;
  /** Arguments of records that are not at hand. */
  payloads(ids: number[]): Promise<{ id: number; record: LaneRecord }[]>;
  /** Resolves once no end is lost by a crash that the relay would not tell again: nothing is sent before. */
  settled(): Promise<void>;
  /** Takes a record through its machine and stores what follows. */
  apply(entry: Entry, event: RecordEvent, result?: NeutralResult): void;
  /** Nothing is sent for now: records that were only marked for sending wait again. */
  waiting(): void;
  /** The relay was found not to answer: who waits for an outcome is told `queued`. */
  stalled(): void;
  /** The lane was opened: the relay's generation and time. */
  opened?(opening: LaneOpening): void;
  /** A delivery ended like this: `delivered`, or the kind of its failure. */
  counted?(what: "delivered" | DeliveryFailureKind): void;
};

/** Why nothing will be sent until someone acts. */
export type PauseReason = "revoked" | "fenced" | "removed";
export type PumpPhase = "idle" | "delivering" | "waiting" | "paused" | "closed";
