/** Stopping the writes of an agent, and letting it write again. */
import type { Agent } from "../../store/store.ts";
import { RelayError } from "../../wire/error.ts";
import type { Relay } from "../relay.ts";
import { known, type Operation } from "./operation.ts";

export const quarantineAgent: Operation<"quarantineAgent"> = async (relay, { agent: name, reason }, by) => {
  const agent = await named(relay, name, "Quarantine");
  if (agent.kind === "operator") {
    throw new RelayError("forbidden", `Quarantine '${name}': that is the operator, not an agent`);
  }
  const changed = await relay.store.quarantine(agent.id, reason, relay.clock.now());
  if (changed) {
    relay.hub.agentsChanged();
    await relay.audit({ kind: "agent_quarantined", by: known(by), subject: name, facts: { reason } });
  }
  return { agent: name, changed };
};

export const releaseAgent: Operation<"releaseAgent"> = async (relay, { agent: name }, by) => {
  const agent = await named(relay, name, "Release");
  const changed = await relay.store.release(agent.id);
  if (changed) {
    relay.hub.agentsChanged();
    await relay.audit({ kind: "agent_released", by: known(by), subject: name });
  }
  return { agent: name, changed };
};

async function named(relay: Relay, name: string, action: string): Promise<Agent> {
  const agent = await relay.store.agentByName(name);
  if (agent !== undefined) return agent;
  throw new RelayError("not_found", `${action} '${name}': there is no agent of that name`);
}
