/** Every row of the operation table and the function that does it: a missing one does not compile. */
import type { OperationName } from "../wire/api.ts";
import { listAgents } from "./operations/agents.ts";
import { deliverRecords, findOutcomes, openLane } from "./operations/lanes.ts";
import { acknowledgeInbox, readInbox, sendMessage } from "./operations/messages.ts";
import type { Operation } from "./operations/operation.ts";
import { getRelay, getStatus } from "./operations/relay.ts";
import { enrolRunner, mintAgentToken } from "./operations/runners.ts";
import { createToken, listTokens, revokeToken } from "./operations/tokens.ts";

export const operations: { readonly [Name in OperationName]: Operation<Name> } = {
  getRelay,
  enrolRunner,
  mintAgentToken,
  openLane,
  deliverRecords,
  findOutcomes,
  sendMessage,
  readInbox,
  acknowledgeInbox,
  listAgents,
  createToken,
  listTokens,
  revokeToken,
  getStatus,
};
