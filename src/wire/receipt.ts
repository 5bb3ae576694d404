/**
 * What an agent is told about a write, and the notices it gets later. One word per outcome, one fixed wording
 * per word. Shared by the relay (live results), the outbox (queued and ended records) and the proxy (rendering).
 */
import { z } from "zod";
import type { IdempotencyKey, MessageId } from "./id.ts";

export const deliveries = ["sent", "queued", "refused", "rejected", "unknown"] as const;
/**
 * sent: the relay committed it. queued: on this machine's disk, will be delivered in order. refused: not stored,
 * not sent, will not be. rejected: the relay said permanently no. unknown: may or may not have taken effect.
 */
export type Delivery = (typeof deliveries)[number];

/** `structuredContent` of every bufferable tool, so that a queued answer validates in SDK clients. */
export const receiptSchema = z.object({
  delivery: z.enum(deliveries),
  queued: z.boolean().describe("True when the write waits on this machine"),
  tool: z.string(),
  idempotencyKey: z.string().describe("Names this write; the same key never takes effect twice"),
  messageId: z.uuid().describe("Final id of the message, also while it is queued"),
  threadId: z.uuid().optional().describe("Thread of the message, once the relay has committed it"),
  lanePosition: z.number().int().positive().optional().describe("Place in the queue; 1 is next"),
  expiresAt: z.iso.datetime().optional().describe("When an undelivered write comes back as a notice"),
  reason: z.string().optional().describe("Why it was refused, rejected or is unknown"),
  replayed: z.boolean().optional().describe("This is the receipt of an earlier, equal call"),
  note: z.string().describe("What this means and what to do"),
});

export type Receipt = z.infer<typeof receiptSchema>;

/** The fixed wording of each outcome. Pinned by a test: agents and people learn these sentences. */
export const deliveryNotes: Record<Delivery, string> = {
  sent: "Stored by the relay.",
  queued:
    "Stored on this machine; the relay has not taken it yet. It will be delivered in order. " +
    "Do not send it again. If it is refused later, a notice will say so.",
  refused: "Not stored, not sent, and will not be sent.",
  rejected: "The relay refused it permanently; it has no effect.",
  unknown: "It may or may not have taken effect. Check before doing it again.",
};

/** A receipt with the wording of its outcome, and no member that has no value. */
export function receipt(facts: {
  delivery: Delivery;
  tool: string;
  key: IdempotencyKey;
  messageId: MessageId;
  threadId?: string | undefined;
  lanePosition?: number | undefined;
  expiresAt?: string | undefined;
  reason?: string | undefined;
  replayed?: boolean | undefined;
}): Receipt {
  const { delivery, key, tool, messageId, threadId, lanePosition, expiresAt, reason, replayed } = facts;
  const told: Receipt = {
    delivery,
    queued: delivery === "queued",
    idempotencyKey: key,
    tool,
    messageId,
    note: deliveryNotes[delivery],
  };
  if (threadId !== undefined) told.threadId = threadId;
  if (lanePosition !== undefined) told.lanePosition = lanePosition;
  if (expiresAt !== undefined) told.expiresAt = expiresAt;
  if (reason !== undefined) told.reason = reason;
  if (replayed !== undefined) told.replayed = replayed;
  return told;
}

/** True when the agent must treat the outcome as a failed tool call. */
export function isFailure(delivery: Delivery): boolean {
  return delivery === "refused" || delivery === "rejected" || delivery === "unknown";
}

/** The result of a tool call without anything that belongs to an era (`resultType` is added when rendered). */
export const neutralResultSchema = z.object({
  content: z.array(z.record(z.string(), z.unknown())),
  structuredContent: z.unknown().optional(),
  isError: z.boolean().optional(),
});
export type NeutralResult = z.infer<typeof neutralResultSchema>;

/** The tool result that carries a receipt: the words for the model, the facts for programs. */
export function receiptResult(facts: Receipt): NeutralResult {
  const { delivery, note, messageId, lanePosition, reason, replayed } = facts;
  let words = `${delivery}: ${note} · message ${messageId}`;
  if (lanePosition !== undefined) words += ` · position ${lanePosition} in the queue`;
  if (reason !== undefined) words += ` · reason: ${reason}`;
  if (replayed === true) words += " · this call was answered before; it was not done twice";
  return {
    content: [{ type: "text", text: words }],
    structuredContent: facts,
    isError: isFailure(delivery),
  };
}

/**
 * How far a message has got at one recipient. stored: the relay has it. handed: the recipient's runner has it. injected:
 * the agent's program took it. read: the agent has seen it. replied: it has answered. Steps may be missing, none is
 * ever taken back.
 */
export const stages = ["stored", "handed", "injected", "read", "replied"] as const;
export type Stage = (typeof stages)[number];

/** The steps that a runner reports; the relay knows the others by itself. */
export const reportedStages = ["handed", "injected", "read"] as const;
export type ReportedStage = (typeof reportedStages)[number];

/** The last step of those that have a time. */
export function stageOf(times: Partial<Record<Stage, unknown>>): Stage {
  return stages.findLast((stage) => times[stage] !== undefined) ?? "stored";
}

/** How far a message has got, for its sender and for people. */
export const messageStatusSchema = z.object({
  messageId: z.uuid(),
  from: z.string(),
  to: z.string(),
  threadId: z.uuid(),
  counts: z
    .record(z.enum(stages), z.number().int())
    .describe("How many recipients have got how far, and no further"),
  recipients: z.array(
    z.object({
      name: z.string(),
      stage: z.enum(stages),
      times: z.partialRecord(z.enum(stages), z.iso.datetime()).describe("When each step was taken"),
    }),
  ),
});
export type MessageStatusFacts = z.infer<typeof messageStatusSchema>;

export const operationStates = ["committed", "queued", "rejected", "ended", "unknown"] as const;
/**
 * committed: the relay has it. queued: it waits on this machine. rejected: the relay said permanently no. ended: this
 * machine gave it up without effect. unknown: neither knows the key, or it may have taken effect.
 */
export type OperationState = (typeof operationStates)[number];

/** What became of a write, by its key. */
export const operationStatusSchema = z.object({
  idempotencyKey: z.string(),
  state: z.enum(operationStates),
  receipt: receiptSchema.optional().describe("The receipt of a committed write"),
  messageId: z.uuid().optional(),
  reason: z.string().optional().describe("Why it was rejected or given up"),
  note: z.string().describe("What this means and what to do"),
});
export type OperationStatus = z.infer<typeof operationStatusSchema>;

/** The fixed wording of each state. Pinned by a test. */
export const operationNotes: Record<OperationState, string> = {
  committed: "The relay has it: it took effect once. Do not do it again.",
  queued: "It waits on this machine and will be delivered in order. Do not do it again.",
  rejected: "The relay refused it permanently; it has no effect.",
  ended: "It was given up on this machine before it took effect.",
  unknown:
    "Neither the relay nor this machine knows that it took effect. " +
    "When it was made in the last 14 days with this key, making the same call with the same key is safe.",
};

/** The tool result that says what became of a write. */
export function operationResult(facts: Omit<OperationStatus, "note">): NeutralResult {
  const status: OperationStatus = { ...facts, note: operationNotes[facts.state] };
  const words = [
    `${status.state}: ${status.note}`,
    ...(status.messageId === undefined ? [] : [`message ${status.messageId}`]),
    ...(status.reason === undefined ? [] : [`reason: ${status.reason}`]),
  ].join(" · ");
  return { content: [{ type: "text", text: words }], structuredContent: status };
}

/** Why a record ended without being sent, or may have. */
export const noticeReasons = [
  "rejected",
  "expired",
  "poison",
  "dropped",
  "damaged",
  "unknown",
  "delayed",
  "restored",
] as const;

/** Something the system tells an agent about one of its own earlier writes. */
export const noticeSchema = z.object({
  id: z.string(),
  reason: z.enum(noticeReasons),
  tool: z.string(),
  idempotencyKey: z.string(),
  messageId: z.uuid(),
  to: z.string().optional(),
  excerpt: z.string().describe("The first 200 characters of what was written"),
  detail: z.string().describe("What the relay said"),
  enqueuedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  text: z.string().describe("What this means and what to do"),
});
export type Notice = z.infer<typeof noticeSchema>;
