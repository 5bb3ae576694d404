/**
 * What every fault is measured by: the tools that each request to the model offered, what a client complained of to its
 * model, and what is in the inboxes of the relay's database.
 */
import { until } from "../e2e/kit.ts";
import { bareName } from "./brain.ts";
import type { ModelRequest } from "./model-log.ts";
import type { ClientName, Delivered, Rig } from "./rig.ts";

/** Below the time of one test, so that a wait in vain is what is told. */
export const waitMs = 45_000;

/** The tools of ours that every request must offer. */
const ourTools = ["relay_send_message", "relay_reply", "relay_check_messages", "relay_list_agents"];

/** Which of our tools each request lacks: a list of empty lists when none ever vanished, and none without a request. */
export function missingTools(requests: readonly ModelRequest[]): string[][] {
  return requests.map(({ tools }) => {
    const names = tools.map(bareName);
    return ourTools.filter((name) => !names.includes(name));
  });
}

/** Signs of trouble with MCP that a client shows its model. */
const complaint =
  /have disconnected|No such tool|is not connected|handshak|ECONNREFUSED|timed out|rejected the Auth|\b40[134]\b|MCP error|unauthori[sz]ed/i;

/** What the model was shown of trouble with our tools. */
export function complaints(rig: Rig, client: ClientName): string[] {
  return rig.models[client].requests.flatMap(({ items }) =>
    items.flatMap((item) =>
      item.kind !== "call" && complaint.test(item.text) ? [item.text.slice(0, 300)] : [],
    ),
  );
}

/** Results of tools in the newest conversation, oldest first. */
export function results(rig: Rig, client: ClientName): string[] {
  const items = rig.models[client].requests.at(-1)?.items ?? [];
  return items.flatMap((item) => (item.kind === "result" ? [item.text] : []));
}

/** What the operator got, in order. */
export function operatorGot(rig: Rig): string[] {
  return rig
    .delivered()
    .filter(({ recipient }) => recipient === "operator")
    .map(({ body }) => body);
}

/** A row of an inbox as soon as there is one. */
export function delivery(rig: Rig, what: string, wanted: (one: Delivered) => boolean): Promise<Delivered> {
  return until(what, () => rig.delivered().find(wanted), waitMs);
}

/** An order to the scripted model: write this to the operator. */
export function sendOrder(body: string): string {
  return `DO relay_send_message {"to":"operator","body":"${body}"}`;
}
