/** What agents are doing, from what their runners say and from their feeds. Shown to others, never acted upon. */
import { limits } from "../limits.ts";
import type { Agent } from "../store/store.ts";
import type { AgentId } from "../wire/id.ts";
import { type PresenceState, presenceOf } from "../wire/presence.ts";
import { type Relay, timeText } from "./relay.ts";

/** What an agent does, since when, and whether its writes are stopped; times in ISO 8601. */
export type Standing = {
  presence: { state: PresenceState; since?: string };
  quarantined?: { since: string; reason: string };
};

const bounds = { staleMs: limits.presenceStaleMs, graceMs: limits.feedSilenceMs };

/** A function that says how an agent stands at this moment. */
export async function standings(
  relay: Relay,
): Promise<(agent: Pick<Agent, "id" | "lastSeenAt">) => Standing> {
  const [presences, quarantines] = await Promise.all([relay.store.presences(), relay.store.quarantines()]);
  const reported = new Map(
    presences.map((presence): [AgentId, typeof presence] => [presence.agentId, presence]),
  );
  const stopped = new Map(quarantines.map((entry): [AgentId, typeof entry] => [entry.agentId, entry]));
  const now = relay.clock.now();
  return ({ id, lastSeenAt }) => {
    const facts = { online: relay.hub.isOnline(id), lastSeenAt, reported: reported.get(id) };
    const { state, since } = presenceOf(facts, now, bounds);
    const quarantine = stopped.get(id);
    return {
      presence: { state, ...(since === undefined ? {} : { since: timeText(since) }) },
      ...(quarantine === undefined
        ? {}
        : { quarantined: { since: timeText(quarantine.since), reason: quarantine.reason } }),
    };
  };
}
