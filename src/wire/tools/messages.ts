/** Tools about messages. */
import { z } from "zod";
import { limits } from "../../limits.ts";
import { isIdempotencyKey } from "../id.ts";
import { messageSchema, pastMessageSchema, priorities } from "../message.ts";
import { reminderSchema } from "../obligation.ts";
import { messageStatusSchema, noticeSchema, operationStatusSchema, receiptSchema } from "../receipt.ts";
import { body, data, idempotencyKey, type ToolRow } from "./row.ts";

const before = z.uuid().optional().describe("Only messages older than this one: the oldest you were shown");
const pastPage = z.object({
  messages: z.array(pastMessageSchema),
  more: z.boolean().describe("There are older ones: ask with `before`"),
});

const limit = z
  .number()
  .int()
  .min(1)
  .max(limits.inboxPageMax)
  .optional()
  .describe("At most this many; 50 by default");

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
      replyBy: z.iso
        .datetime()
        .optional()
        .describe("By when you need the answer (ISO 8601, UTC); expectsReply goes without saying then"),
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
      limit,
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
      reminders: z
        .array(reminderSchema)
        .describe("Replies that you owe or that you are owed and are overdue"),
      more: z.boolean().describe("There are more unread messages than these"),
    }),
  },
  relay_get_thread: {
    title: "Read a thread",
    description:
      "The messages of a thread that you sent or got, oldest first; the newest ones when there are more. " +
      `Reading changes nothing. ${data}`,
    scope: "message:read",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: true,
    input: z.strictObject({
      threadId: z.uuid().describe("Id of the thread, from a message or a receipt"),
      before,
      limit,
    }),
    output: pastPage,
  },
  relay_search_messages: {
    title: "Search messages",
    description:
      "Messages that you sent or got whose text has all the words, newest first; without a query the newest that " +
      `you got. Only the beginning of a long text is shown. ${data}`,
    scope: "message:read",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: true,
    input: z.strictObject({
      query: z
        .string()
        .max(1_000)
        .optional()
        .describe("Words that must all be in the text; whole words, in any order and case"),
      before,
      limit: z
        .number()
        .int()
        .min(1)
        .max(limits.inboxPageMax)
        .optional()
        .describe("At most this many; 20 by default"),
    }),
    output: pastPage,
  },
  relay_message_status: {
    title: "How far a message has got",
    description:
      "For a message you sent: how far it has got at each recipient. stored: the relay has it; handed: the " +
      "recipient's machine has it; injected: the agent's program took it; read: the agent has seen it; replied.",
    scope: "message:send",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: true,
    input: z.strictObject({ messageId: z.uuid().describe("From the receipt of the message") }),
    output: messageStatusSchema,
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
