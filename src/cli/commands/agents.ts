/** `agent-relay agents`: who is at the relay; removing one, giving one another profile. */
import { realClock } from "../../base/clock.ts";
import type { OperationReply } from "../../wire/api.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { ageText, type Printer } from "../print.ts";

/** Prints all agents. */
export async function agents(options: RelayOptions, print: Printer): Promise<void> {
  const reply = await operatorClient(options).listAgents({});
  print.data(reply);
  print.table(
    ["NAME", "PROVIDER", "MACHINE", "PROFILE", "STATE"],
    reply.agents.map((agent) => [agent.name, agent.provider, agent.machine, agent.profile, stateOf(agent)]),
  );
}

/** Removes an agent. */
export async function agentRemove(options: RelayOptions & { name: string }, print: Printer): Promise<void> {
  const agent = await operatorClient(options).removeAgent({ agent: options.name });
  print.data({ agent });
  print.line(`Agent ${agent.name} is removed; its name is free`);
}

/** Gives an agent another profile. */
export async function agentProfile(
  options: RelayOptions & { name: string; profile: string },
  print: Printer,
): Promise<void> {
  const { name, profile } = options;
  const agent = await operatorClient(options).assignProfile({ agent: name, profile });
  print.data({ agent });
  print.line(`Agent ${agent.name} has the profile ${agent.profile}`);
}

function stateOf(agent: OperationReply<"listAgents">["agents"][number]): string {
  const stopped = agent.quarantined === undefined ? "" : ", quarantined";
  return `${presenceText(agent)}${stopped}`;
}

function presenceText(agent: OperationReply<"listAgents">["agents"][number]): string {
  const { presence } = agent;
  if (presence !== undefined && presence.state !== "offline") {
    const since =
      presence.since === undefined ? "" : ` for ${ageText(realClock.now() - Date.parse(presence.since))}`;
    return `${presence.state.replace("_", " for ")}${since}`;
  }
  if (agent.online) return "online";
  return agent.lastSeenAt === undefined
    ? "never seen"
    : `seen ${ageText(realClock.now() - Date.parse(agent.lastSeenAt))} ago`;
}
