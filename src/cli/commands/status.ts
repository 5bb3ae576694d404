/** `agent-relay status`: the relay, the agents and proxies of this machine, and what waits. */
import { localStatus } from "../../runner-parts.ts";
import type { OperationReply } from "../../wire/api.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { ageText, describeFailure, type Printer } from "../print.ts";

type RelayAnswer =
  | { reachable: true; facts: OperationReply<"getStatus"> }
  | { reachable: false; why: string };

/** Prints the state of everything that can be reached from here. Never fails because the relay is down. */
export async function status(options: RelayOptions & { home: string }, print: Printer): Promise<void> {
  const [relay, local] = await Promise.all([askRelay(options), localStatus(options.home)]);
  print.data({ relay, local });
  if (relay.reachable) {
    const { facts } = relay;
    print.line(`${print.bold("relay")}  up, version ${facts.version}, since ${facts.startedAt}`);
    print.line(
      `       ${facts.agents} agents, ${facts.online} online · ${facts.messages} messages, ${facts.unread} unread` +
        ` · ${facts.obligationsOpen} replies owed`,
    );
  } else print.line(`${print.bold("relay")}  not reached: ${relay.why}`);
  print.line();
  if (local.length === 0) print.line("No agent has run from this home yet");
  else {
    print.table(
      ["HERE", "KIND", "RUNS", "RELAY", "WAITING", "OLDEST", "TOOLS", "ENDPOINT"],
      local.map((place) => [
        place.name,
        place.kind,
        place.running ? (place.mode ?? "proxy") : "no",
        place.upstream ?? "",
        place.waiting === undefined ? "?" : String(place.waiting),
        place.oldestAgeMs === undefined || place.waiting === 0 ? "" : ageText(place.oldestAgeMs),
        place.tools === undefined ? "" : String(place.tools),
        place.url ?? "",
      ]),
    );
  }
}

async function askRelay(options: RelayOptions): Promise<RelayAnswer> {
  try {
    return { reachable: true, facts: await operatorClient(options).getStatus({}) };
  } catch (error) {
    return { reachable: false, why: describeFailure(error).message };
  }
}
