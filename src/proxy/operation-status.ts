/**
 * `relay_operation_status` asks this machine first: the relay knows nothing of a write that still waits here, and
 * what was given up here is known in an outage too. Everything else is the relay's to say.
 */
import { isIdempotencyKey } from "../wire/id.ts";
import type { JsonObject } from "../wire/jsonrpc.ts";
import { type OperationState, operationResult } from "../wire/receipt.ts";
import type { ToolName } from "../wire/tools.ts";
import type { RecordView } from "../wire/write.ts";
import { type Answer, callAnswer } from "./answer.ts";
import type { Ask } from "./ask.ts";
import type { Core } from "./core.ts";

const statusTool: ToolName = "relay_operation_status";

/** The states that are final or true here, whatever the relay knows. */
const localStates: Partial<Record<RecordView["state"], OperationState>> = {
  queued: "queued",
  sending: "queued",
  rejected: "rejected",
  expired: "ended",
  dropped: "ended",
};

/** True when the call may be answered from the outbox. */
export function asksOutbox({ options }: Core, name: string): boolean {
  return name === statusTool && options.policy.kind === "relay" && options.outbox?.outcomeOf !== undefined;
}

/** The answer of this machine, or undefined when the relay has to be asked. */
export async function localStatus(core: Core, ask: Ask, given: JsonObject): Promise<Answer | undefined> {
  const key = given.idempotencyKey;
  if (typeof key !== "string" || !isIdempotencyKey(key)) return undefined;
  const known = await core.options.outbox?.outcomeOf?.(key);
  const state = known === undefined ? undefined : localStates[known.state];
  if (known === undefined || state === undefined) return undefined;
  const { messageId, detail } = known;
  const result = operationResult({
    idempotencyKey: key,
    state,
    messageId,
    ...(detail === undefined || state === "queued" ? {} : { reason: detail }),
  });
  return callAnswer(core, ask, { result });
}
