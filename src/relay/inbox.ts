/** What an agent has read of its inbox. */
import type { AgentId } from "../wire/id.ts";
import type { Relay } from "./relay.ts";

/** Acknowledges an inbox and tells those who follow it; the seq that holds now. */
export async function acknowledge(relay: Relay, agentId: AgentId, seq: number): Promise<number> {
  const acknowledgedSeq = await relay.store.acknowledgeInbox(agentId, seq, relay.clock.now());
  relay.hub.hint(agentId, "inbox");
  return acknowledgedSeq;
}
