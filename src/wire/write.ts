/**
 * What passes between the proxy (which answers the agent) and the outbox (which keeps and delivers). Both rooms
 * know only these shapes; the wiring joins them.
 */
import type { IdempotencyKey, MessageId } from "./id.ts";
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
}
