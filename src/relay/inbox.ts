/** Pages of an inbox that are not larger than a reader can take. */
import { limits } from "../limits.ts";
import type { InboxPage, InboxQuery } from "../store/store.ts";
import type { AgentId } from "../wire/id.ts";
import type { Relay } from "./relay.ts";

/** A page cut at `limits.inboxPageBytesMax` of bodies; it holds at least one message when there is one. */
export async function readPage(relay: Relay, query: InboxQuery): Promise<InboxPage> {
  const page = await relay.store.readInbox(query);
  let bytes = 0;
  const fitting = page.messages.filter((message, position) => {
    bytes += Buffer.byteLength(message.body);
    return position === 0 || bytes <= limits.inboxPageBytesMax;
  });
  return { ...page, messages: fitting, more: page.more || fitting.length < page.messages.length };
}

/** Acknowledges an inbox and tells those who follow it; the seq that holds now. */
export async function acknowledge(relay: Relay, agentId: AgentId, seq: number): Promise<number> {
  const acknowledgedSeq = await relay.store.acknowledgeInbox(agentId, seq, relay.clock.now());
  relay.hub.hint(agentId, "inbox");
  return acknowledgedSeq;
}
