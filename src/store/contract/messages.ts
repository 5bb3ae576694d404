/** Writes, outcomes, messages and inboxes in the relay's memory. The rules of all verbs are in store.ts. */
import type { AgentId, IdempotencyKey, MessageId, StoreId, ThreadId } from "../../wire/id.ts";
import type { LaneOutcome, LaneRecord } from "../../wire/lane.ts";
import type { Message } from "../../wire/message.ts";
import type { Scope } from "../../wire/scope.ts";

/** One write of a principal: the same whether it came in a batch or by a live call. */
export type Write = LaneRecord & { key: IdempotencyKey; messageId: MessageId };

/** A session of a lane in use. Using it fences all older ones. */
export type LaneUse = { storeId: StoreId; laneSession: number };
/** A newer session is in use, or this one was never granted (then `newestSession` is less). Nothing was changed. */
export type Fenced = { status: "fenced"; newestSession: number };

/** Writes to apply in order for one sender, each in a savepoint of one transaction. */
export type WriteBatch = {
  sender: AgentId;
  /** Scopes of the sender at this moment: a write whose tool needs another one is rejected. */
  scopes: readonly Scope[];
  /** Present for an outbox; refused as a whole when its session is fenced. */
  lane?: LaneUse;
  writes: readonly Write[];
  /** Keys are remembered this long, ms; a record enqueued before that is rejected as `key_expired`. */
  keyWindowMs: number;
};
export type WriteBatchResult =
  | {
      status: "applied";
      outcomes: LaneOutcome[] /** Agents whose inbox grew, each once. */;
      woken: AgentId[];
    }
  | Fenced
  | { status: "sender_removed" };

/** What became of the writes with these keys. With a lane nothing that older sessions sent can take effect later. */
export type OutcomeQuery = { sender: AgentId; keys: readonly IdempotencyKey[]; lane?: LaneUse };
export type OutcomeQueryResult =
  | { status: "found"; outcomes: (LaneOutcome | undefined)[] /** In the order of the keys. */ }
  | Fenced;

export type InboxQuery = {
  agentId: AgentId;
  /** Only messages after this seq. */
  afterSeq: number;
  /** Only messages after the acknowledged seq. */
  unread: boolean;
  limit: number;
};
export type InboxPage = { messages: Message[]; more: boolean; newestSeq: number; acknowledgedSeq: number };

export interface MessageVerbs {
  /**
   * Grants the next session of a lane; its first use fences all earlier ones. Undefined when another agent owns the
   * lane.
   */
  openLane(storeId: StoreId, agentId: AgentId, now: number): Promise<number | undefined>;
  /**
   * Applies writes in order. Key, outcome, message, inbox row and obligation are one transaction. A key seen before
   * with equal arguments gives its stored outcome, `replayed`; with other arguments `key_reused`. Rejections are
   * remembered too, but not `key_expired`. A write that the store could not hold is `deferred` with all after it.
   */
  applyWrites(batch: WriteBatch, now: number): Promise<WriteBatchResult>;

  /** What is remembered under these keys of one sender; undefined for a key that is not. */
  findOutcomes(query: OutcomeQuery): Promise<OutcomeQueryResult>;
  /** A page of an inbox in seq order; ends early at `limits.inboxPageBytesMax`, never empty while there is more. */
  readInbox(query: InboxQuery): Promise<InboxPage>;
  /** Moves the acknowledged seq forward, never back and never past the newest; the value that holds now. */
  acknowledgeInbox(agentId: AgentId, seq: number, now: number): Promise<number>;
  /** A message by id, in the inbox of this agent or sent by it (then with the seq in the recipient's inbox). */
  findMessage(agentId: AgentId, id: MessageId): Promise<(Message & { threadId: ThreadId }) | undefined>;
}
