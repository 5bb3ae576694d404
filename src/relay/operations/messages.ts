/** Sending, and inboxes as people and runners read them. */
import { limits } from "../../limits.ts";
import type { Agent } from "../../store/store.ts";
import { RelayError } from "../../wire/error.ts";
import { asId } from "../../wire/id.ts";
import { type Principal, requireAgent } from "../access.ts";
import { acknowledge } from "../inbox.ts";
import type { Relay } from "../relay.ts";
import { applyLive } from "../writes.ts";
import { known, type Operation } from "./operation.ts";

export const sendMessage: Operation<"sendMessage"> = async (relay, input, by) => {
  const sender = requireAgent(known(by), "Send a message");
  const { idempotencyKey, ...given } = input;
  const { outcome, receipt } = await applyLive(relay, sender, {
    tool: "relay_send_message",
    arguments: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    key: idempotencyKey === undefined ? undefined : asId(idempotencyKey),
  });
  if (outcome.status !== "committed") throw new RelayError(outcome.code, outcome.detail);
  return receipt;
};

export const readInbox: Operation<"readInbox"> = async (relay, input, by) => {
  const agent = await ownerOf(relay, known(by), input.agent);
  const { messages, more, acknowledgedSeq } = await relay.store.readInbox({
    agentId: agent.id,
    afterSeq: input.afterSeq ?? 0,
    unread: input.unread ?? false,
    limit: input.limit ?? limits.inboxPageDefault,
  });
  return { messages, more, acknowledgedSeq, generation: relay.store.identity.generation };
};

export const acknowledgeInbox: Operation<"acknowledgeInbox"> = async (relay, { agent, seq }, by) => {
  const runner = requireAgent(known(by), "Acknowledge an inbox");
  if (runner.agentName !== agent) {
    throw new RelayError("forbidden", `Acknowledge the inbox of '${agent}': this runs '${runner.agentName}'`);
  }
  return { acknowledgedSeq: await acknowledge(relay, runner.agentId, seq) };
};

/** The agent whose inbox is asked for, when the principal may read it. */
async function ownerOf(relay: Relay, by: Principal, name: string): Promise<Agent> {
  const wanted = by.agentName === name ? (["message:read", "inbox:read"] as const) : [];
  const allowed = [...wanted, "inbox:read-any"] as const;
  if (!allowed.some((scope) => by.scopes.includes(scope))) {
    throw new RelayError(
      "forbidden",
      `Read the inbox of '${name}': the token has ${by.scopes.join(", ") || "no scope"}; ${allowed.join(" or ")} was wanted`,
    );
  }
  const agent = await relay.store.agentByName(name);
  if (agent !== undefined) return agent;
  throw new RelayError("not_found", `Read the inbox of '${name}': there is no agent of that name`);
}
