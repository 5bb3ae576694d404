/**
 * What passes between the proxy (which answers the agent) and the outbox (which keeps and delivers). Both rooms
 * know only these shapes; the wiring joins them.
 */
import type { IdempotencyKey, MessageId } from "./id.ts";
import type { LaneOutcome, LaneRecord } from "./lane.ts";
import type { NeutralResult, Notice, Receipt } from "./receipt.ts";

/** A bufferable tool call on its way into the outbox. */
export type WriteCall = {
  tool: string;
  arguments: Record<string, unknown>;
  /** The agent's own key, when the arguments carry one. */
  key: IdempotencyKey | undefined;
  /**
   * The client's logical call id with its provider session, when it sent one: Claude Code
   * `_meta["claudecode/toolUseId"]`, Codex `_meta.callId`. The same id with the same tool and arguments is the
   * same call, whatever its JSON-RPC id.
   */
  callId: string | undefined;
  /** W3C trace context of the call (`traceparent`). */
  trace?: string | undefined;
  /** Downstream session of the call; answers are *seen* per session. */
  session: string;
};

/** How a write was answered. `result` is the relay's own when it is `sent`. */
export type WriteAnswer = {
  receipt: Receipt;
  result: NeutralResult;
  /** The record the answer speaks of, for `answered`; undefined when nothing was stored. */
  recordId: number | undefined;
};

/** Depth and age of what is not delivered yet. */
export type OutboxStatus = {
  depth: number;
  oldestAgeMs: number;
  bytes: number;
  state: "idle" | "delivering" | "waiting" | "paused" | "damaged" | "closed";
  lastError: string | undefined;
};

/** A record as people see it (`agent-relay outbox ls`). */
export type RecordView = {
  id: number;
  key: IdempotencyKey;
  messageId: MessageId;
  tool: string;
  state: "queued" | "sending" | "sent" | "rejected" | "expired" | "unknown" | "dropped";
  to: string | undefined;
  bytes: number;
  attempts: number;
  enqueuedAt: string;
  expiresAt: string;
  lastError: string | undefined;
};

/** One record in full (`agent-relay outbox show`). */
export type RecordDetail = RecordView & {
  recipientId: string | undefined;
  callId: string | undefined;
  /** W3C trace context it was made in. */
  trace?: string;
  endedAt: string | undefined;
  /** The first characters of what was written; gone once it was sent. */
  excerpt: string;
  /** Only when asked for, and while they are kept: until the relay has it, else as long as the record. */
  arguments?: Record<string, unknown>;
};

/** What this machine knows of a key. */
export type LocalOutcome = Pick<RecordView, "key" | "messageId" | "tool" | "state"> & {
  detail: string | undefined;
};

/** What the proxy needs of an outbox. */
export interface Outbox {
  /**
   * Commits the call to disk, then waits at most `waitMs` for the relay's outcome. Resolves with `sent`, `queued`,
   * `rejected` or `refused`; never throws for a full, damaged or closed store (that is `refused`).
   */
  write(call: WriteCall, waitMs: number): Promise<WriteAnswer>;
  /** The answer to this record left without an abort, in this session. */
  answered(recordId: number, session: string): void;
  /** A later request of this session came in: what was answered before has been seen. */
  seen(session: string): void;
  /** Resolves true when nothing is queued, false after `waitMs`. */
  drained(waitMs: number): Promise<boolean>;
  /** Notices that no answer has carried and been seen, oldest first. */
  notices(): readonly Notice[];
  /** An answer of this session carries these notices; they are gone once it is seen. */
  noticesAnswered(ids: readonly string[], session: string): void;
  status(): OutboxStatus;
  /** What this machine knows of the write with this key; undefined when it knows none, or it was long ago. */
  outcomeOf?(key: IdempotencyKey): Promise<LocalOutcome | undefined>;
}

/** What a sender learns when it opens its lane. */
export type LaneOpening = {
  laneSession: number;
  keyWindowMs: number;
  generation: number;
  relayTimeMs: number;
};

/**
 * Why a whole delivery failed. unreachable: no answer, a 5xx, or an answer that is not the relay's. overloaded: 429.
 * unauthorized: the credential is not accepted now. revoked: it never will be again. fenced: a newer sender owns
 * the lane. removed: the agent is gone. refused: a permanent no to the request as such (single records only).
 */
export type DeliveryFailureKind =
  | "unreachable"
  | "overloaded"
  | "unauthorized"
  | "revoked"
  | "fenced"
  | "removed"
  | "refused";

/** A delivery that failed as a whole. `sent` tells whether the relay may have applied it. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  readonly kind: DeliveryFailureKind;
  readonly sent: "no" | "unknown";
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: DeliveryFailureKind,
    sent: "no" | "unknown",
    message: string,
    options: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.sent = sent;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** How the outbox reaches whoever takes its records. Every method rejects with `DeliveryError` only. */
export interface Deliverer {
  /** Gets the next session of the lane. Its first use, by `deliver` or `outcomesOf`, fences earlier ones. */
  open(signal: AbortSignal): Promise<LaneOpening>;
  /** One outcome per record, in their order. */
  deliver(records: readonly LaneRecord[], laneSession: number, signal: AbortSignal): Promise<LaneOutcome[]>;
  /** A cheap question whether the receiver answers at all. Never rejects. */
  probe(signal: AbortSignal): Promise<boolean>;
  /**
   * What became of these keys, in their order: `committed` or `rejected` as it was answered, undefined for a key
   * that was never seen. Asked before an ambiguous record is given up, in a lane session that was opened anew.
   */
  outcomesOf?(
    keys: readonly IdempotencyKey[],
    laneSession: number,
    signal: AbortSignal,
  ): Promise<(LaneOutcome | undefined)[]>;
}
