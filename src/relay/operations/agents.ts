/** The list of agents. */
import type { Agent } from "../../store/store.ts";
import { type Relay, timeText } from "../relay.ts";
import type { Operation } from "./operation.ts";

export const listAgents: Operation<"listAgents"> = async (relay) => ({
  agents: (await relay.store.listAgents()).map((agent) => agentView(relay, agent)),
});

function agentView({ hub }: Relay, agent: Agent) {
  const { id, name, provider, machine, createdAt, lastSeenAt } = agent;
  return {
    id,
    name,
    provider,
    machine,
    online: hub.isOnline(id),
    createdAt: timeText(createdAt),
    ...(lastSeenAt === undefined ? {} : { lastSeenAt: timeText(lastSeenAt) }),
  };
}
