/** The agents of the relay: the list, removing one, giving one another profile. */
import type { Agent } from "../../store/store.ts";
import type { OperationReply } from "../../wire/api.ts";
import { RelayError } from "../../wire/error.ts";
import { standings } from "../presence.ts";
import { type Relay, timeText } from "../relay.ts";
import { revoked } from "../revoke.ts";
import { known, type Operation } from "./operation.ts";

export const listAgents: Operation<"listAgents"> = async (relay) => {
  const [agents, standing] = await Promise.all([relay.store.listAgents(), standings(relay)]);
  return { agents: agents.map((agent) => ({ ...agentView(relay, agent), ...standing(agent) })) };
};

export const removeAgent: Operation<"removeAgent"> = async (relay, { agent: name }, by) => {
  const removed = await relay.store.removeAgent(name, relay.clock.now());
  if (removed === undefined) throw noAgent(`Remove agent '${name}'`);
  // Whoever waits for a reply of it hears that there will be none.
  for (const creditor of removed.ended.creditors) relay.hub.hint(creditor, "obligations");
  revoked(relay, removed.revoked);
  relay.hub.agentsChanged();
  const facts = {
    agentId: removed.agent.id,
    revoked: removed.revoked.length,
    repliesEnded: removed.ended.count,
  };
  await relay.audit({ kind: "agent_removed", by: known(by), subject: name, facts });
  return agentView(relay, { ...removed.agent, lease: undefined });
};

export const assignProfile: Operation<"assignProfile"> = async (relay, { agent: name, profile }, by) => {
  const action = `Give agent '${name}' the profile '${profile}'`;
  const result = await relay.store.assignProfile(name, profile);
  if (result.status !== "assigned") {
    if (result.status === "agent_unknown") throw noAgent(action);
    throw new RelayError("not_found", `${action}: there is no profile of that name`);
  }
  relay.access.forgetRights();
  relay.hub.hint(result.agent.id, "profile");
  await relay.audit({ kind: "profile_changed", by: known(by), subject: profile, facts: { agent: name } });
  return agentView(relay, result.agent);
};

function noAgent(action: string): RelayError {
  return new RelayError("not_found", `${action}: there is no agent of that name that a runner can have`);
}

function agentView({ hub }: Relay, agent: Agent): OperationReply<"removeAgent"> {
  const { id, name, provider, machine, profile, createdAt, lastSeenAt, lease } = agent;
  return {
    id,
    name,
    provider,
    machine,
    profile,
    online: hub.isOnline(id),
    createdAt: timeText(createdAt),
    ...(lastSeenAt === undefined ? {} : { lastSeenAt: timeText(lastSeenAt) }),
    ...(lease === undefined
      ? {}
      : {
          lease: {
            tokenId: lease.holder,
            epoch: lease.epoch,
            since: timeText(lease.since),
            expiresAt: timeText(lease.until),
          },
        }),
  };
}
