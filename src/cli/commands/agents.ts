/** `agent-relay agents`: who is at the relay. */
import { realClock } from "../../base/clock.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { ageText, type Printer } from "../print.ts";

/** Prints all agents. */
export async function agents(options: RelayOptions, print: Printer): Promise<void> {
  const reply = await operatorClient(options).listAgents({});
  print.data(reply);
  print.table(
    ["NAME", "PROVIDER", "MACHINE", "STATE"],
    reply.agents.map((agent) => [agent.name, agent.provider, agent.machine, stateOf(agent)]),
  );
}

function stateOf(agent: { online: boolean; lastSeenAt?: string | undefined }): string {
  if (agent.online) return "online";
  return agent.lastSeenAt === undefined
    ? "never seen"
    : `seen ${ageText(realClock.now() - Date.parse(agent.lastSeenAt))} ago`;
}
