/** What opens an outbox and what its owner gets. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { AgentId, StoreId } from "../wire/id.ts";
import type { Notice } from "../wire/receipt.ts";
import type { Deliverer, Outbox, RecordView, WriteCall } from "../wire/write.ts";
import type { Directory } from "./draft.ts";

export type OutboxOptions = Directory & {
  /** Folder of the store; made when it is not there. */
  dir: string;
  relayId: string;
  agentId: AgentId;
  limits: Limits;
  clock: Clock;
  random: Random;
  log: Log;
  /** Takes the records; a function is given the id of the store, which names the lane. */
  deliverer: Deliverer | ((storeId: StoreId) => Deliverer);
  /** Why a call must not be stored, `code: words`; undefined when it may. Saves the agent a late rejection. */
  validate?: ((call: WriteCall) => string | undefined) | undefined;
};

/** An open outbox, for the proxy and for its owner. */
export type OutboxHandle = Outbox & {
  /** Names the lane at the relay; the same as long as the file lives. */
  readonly storeId: StoreId;
  /** What waits, then what has ended lately; at most `limit`. */
  records(options?: { limit?: number }): Promise<RecordView[]>;
  /** Takes records out of the queue; how many were there. Each gives a notice. */
  drop(ids: readonly number[]): Promise<number>;
  /** Tries to deliver now and waits; true when nothing is queued. */
  flush(waitMs: number): Promise<boolean>;
  /** Ends a wait between attempts. */
  kick(): void;
  /** Called for every new notice; the returned function ends it. */
  onNotice(listener: (notice: Notice) => void): () => void;
  /** Stops taking and delivering; what is queued stays on disk. */
  close(): Promise<void>;
};
