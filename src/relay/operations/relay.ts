/** Which relay this is, and whether it works. */
import { timeText } from "../relay.ts";
import type { Operation } from "./operation.ts";

export const getRelay: Operation<"getRelay"> = async ({ store, version, clock }) => ({
  product: "agent-relay",
  version,
  relayId: store.identity.relayId,
  generation: store.identity.generation,
  relayTime: timeText(clock.now()),
});

export const getStatus: Operation<"getStatus"> = async ({ store, hub, version, startedAt, counts }) => ({
  version,
  relayId: store.identity.relayId,
  generation: store.identity.generation,
  startedAt: timeText(startedAt),
  online: hub.online().length,
  ...(await counts()),
});
