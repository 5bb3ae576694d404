/** The tools about replies that are owed, and the reminders that come with unread messages. */
import { toRelayError } from "../wire/error.ts";
import type { IdempotencyKey } from "../wire/id.ts";
import { plainText } from "../wire/message.ts";
import { type Obligation, type Reminder, reminderText } from "../wire/obligation.ts";
import type { NeutralResult } from "../wire/receipt.ts";
import type { ToolInput, ToolOutput } from "../wire/tools.ts";
import type { AgentPrincipal } from "./access.ts";
import { declineReply } from "./decline.ts";
import { outstandingOf } from "./obligations.ts";
import type { Relay } from "./relay.ts";

type Context = { relay: Relay; by: AgentPrincipal; key: IdempotencyKey | undefined };

/** `relay_outstanding`. */
export async function outstandingTool({ relay, by }: Context): Promise<NeutralResult> {
  const structuredContent: ToolOutput<"relay_outstanding"> = await outstandingOf(relay, by.agentId);
  const { owed, awaited, more } = structuredContent;
  const words = [
    owed.length === 0 ? "You owe no replies." : "You owe these replies:",
    ...owed.map((one) => lineOf(one, `to ${one.creditor}`)),
    awaited.length === 0 ? "Nobody owes you a reply." : "You are owed these replies:",
    ...awaited.map((one) => lineOf(one, `from ${one.debtor}`)),
    ...(more ? ["There are more than these."] : []),
  ];
  return { content: [{ type: "text", text: words.join("\n") }], structuredContent };
}

/** `relay_decline`. */
export async function declineTool(
  { relay, by, key }: Context,
  { messageId, reason }: ToolInput<"relay_decline">,
): Promise<NeutralResult> {
  try {
    return (await declineReply(relay, by, { messageId, reason, key })).result;
  } catch (thrown) {
    const error = toRelayError(thrown);
    if (error.code !== "not_owed") throw thrown;
    return { content: [{ type: "text", text: `${error.code}: ${error.message}` }], isError: true };
  }
}

/** What stands above unread messages about replies that are owed; nothing when none is pressing. */
export function reminderWords(reminders: readonly Reminder[]): string[] {
  return reminders.length === 0 ? [] : [reminders.map(reminderText).join("\n")];
}

/** One obligation in two lines: facts of the relay, then the quoted beginning of the message. */
function lineOf({ messageId, askedAt, replyBy, state, excerpt }: Obligation, whose: string): string {
  const by = replyBy === undefined ? [] : [`wanted by ${replyBy}`];
  const head = [`- ${state}`, whose, `message ${messageId}`, `asked at ${askedAt}`, ...by].join(" · ");
  return `${head}\n  | ${plainText(excerpt).replaceAll(/\s+/g, " ")}`;
}
