/** The relay as the receiver of an outbox: its lane operations in the words of the outbox's pump. */
import { RelayError } from "../wire/error.ts";
import type { StoreId } from "../wire/id.ts";
import { type Deliverer, DeliveryError, type DeliveryFailureKind } from "../wire/write.ts";
import { RelayUnreachable } from "./answer.ts";
import type { Client } from "./client.ts";

/**
 * Delivers one outbox to the relay.
 * @param client authenticated by the runner's long-lived token
 * @param storeId names the lane; stays the same for the life of the outbox
 */
export function relayDeliverer(client: Client, storeId: StoreId): Deliverer {
  return {
    async open(signal) {
      const lane = await client.openLane({ storeId }, { signal }).catch(rethrow);
      return {
        laneSession: lane.laneSession,
        keyWindowMs: lane.keyWindowMs,
        generation: lane.generation,
        relayTimeMs: Date.parse(lane.relayTime),
      };
    },
    async deliver(records, laneSession, signal) {
      const reply = await client
        .deliverRecords({ storeId, laneSession, records: [...records] }, { signal })
        .catch(inSession(laneSession));
      if (reply.outcomes.length !== records.length) {
        throw new DeliveryError(
          "unreachable",
          "unknown",
          `Deliver ${records.length} records: the relay answered for ${reply.outcomes.length}`,
        );
      }
      return reply.outcomes;
    },
    async outcomesOf(keys, laneSession, signal) {
      const { outcomes } = await client
        .findOutcomes({ keys: [...keys], lane: { storeId, laneSession } }, { signal })
        .catch(inSession(laneSession));
      return outcomes.map((outcome) => outcome ?? undefined);
    },
    probe: (signal) =>
      client.getRelay({}, { signal }).then(
        () => true,
        () => false,
      ),
  };
}

/** Which failures of a delivery are more than the relay being away. */
const kinds: Partial<Record<RelayError["code"], DeliveryFailureKind>> = {
  rate_limited: "overloaded",
  too_slow: "unreachable",
  unauthorized: "unauthorized",
  token_revoked: "revoked",
  forbidden: "unauthorized",
  agent_removed: "removed",
  lane_fenced: "fenced",
  internal: "unreachable",
  unavailable: "unreachable",
};

/** A relay that never granted the session was restored from a copy: the lane has to be opened again, nothing is newer. */
function inSession(laneSession: number): (thrown: unknown) => never {
  return (thrown) => {
    const newest = thrown instanceof RelayError && thrown.code === "lane_fenced" && thrown.data.newestSession;
    if (typeof newest !== "number" || newest >= laneSession) return rethrow(thrown);
    const words = `the relay does not know lane session ${laneSession}, its newest is ${newest}`;
    throw new DeliveryError("unreachable", "no", words, { cause: thrown });
  };
}

function rethrow(thrown: unknown): never {
  if (thrown instanceof RelayError) {
    const kind = kinds[thrown.code] ?? "refused";
    const { retryAfterMs } = thrown.data;
    throw new DeliveryError(kind, kind === "unreachable" ? "unknown" : "no", thrown.message, {
      cause: thrown,
      ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
    });
  }
  const sent = thrown instanceof RelayUnreachable ? thrown.sent : "unknown";
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  throw new DeliveryError("unreachable", sent, message, { cause: thrown });
}
