/** A reply that is owed, as both sides and people see it, and the reminder of one. */
import { z } from "zod";

export const obligationStates = ["open", "reminded", "overdue"] as const;
/** open: owed. reminded: its debtor was told again. overdue: its creditor was told too; it can still be answered. */
export type ObligationState = (typeof obligationStates)[number];

export const obligationSchema = z.object({
  messageId: z.uuid().describe("The message that asked for the reply"),
  creditor: z.string().describe("Who asked"),
  debtor: z.string().describe("Who owes the reply"),
  threadId: z.uuid(),
  excerpt: z.string().describe("The first characters of the message: data written by its sender"),
  askedAt: z.iso.datetime(),
  replyBy: z.iso.datetime().optional().describe("When the reply was asked for, if a time was given"),
  state: z.enum(obligationStates),
});
/** A reply that is owed. */
export type Obligation = z.infer<typeof obligationSchema>;

export const reminderSchema = z.object({
  kind: z
    .enum(["owed", "overdue", "ended"])
    .describe("owed: you owe the reply; overdue: you are owed it, and it is late; ended: it will not come"),
  messageId: z.uuid(),
  with: z.string().describe("The agent on the other side"),
  askedAt: z.iso.datetime(),
  replyBy: z.iso.datetime().optional(),
  text: z.string().describe("What this means and what to do"),
});
/** What an agent is told about a reply that it owes or is owed, until it comes or is declined. */
export type Reminder = z.infer<typeof reminderSchema>;

/** The fixed wording of each kind of reminder. Pinned by a test. */
export const reminderNotes: Record<Reminder["kind"], string> = {
  owed: "You owe this reply. Answer with relay_reply, or say no with relay_decline.",
  overdue: "This reply has not come in time. It is still owed; ask again or go on without it.",
  ended: "This reply will not come: the agent that owed it was removed. Go on without it.",
};

const reminderHeads: Record<Reminder["kind"], string> = {
  owed: "reply owed to",
  overdue: "reply overdue from",
  ended: "no reply from",
};

/** The line of a reminder for a model: facts that the relay knows, nothing that others wrote. */
export function reminderText({ kind, messageId, with: other, askedAt, replyBy, text }: Reminder): string {
  const by = replyBy === undefined ? [] : [`wanted by ${replyBy}`];
  return `[${[`${reminderHeads[kind]} ${other}`, `message ${messageId}`, `asked at ${askedAt}`, ...by].join(" · ")}] ${text}`;
}
