/**
 * How an outbox delivers to the relay: open a lane session, then batches of records. Only the newest session of a
 * lane may deliver. Shared by the runner (sender) and the relay (receiver).
 */
import { z } from "zod";
import { limits } from "../limits.ts";
import { type ErrorCode, errorTable } from "./error.ts";
import { isIdempotencyKey } from "./id.ts";
import { neutralResultSchema } from "./receipt.ts";
import { isTraceparent } from "./trace.ts";

/** The relay's answer to a sender that opens its lane. */
export const laneSchema = z.object({
  /** Grows with every opening; records that come with an older one are fenced. */
  laneSession: z.number().int().positive(),
  relayId: z.uuid(),
  /** Changes when the relay's database was restored: what was sent before may be missing. */
  generation: z.number().int().positive(),
  relayTime: z.iso.datetime(),
  /** Keys are remembered this long, ms; older records are never replayed. */
  keyWindowMs: z.number().int().positive(),
});
export type Lane = z.infer<typeof laneSchema>;

/** One record on its way. Identity comes from the token, never from the record. */
export const laneRecordSchema = z.object({
  key: z.string().refine(isIdempotencyKey),
  messageId: z.uuid(),
  tool: z.string(),
  arguments: z.record(z.string(), z.unknown()),
  /** Wall clock of the sending machine, for people; the relay's own time orders everything. */
  enqueuedAt: z.iso.datetime(),
  /** Stable id of the recipient as the sender's directory knew it; the relay compares it with the name's holder. */
  recipientId: z.uuid().optional(),
  /** For a reply: its parent's sender and thread, so that a relay that does not know the parent can place it. */
  parent: z.object({ from: z.string(), threadId: z.uuid() }).optional(),
  /** W3C trace context of the call that made it (`traceparent`). */
  trace: z.string().refine(isTraceparent).optional(),
});
export type LaneRecord = z.infer<typeof laneRecordSchema>;

export const laneBatchSchema = z.object({
  laneSession: z.number().int().positive(),
  records: z.array(laneRecordSchema).min(1).max(limits.batchRecordsMax),
});
export type LaneBatch = z.infer<typeof laneBatchSchema>;

const errorCodes = Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]];

/** What became of one record. `committed` and `rejected` are final and remembered under the key. */
export const laneOutcomeSchema = z.discriminatedUnion("status", [
  z.object({
    status: z.literal("committed"),
    key: z.string(),
    /** The tool result the agent gets. */
    result: neutralResultSchema,
    /** This key had been committed before; nothing was done now. */
    replayed: z.boolean(),
  }),
  z.object({ status: z.literal("rejected"), key: z.string(), code: z.enum(errorCodes), detail: z.string() }),
  /** Not applied and not remembered: send it again later. */
  z.object({
    status: z.literal("deferred"),
    key: z.string(),
    code: z.enum(errorCodes),
    detail: z.string(),
    /** It will not be applied sooner than that, ms. */
    retryAfterMs: z.number().int().nonnegative().optional(),
  }),
]);
export type LaneOutcome = z.infer<typeof laneOutcomeSchema>;

/** One outcome per record, in the order of the records. */
export const laneReplySchema = z.object({
  outcomes: z.array(laneOutcomeSchema),
  generation: z.number().int(),
});
export type LaneReply = z.infer<typeof laneReplySchema>;
