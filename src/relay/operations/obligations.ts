/** Replies that are owed, as people see and decline them. */
import { limits } from "../../limits.ts";
import { RelayError } from "../../wire/error.ts";
import { asId } from "../../wire/id.ts";
import { type Principal, requireAgent } from "../access.ts";
import { declineReply } from "../decline.ts";
import { obligationView, outstandingOf, remindersOf } from "../obligations.ts";
import { known, type Operation } from "./operation.ts";

export const listObligations: Operation<"listObligations"> = async (relay, input, by) => {
  requireReader(known(by), input.agent);
  if (input.agent !== undefined) {
    const agent = await relay.store.agentByName(input.agent);
    if (agent === undefined) {
      throw new RelayError("not_found", `List what '${input.agent}' owes: there is no agent of that name`);
    }
    const { owed, awaited, more } = await outstandingOf(relay, agent.id);
    return { obligations: [...owed, ...awaited], more };
  }
  const all = await relay.store.allOutstanding(limits.outstandingMax + 1);
  const now = relay.clock.now();
  return {
    obligations: all.slice(0, limits.outstandingMax).map((open) => obligationView(open, now)),
    more: all.length > limits.outstandingMax,
  };
};

export const takeReminders: Operation<"takeReminders"> = async (relay, { agent, fresh }, by) => {
  const runner = requireAgent(known(by), "Take reminders");
  if (runner.agentName !== agent) {
    throw new RelayError("forbidden", `Take the reminders of '${agent}': this runs '${runner.agentName}'`);
  }
  return { reminders: await remindersOf(relay, runner.agentId, fresh) };
};

export const declineObligation: Operation<"declineObligation"> = async (relay, input, by) => {
  const debtor = requireAgent(known(by), "Decline to reply");
  const { messageId, reason, idempotencyKey } = input;
  const key = idempotencyKey === undefined ? undefined : asId<never>(idempotencyKey);
  const { outcome, receipt } = await declineReply(relay, debtor, { messageId, reason, key });
  if (outcome.status !== "committed") throw new RelayError(outcome.code, outcome.detail);
  return receipt;
};

/** Passes who may see what the agent owes; without a name it is everybody's. */
function requireReader(by: Principal, agent: string | undefined): void {
  const own = agent !== undefined && by.agentName === agent ? (["message:read", "inbox:read"] as const) : [];
  const allowed = [...own, "inbox:read-any"] as const;
  if (allowed.some((scope) => by.scopes.includes(scope))) return;
  const whose = agent === undefined ? "what everybody owes" : `what '${agent}' owes`;
  throw new RelayError(
    "forbidden",
    `List ${whose}: the token has ${by.scopes.join(", ") || "no scope"}; ${allowed.join(" or ")} was wanted`,
  );
}
