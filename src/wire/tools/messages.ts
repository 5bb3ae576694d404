/** Tools about messages. */
import { z } from "zod";
import { limits } from "../../limits.ts";
import { isIdempotencyKey } from "../id.ts";
import { messageSchema, priorities } from "../message.ts";
import { noticeSchema, operationStatusSchema, receiptSchema } from "../receipt.ts";
import { body, data, idempotencyKey, type ToolRow } from "./row.ts";

export const messageTools = {
  relay_send_message: {
    title: "Send a message",
    description:
      "Send a message to another agent, to a #channel or to @all. The answer says whether the relay has it (sent) " +
      "or this machine keeps and delivers it (queued); in neither case send it again.",
    scope: "message:send",
    buffered: true,
    drainFirst: false,
    shownWhen: "always",
    readOnly: false,
    input: z.strictObject({
      to: z
        .string()
        .min(1)
        .max(65)
        .describe("Name of the agent that is to get it, or a #channel, or @all for every agent"),
      body,
      threadId: z.uuid().optional().describe("Go on in this thread; without it a new thread begins"),
      expectsReply: z
        .boolean()
        .optional()
        .describe("True when you need an answer: the recipient, one agent, then owes one"),
      priority: z
        .enum(priorities)
        .optional()
        .describe("urgent asks the recipient to look at it before other work; normal without it"),
      forwardOf: z
        .uuid()
        .optional()
        .describe("Pass this message on: the recipient gets the original with your text"),
      idempotencyKey,
    }),
    output: receiptSchema,
  },
  relay_reply: {
    title: "Reply to a message",
    description: "Reply to a message you got, in its thread. Ends the reply you owe for it, if any.",
    scope: "message:send",
    buffered: true,
    drainFirst: false,
    shownWhen: "always",
    readOnly: false,
    input: z.strictObject({
      messageId: z.uuid().describe("Id of the message you reply to"),
      body,
      idempotencyKey,
    }),
    output: receiptSchema,
  },
  relay_check_messages: {
    title: "Check messages",
    description: `Messages to you that you have not read yet, oldest first. Reading does not remove them. ${data}`,
    scope: "message:read",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: true,
    input: z.strictObject({
      limit: z
        .number()
        .int()
        .min(1)
        .max(limits.inboxPageMax)
        .optional()
        .describe("At most this many; 50 by default"),
      seenSeq: z
        .number()
        .int()
        .min(0)
        .optional()
        .describe("Optional: you have handled all messages up to this seq; they are not shown again"),
    }),
    output: z.object({
      messages: z.array(messageSchema),
      notices: z.array(noticeSchema).describe("What became of your own earlier writes"),
      more: z.boolean().describe("There are more unread messages than these"),
    }),
  },
  relay_operation_status: {
    title: "What became of a call",
    description:
      "Says what became of an earlier write of yours, by its idempotencyKey: committed, rejected, still queued on " +
      "this machine, or unknown. Ask before you repeat a call whose outcome is unknown.",
    scope: "message:send",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: true,
    input: z.strictObject({
      idempotencyKey: z
        .string()
        .refine(isIdempotencyKey, { message: "1 to 200 visible ASCII characters without spaces" })
        .describe("From the receipt or the notice of the write, or the one you gave it"),
    }),
    output: operationStatusSchema,
  },
} as const satisfies Record<string, ToolRow>;
