/** What the relay is at this moment, as figures. */
import type { Gauge } from "./metrics.ts";
import type { Relay } from "./relay.ts";

/** All gauges of the relay. */
export async function gaugesOf(relay: Relay): Promise<Gauge[]> {
  const { store, hub, streams, startedAt, clock } = relay;
  const [counts, [newest]] = await Promise.all([relay.counts(), store.readAudit({ limit: 1 })]);
  return [
    gauge("agent_relay_up_seconds", "How long the relay has been up", (clock.now() - startedAt) / 1_000),
    gauge(
      "agent_relay_generation",
      "Generation of the database; a restore changes it",
      store.identity.generation,
    ),
    gauge("agent_relay_agents", "Agents that are registered", counts.agents),
    gauge("agent_relay_agents_online", "Agents whose feed is followed now", hub.online().length),
    gauge("agent_relay_streams", "Feeds and subscriptions open now", streams.count),
    gauge("agent_relay_messages", "Messages in the database", counts.messages),
    gauge("agent_relay_unread", "Messages that were not acknowledged yet, over all inboxes", counts.unread),
    gauge("agent_relay_obligations_open", "Replies that are owed", counts.obligationsOpen),
    gauge("agent_relay_audit_entries", "Entries of the audit log", newest?.seq ?? 0),
    gauge("process_resident_memory_bytes", "Resident memory of the relay's process", relay.residentBytes()),
  ];
}

function gauge(name: string, help: string, value: number): Gauge {
  return { name, help, value };
}
