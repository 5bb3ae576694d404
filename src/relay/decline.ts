/** Declining a reply: a reply of its own kind, which ends the obligation it answers. */
import { RelayError } from "../wire/error.ts";
import { asId, type IdempotencyKey, type MessageId } from "../wire/id.ts";
import type { AgentPrincipal } from "./access.ts";
import { type Relay, timeText } from "./relay.ts";
import { applyLive, type LiveOutcome } from "./writes.ts";

/** What a decline says to the one who asked, before its reason. */
export const declinedWords = "Declined to reply: ";

/**
 * Declines a reply that the principal owes: the one who asked gets the reason as a reply.
 * @throws RelayError not_owed, agent_removed
 */
export async function declineReply(
  relay: Relay,
  by: AgentPrincipal,
  asked: { messageId: string; reason: string; key: IdempotencyKey | undefined },
): Promise<LiveOutcome> {
  const messageId = asId<MessageId>(asked.messageId);
  return applyLive(relay, by, {
    tool: "relay_reply",
    arguments: { messageId, body: `${declinedWords}${asked.reason}` },
    key: asked.key,
    async through(batch, now) {
      const declined = await relay.store.declineObligation(messageId, batch, now);
      if (declined.status === "written") return declined.result;
      throw new RelayError("not_owed", notOwed(messageId, declined));
    },
  });
}

function notOwed(
  messageId: MessageId,
  declined: { status: "not_owed" } | { status: "closed"; declined: boolean; closedAt: number },
): string {
  if (declined.status === "not_owed")
    return `Decline to reply to message ${messageId}: no reply is owed for it`;
  const how = declined.declined ? "declined" : "given";
  return `Decline to reply to message ${messageId}: the reply was ${how} at ${timeText(declined.closedAt)}`;
}
