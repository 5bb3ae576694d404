/** What the relay is at this moment, as figures. Counts over whole tables are asked sparingly. */
import { limits } from "../limits.ts";
import type { StoreCounts } from "../store/store.ts";
import type { Gauge } from "./metrics.ts";
import type { Relay } from "./relay.ts";

/** The counts of a store. */
export type KeptCounts = () => Promise<StoreCounts>;

/**
 * Counts that cannot keep the store from its work: questions that come together share one answer, and one that took
 * long is kept for a multiple of what it took.
 */
export function keptCounts(ask: () => Promise<StoreCounts>, monotonic: () => number): KeptCounts {
  let asked: Promise<StoreCounts> | undefined;
  let until = Number.POSITIVE_INFINITY;
  return () => {
    if (asked !== undefined && monotonic() < until) return asked;
    const begun = monotonic();
    const asking = ask();
    asked = asking;
    until = Number.POSITIVE_INFINITY;
    const done = () => {
      const took = monotonic() - begun;
      until = took < limits.countsFastMs ? 0 : monotonic() + took * limits.countsKeptTimes;
    };
    asking.then(done, () => {
      until = 0;
    });
    return asking;
  };
}

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
