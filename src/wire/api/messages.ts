/** Operations about messages: lanes of outboxes, sending, inboxes. */
import { z } from "zod";
import { limits } from "../../limits.ts";
import { isIdempotencyKey } from "../id.ts";
import { laneBatchSchema, laneOutcomeSchema, laneReplySchema, laneSchema } from "../lane.ts";
import { messageSchema } from "../message.ts";
import { receiptSchema } from "../receipt.ts";
import { agentName, type OperationRow } from "./row.ts";

export const messageOperations = {
  openLane: {
    method: "POST",
    path: "/api/v1/lanes/:storeId/sessions",
    scope: "lane:deliver",
    summary: "Get the next session of an outbox; its first use fences older ones",
    request: z.strictObject({ storeId: z.uuid() }),
    reply: laneSchema,
  },
  deliverRecords: {
    method: "POST",
    path: "/api/v1/lanes/:storeId/records",
    scope: "lane:deliver",
    summary: "Deliver records of an outbox in order; one outcome per record",
    request: laneBatchSchema.extend({ storeId: z.uuid() }),
    reply: laneReplySchema,
  },
  findOutcomes: {
    method: "POST",
    path: "/api/v1/outcomes",
    scope: "lane:deliver",
    summary: "What became of the writes with these keys; null for a key that this relay does not remember",
    request: z.strictObject({
      keys: z.array(z.string().refine(isIdempotencyKey)).min(1).max(limits.batchRecordsMax),
      lane: z
        .strictObject({ storeId: z.uuid(), laneSession: z.number().int().positive() })
        .optional()
        .describe("Fences what older sessions of this lane have sent, so that the answer stays true"),
    }),
    reply: z.object({
      outcomes: z.array(laneOutcomeSchema.nullable()).describe("One for each key, in their order"),
      generation: z.number().int(),
    }),
  },
  sendMessage: {
    method: "POST",
    path: "/api/v1/messages",
    scope: "message:send",
    summary: "Send a message as oneself",
    request: z.strictObject({
      to: agentName,
      body: z.string().min(1).max(limits.messageBodyBytesMax),
      threadId: z.uuid().optional(),
      expectsReply: z.boolean().optional(),
      idempotencyKey: z.string().refine(isIdempotencyKey).optional(),
    }),
    reply: receiptSchema,
  },
  readInbox: {
    method: "GET",
    path: "/api/v1/inboxes/:agent",
    scope: "any",
    summary:
      "Messages of an inbox in order: one's own with message:read or inbox:read, any with inbox:read-any",
    request: z.strictObject({
      agent: agentName,
      afterSeq: z.coerce.number().int().min(0).optional(),
      unread: z.stringbool().optional().describe("Only what was not acknowledged yet"),
      limit: z.coerce.number().int().min(1).max(limits.inboxPageMax).optional(),
    }),
    reply: z.object({
      messages: z.array(messageSchema),
      more: z.boolean(),
      generation: z.number().int(),
      acknowledgedSeq: z.number().int(),
    }),
  },
  acknowledgeInbox: {
    method: "POST",
    path: "/api/v1/inboxes/:agent/acknowledgements",
    scope: "inbox:read",
    summary: "The agent has seen all messages up to a seq",
    request: z.strictObject({ agent: agentName, seq: z.number().int().min(0) }),
    reply: z.object({ acknowledgedSeq: z.number().int() }),
  },
} as const satisfies Record<string, OperationRow>;
