/** What an agent is answered about a write: the receipt, and the tool result that carries it. Pure. */
import type { IdempotencyKey, MessageId } from "../wire/id.ts";
import {
  type Delivery,
  type NeutralResult,
  type Receipt,
  receipt,
  receiptResult,
  receiptSchema,
} from "../wire/receipt.ts";
import type { WriteAnswer } from "../wire/write.ts";
import type { PauseReason } from "./pump-parts.ts";
import type { RecordState } from "./record.ts";
import type { EnqueueReply } from "./rows.ts";

/** Words for writes that are refused while nothing can be delivered for good. */
export const pauseWords: Record<PauseReason, string> = {
  revoked: "token_revoked: the relay has revoked this agent's credential; a person has to enrol it again",
  fenced: "lane_fenced: another outbox of this agent has taken over; a person has to look",
  removed: "agent_removed: the relay has removed this agent",
};

/** The write an answer speaks of. */
export type AnsweredWrite = {
  tool: string;
  key: IdempotencyKey;
  messageId: MessageId;
  /** Undefined when nothing was stored. */
  recordId: number | undefined;
  /** It is the answer to an earlier, equal call. */
  replayed: boolean;
};

/** How a write stands when it is answered. */
export type Outcome =
  | { delivery: "sent"; result: NeutralResult | undefined }
  | { delivery: "queued"; lanePosition: number; expiresAt: string }
  | { delivery: "refused" | "rejected" | "unknown"; reason: string };

type EndedState = Exclude<RecordState, "queued" | "sending">;

const deliveryOfEnd: Record<EndedState, Exclude<Delivery, "queued">> = {
  sent: "sent",
  rejected: "rejected",
  unknown: "unknown",
  expired: "refused",
  dropped: "refused",
};

/** The outcome of a record that has ended. */
export function outcomeOfEnd(
  state: EndedState,
  facts: { detail: string | undefined; result: NeutralResult | undefined },
): Outcome {
  const delivery = deliveryOfEnd[state];
  if (delivery === "sent") return { delivery, result: facts.result };
  const detail = facts.detail ?? "no reason is known";
  return { delivery, reason: delivery === "refused" ? `${state}: ${detail}` : detail };
}

/** The outcome of a record that is no longer in the queue, or is about to leave it. */
export function outcomeOfRecord(facts: {
  state: RecordState;
  detail: string | undefined;
  result: NeutralResult | undefined;
  expiresAt: string;
}): Outcome {
  const { state, expiresAt } = facts;
  if (state !== "queued" && state !== "sending") return outcomeOfEnd(state, facts);
  return { delivery: "queued", lanePosition: 1, expiresAt };
}

/** The answer for an outcome. A `sent` answer is the relay's own result, unless it has to say `replayed`. */
export function answerOf(write: AnsweredWrite, outcome: Outcome): WriteAnswer {
  const { tool, key, messageId, recordId } = write;
  const replayed = write.replayed ? true : undefined;
  const facts = { tool, key, messageId, replayed };
  if (outcome.delivery !== "sent") {
    const told = receipt({ ...facts, ...outcome });
    return { receipt: told, result: receiptResult(told), recordId };
  }
  const { result } = outcome;
  const own = receiptSchema.safeParse(result?.structuredContent);
  const told: Receipt = own.success
    ? { ...own.data, ...(replayed === undefined ? {} : { replayed }) }
    : receipt({ ...facts, delivery: "sent" });
  const keep = result !== undefined && (!own.success || replayed === undefined);
  return { receipt: told, result: keep ? result : receiptResult(told), recordId };
}

/** The answer to a write that was not stored. */
export function refused(
  { tool, key, messageId }: Pick<AnsweredWrite, "tool" | "key" | "messageId">,
  reason: string,
): WriteAnswer {
  const write = { tool, key, messageId, recordId: undefined, replayed: false };
  return answerOf(write, { delivery: "refused", reason });
}

/** Why the store did not take a write. */
export function notStored(
  reply: Extract<EnqueueReply, { status: "full" | "noRoom" | "reused" }>,
  key: IdempotencyKey,
): string {
  switch (reply.status) {
    case "full":
      return `outbox_full: ${reply.records} writes with ${reply.bytes} bytes wait already`;
    case "noRoom":
      return `disk_full: the disk has ${reply.freeBytes} bytes free, at least ${reply.wantedBytes} were wanted`;
    case "reused":
      return `key_reused: the key ${key} names an earlier write of ${reply.record.tool} with other arguments`;
  }
}
