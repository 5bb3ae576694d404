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
import type { RecordState } from "./record.ts";

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
