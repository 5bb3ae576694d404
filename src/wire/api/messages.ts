/** Operations about messages: lanes of outboxes, sending, inboxes. */
import { z } from "zod";
import { limits } from "../../limits.ts";
import { isChannelName, isIdempotencyKey } from "../id.ts";
import { laneBatchSchema, laneOutcomeSchema, laneReplySchema, laneSchema } from "../lane.ts";
import { messageSchema, pastMessageSchema, priorities } from "../message.ts";
import { messageStatusSchema, receiptSchema, reportedStages } from "../receipt.ts";
import { agentName, type OperationRow } from "./row.ts";

const channelName = z
  .string()
  .refine(isChannelName, { message: "must be # and a name of 1 to 64 of a-z, 0-9, '.', '_' and '-'" });
const page = {
  before: z.uuid().optional().describe("Only messages older than this one"),
  limit: z.coerce.number().int().min(1).max(limits.inboxPageMax).optional(),
};
const pastPage = z.object({ messages: z.array(pastMessageSchema), more: z.boolean() });

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
      to: z
        .string()
        .min(1)
        .max(65)
        .describe("An agent, a #channel or @all; the last two with message:broadcast"),
      body: z.string().min(1).max(limits.messageBodyBytesMax),
      threadId: z.uuid().optional(),
      expectsReply: z.boolean().optional(),
      replyBy: z.iso.datetime().optional().describe("By when the reply is wanted, which is then expected"),
      priority: z.enum(priorities).optional(),
      forwardOf: z.uuid().optional().describe("The message that this passes on"),
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
  reportReceipts: {
    method: "POST",
    path: "/api/v1/inboxes/:agent/receipts",
    scope: "receipt:write",
    summary: "How far messages have got at the agent one runs; a step back or a repetition changes nothing",
    request: z.strictObject({
      agent: agentName,
      stage: z.enum(reportedStages),
      messageIds: z.array(z.uuid()).min(1).max(limits.inboxPageMax),
    }),
    reply: z.object({ moved: z.number().int().describe("Messages for which this was news") }),
  },
  getMessageStatus: {
    method: "GET",
    path: "/api/v1/messages/:id/status",
    scope: "any",
    summary:
      "How far a message has got at each recipient: one's own with message:send, any with inbox:read-any",
    request: z.strictObject({ id: z.uuid() }),
    reply: messageStatusSchema,
  },
  getThread: {
    method: "GET",
    path: "/api/v1/threads/:threadId",
    scope: "any",
    summary:
      "Messages of a thread, oldest first: those sent or got with message:read or inbox:read, all with inbox:read-any",
    request: z.strictObject({ threadId: z.uuid(), ...page }),
    reply: pastPage,
  },
  searchMessages: {
    method: "GET",
    path: "/api/v1/messages",
    scope: "any",
    summary:
      "Messages with all the words, newest first: those sent or got with message:read or inbox:read, all with inbox:read-any",
    request: z.strictObject({
      query: z.string().max(1_000).optional().describe("Without it the newest messages"),
      agent: agentName.optional().describe("Only what this agent sent or got; with inbox:read-any"),
      ...page,
    }),
    reply: pastPage,
  },
  listChannels: {
    method: "GET",
    path: "/api/v1/channels",
    scope: "agent:read",
    summary: "All channels by name",
    request: z.strictObject({}),
    reply: z.object({
      channels: z.array(
        z.object({ name: z.string(), members: z.number().int(), createdAt: z.iso.datetime() }),
      ),
    }),
  },
  listChannelMembers: {
    method: "GET",
    path: "/api/v1/channels/:channel/members",
    scope: "agent:read",
    summary: "Who gets what is sent to a channel",
    request: z.strictObject({ channel: channelName }),
    reply: z.object({
      members: z.array(z.object({ id: z.uuid(), name: z.string(), joinedAt: z.iso.datetime() })),
    }),
  },
  joinChannel: {
    method: "POST",
    path: "/api/v1/channels/:channel/members",
    scope: "message:read",
    summary: "Join a channel as oneself; the first to join makes it",
    request: z.strictObject({ channel: channelName }),
    reply: z.object({ channel: z.string(), made: z.boolean(), members: z.array(z.string()) }),
  },
  leaveChannel: {
    method: "DELETE",
    path: "/api/v1/channels/:channel/members",
    scope: "message:read",
    summary: "Leave a channel; the last to leave ends it",
    request: z.strictObject({ channel: channelName }),
    reply: z.object({ channel: z.string(), left: z.boolean() }),
  },
} as const satisfies Record<string, OperationRow>;
