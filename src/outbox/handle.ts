/** What opens an outbox and what its owner gets. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { AgentId, IdempotencyKey, StoreId } from "../wire/id.ts";
import type { Notice } from "../wire/receipt.ts";
import type { Deliverer, LocalOutcome, Outbox, RecordDetail, RecordView, WriteCall } from "../wire/write.ts";
import type { Directory } from "./draft.ts";
import type { OutboxMetrics } from "./metrics.ts";
import type { RecordEvent, RecordLife } from "./record.ts";
import type { Damage, RetryReply } from "./rows.ts";

export type OutboxOptions = Directory & {
  /** Folder of the store; made when it is not there. */
  dir: string;
  relayId: string;
  agentId: AgentId;
  limits: Limits;
  clock: Clock;
  random: Random;
  log: Log;
  /** Noted for whoever wants the store meanwhile: this owner only delivers what is left. */
  purpose?: "drain" | undefined;
  /** Takes the records; a function is given the id of the store, which names the lane. */
  deliverer: Deliverer | ((storeId: StoreId) => Deliverer);
  /** Why a call must not be stored, `code: words`; undefined when it may. Saves the agent a late rejection. */
  validate?: ((call: WriteCall) => string | undefined) | undefined;
  /** Hears of every step a record takes, before what follows from it is done. */
  observe?: ((step: ObservedStep) => void) | undefined;
};

/** A life, what happened, and the life after it. */
export type ObservedStep = { before: RecordLife; event: RecordEvent; after: RecordLife };

/** An open outbox, for the proxy and for its owner. */
export type OutboxHandle = Outbox & {
  /** Names the lane at the relay; the same as long as the file lives. */
  readonly storeId: StoreId;
  /** What waits, then what has ended lately; at most `limit`. */
  records(options?: { limit?: number }): Promise<RecordView[]>;
  /** What was found when the store was opened damaged; its records were saved into a fresh file. */
  readonly damage: Damage | undefined;
  /** One record in full; its arguments only with `body`. */
  show(id: number, options?: { body?: boolean }): Promise<RecordDetail | undefined>;
  /** Takes records out of the queue; how many were there. Each gives a notice. */
  drop(ids: readonly number[]): Promise<number>;
  /**
   * Makes a new write, with a key and id of its own, of a record that ended without effect. The old key may be
   * remembered by the relay with its refusal, so it is not used again.
   */
  retry(id: number): Promise<RetryReply>;
  /** Stops delivery, or lets it go on; kept over restarts. New writes are taken all the same. */
  pause(paused: boolean): Promise<void>;
  outcomeOf(key: IdempotencyKey): Promise<LocalOutcome | undefined>;
  metrics(): Promise<OutboxMetrics>;
  /** Tries to deliver now and waits; true when nothing is queued. */
  flush(waitMs: number): Promise<boolean>;
  /** Ends a wait between attempts. */
  kick(): void;
  /** Called for every new notice; the returned function ends it. */
  onNotice(listener: (notice: Notice) => void): () => void;
  /** Stops taking and delivering; what is queued stays on disk. */
  close(): Promise<void>;
};
