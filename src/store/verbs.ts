/** The verbs of the store's contract by name, for twins whose work is done in another thread. */
import type { RelayStore } from "./store.ts";

/** The verbs that are one call of that thread, or several. */
export type VerbName = Exclude<keyof RelayStore, "identity" | "backup" | "close">;

/** Every verb: a missing one does not compile. */
const verbs: { readonly [Name in VerbName]: true } = {
  createOperator: true,
  addToken: true,
  mintToken: true,
  renewToken: true,
  findToken: true,
  listTokens: true,
  revokeToken: true,
  enrol: true,
  removeAgent: true,
  agentByName: true,
  agentById: true,
  listAgents: true,
  markSeen: true,
  listProfiles: true,
  setProfile: true,
  removeProfile: true,
  assignProfile: true,
  openLane: true,
  applyWrites: true,
  findOutcomes: true,
  readInbox: true,
  acknowledgeInbox: true,
  findMessage: true,
  checkInbox: true,
  reportReceipts: true,
  messageStatus: true,
  readThread: true,
  searchMessages: true,
  indexMessages: true,
  pruneMessages: true,
  joinChannel: true,
  leaveChannel: true,
  listChannels: true,
  channelsOf: true,
  channelMembers: true,
  counts: true,
  stepObligations: true,
  outstanding: true,
  allOutstanding: true,
  tellEnded: true,
  declineObligation: true,
  quarantine: true,
  release: true,
  quarantines: true,
  reportPresence: true,
  presences: true,
  addInsight: true,
  listInsights: true,
  disabledInsights: true,
  setInsightKind: true,
  appendAudit: true,
  readAudit: true,
  prune: true,
};

/** The names of all verbs. */
export const verbNames = Object.keys(verbs) as readonly VerbName[];

/** What a verb takes, as one list, and what it gives. */
export type VerbArguments<Name extends VerbName> = Parameters<RelayStore[Name]>;
export type VerbAnswer<Name extends VerbName> = Awaited<ReturnType<RelayStore[Name]>>;
