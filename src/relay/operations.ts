/** Every row of the operation table and the function that does it: a missing one does not compile. */
import type { OperationName } from "../wire/api.ts";
import { assignProfile, listAgents, removeAgent } from "./operations/agents.ts";
import { quarantineAgent, releaseAgent } from "./operations/brakes.ts";
import { joinChannel, leaveChannel, listChannelMembers, listChannels } from "./operations/channels.ts";
import { listInsightKinds, listInsights, reportInsight, setInsightKind } from "./operations/insights.ts";
import { deliverRecords, findOutcomes, openLane } from "./operations/lanes.ts";
import { acknowledgeInbox, readInbox, sendMessage } from "./operations/messages.ts";
import { declineObligation, listObligations, takeReminders } from "./operations/obligations.ts";
import type { Operation } from "./operations/operation.ts";
import { getMessageStatus, getThread, reportReceipts, searchMessages } from "./operations/past.ts";
import { reportPresence } from "./operations/presence.ts";
import { getProfile, listProfiles, removeProfile, setProfile } from "./operations/profiles.ts";
import { getRelay, getStatus } from "./operations/relay.ts";
import { enrolRunner, mintAgentToken } from "./operations/runners.ts";
import { getBackup, listAudit, makeBackup } from "./operations/service.ts";
import { createToken, listTokens, renewToken, revokeToken } from "./operations/tokens.ts";

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
  reportReceipts,
  getMessageStatus,
  getThread,
  searchMessages,
  listChannels,
  listChannelMembers,
  joinChannel,
  leaveChannel,
  listAgents,
  removeAgent,
  assignProfile,
  listProfiles,
  getProfile,
  setProfile,
  removeProfile,
  createToken,
  renewToken,
  listTokens,
  revokeToken,
  getStatus,
  listAudit,
  makeBackup,
  getBackup,
  listObligations,
  takeReminders,
  declineObligation,
  quarantineAgent,
  releaseAgent,
  reportPresence,
  reportInsight,
  listInsights,
  listInsightKinds,
  setInsightKind,
};
