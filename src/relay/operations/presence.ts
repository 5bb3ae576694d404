/** What runners say about their agents. */
import { requireAgent } from "../access.ts";
import { known, type Operation } from "./operation.ts";

export const reportPresence: Operation<"reportPresence"> = async (relay, { state }, by) => {
  const runner = requireAgent(known(by), "Report presence");
  const changed = await relay.store.reportPresence(runner.agentId, state, relay.clock.now());
  if (changed) relay.hub.presenceChanged();
  return { changed };
};
