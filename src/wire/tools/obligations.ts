/** Tools about replies that are owed. */
import { z } from "zod";
import { limits } from "../../limits.ts";
import { obligationSchema } from "../obligation.ts";
import { receiptSchema } from "../receipt.ts";
import { data, type ToolRow } from "./row.ts";

export const obligationTools = {
  relay_outstanding: {
    title: "Outstanding replies",
    description: `The replies you owe and the replies you are owed, oldest first. ${data}`,
    scope: "message:read",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: true,
    input: z.strictObject({}),
    output: z.object({
      owed: z.array(obligationSchema).describe("You owe these replies"),
      awaited: z.array(obligationSchema).describe("Others owe you these replies"),
      more: z.boolean().describe("There are more than are shown"),
    }),
  },
  relay_decline: {
    title: "Decline to reply",
    description:
      "Say that you will not give a reply you owe, and why. The one who asked gets the reason as your reply; the " +
      "reply is then no longer owed.",
    scope: "message:send",
    buffered: false,
    // A reply that waits in the outbox must not be overtaken by the statement that there will be none.
    drainFirst: true,
    shownWhen: "always",
    readOnly: false,
    input: z.strictObject({
      messageId: z.uuid().describe("Id of the message that asked for the reply"),
      reason: z.string().min(1).max(limits.reasonMax).describe("Why; the one who asked reads it"),
    }),
    output: receiptSchema,
  },
} as const satisfies Record<string, ToolRow>;
