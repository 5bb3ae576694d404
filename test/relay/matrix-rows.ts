/**
 * Who may do what, written down by hand: every tool and every operation with the scopes of which one is enough.
 * Nothing here is taken from the tables of the product, so a change there that is not wanted here shows.
 */

/** Every scope there is. */
export const everyScope = [
  "message:send",
  "message:read",
  "message:broadcast",
  "agent:read",
  "workspace:read",
  "workspace:write",
  "command:spawn",
  "command:shutdown",
  "inbox:read",
  "receipt:write",
  "presence:write",
  "insight:write",
  "inbox:read-any",
  "feed:read",
  "lane:deliver",
  "token:mint",
  "runner:enrol",
  "token:admin",
  "agent:admin",
  "profile:admin",
  "audit:read",
  "backup:make",
  "metrics:read",
] as const;
export type MatrixScope = (typeof everyScope)[number];

/** Kinds of principals. A displaced one is a runner whose agent another one runs. */
export const kinds = ["operator", "host", "runner", "displaced", "agent"] as const;
export type Kind = (typeof kinds)[number];

/** What a token may use at most, whatever is stored with it; a kind that is not here may use all. */
export const atMost: Partial<Record<Kind, readonly MatrixScope[]>> = {
  displaced: ["lane:deliver"],
  agent: [
    "message:send",
    "message:read",
    "message:broadcast",
    "agent:read",
    "workspace:read",
    "workspace:write",
    "command:spawn",
    "command:shutdown",
  ],
};

/** Scopes of which one is enough; `token`: any valid token; `nobody`: no token is needed. */
export type Allowed = readonly MatrixScope[] | "token" | "nobody";

export type Row = {
  /** Method and path; `{self}` is the name of the token's own agent, `{fresh}` a hash that is new each time, `{newId}` an id. */
  ask: string;
  body?: Record<string, unknown>;
  by: Allowed;
  /** What is enough for a host, which speaks for no agent, where that is not the same. */
  host?: readonly MatrixScope[];
  /** The answer to all, because what is asked is decided by its body. */
  always?: number;
  /** The answer while another one's is under way. */
  busy?: number;
  /** Open to who comes from this machine without a token; a token that is given must do. */
  local?: true;
};

const id = "00000000-0000-7000-8000-000000000000";
const at = "2026-01-01T00:00:00.000Z";
const none: readonly MatrixScope[] = [];

/** Every operation, by its name; a second row for the same one has more words. */
export const operationRows: Readonly<Record<string, Row>> = {
  getRelay: { ask: "GET /api/v1/relay", by: "nobody" },
  getStatus: { ask: "GET /api/v1/status", by: "token" },
  enrolRunner: {
    ask: "POST /api/v1/runners",
    body: { agentName: "operator", provider: "exec", machine: "mill", secretHash: "{fresh}" },
    by: ["runner:enrol"],
  },
  mintAgentToken: {
    ask: "POST /api/v1/agent-tokens",
    body: { secretHash: "{fresh}" },
    by: ["token:mint"],
    host: none,
  },
  renewToken: {
    ask: "POST /api/v1/token-renewals",
    body: { secret: "arl_run_unknown", successorHash: "{fresh}" },
    by: "nobody",
    always: 401,
  },
  listAgents: { ask: "GET /api/v1/agents", by: ["agent:read"] },
  removeAgent: { ask: "DELETE /api/v1/agents/nobody-here", by: ["agent:admin"] },
  assignProfile: {
    ask: "POST /api/v1/agents/nobody-here/profile",
    body: { profile: "default" },
    by: ["agent:admin"],
  },
  listProfiles: { ask: "GET /api/v1/profiles", by: ["agent:read"] },
  getProfile: { ask: "GET /api/v1/profiles/default", by: ["agent:read"] },
  setProfile: { ask: "POST /api/v1/profiles/tried", body: { scopes: [] }, by: ["profile:admin"] },
  removeProfile: { ask: "DELETE /api/v1/profiles/nothing-there", by: ["profile:admin"] },
  createToken: {
    ask: "POST /api/v1/tokens",
    body: { kind: "host", secretHash: "{fresh}", note: "tried" },
    by: ["token:admin"],
  },
  listTokens: { ask: "GET /api/v1/tokens", by: ["token:admin"] },
  revokeToken: { ask: `DELETE /api/v1/tokens/${id}`, by: ["token:admin"] },
  openLane: { ask: "POST /api/v1/lanes/{newId}/sessions", body: {}, by: ["lane:deliver"], host: none },
  deliverRecords: {
    ask: `POST /api/v1/lanes/${id}/records`,
    body: {
      laneSession: 1_000,
      records: [{ key: "k", messageId: id, tool: "relay_send_message", arguments: {}, enqueuedAt: at }],
    },
    by: ["lane:deliver"],
    host: none,
  },
  findOutcomes: { ask: "POST /api/v1/outcomes", body: { keys: ["k"] }, by: ["lane:deliver"], host: none },
  sendMessage: {
    ask: "POST /api/v1/messages",
    body: { to: "nobody-here", body: "tried" },
    by: ["message:send"],
    host: none,
  },
  readInbox: {
    ask: "GET /api/v1/inboxes/{self}",
    by: ["message:read", "inbox:read", "inbox:read-any"],
    host: ["inbox:read-any"],
  },
  "readInbox of another": { ask: "GET /api/v1/inboxes/another", by: ["inbox:read-any"] },
  acknowledgeInbox: {
    ask: "POST /api/v1/inboxes/{self}/acknowledgements",
    body: { seq: 0 },
    by: ["inbox:read"],
    host: none,
  },
  reportReceipts: {
    ask: "POST /api/v1/inboxes/{self}/receipts",
    body: { stage: "handed", messageIds: [id] },
    by: ["receipt:write"],
    host: none,
  },
  getMessageStatus: {
    ask: `GET /api/v1/messages/${id}/status`,
    by: ["message:send", "inbox:read-any"],
    host: ["inbox:read-any"],
  },
  getThread: {
    ask: `GET /api/v1/threads/${id}`,
    by: ["message:read", "inbox:read", "inbox:read-any"],
    host: ["inbox:read-any"],
  },
  searchMessages: {
    ask: "GET /api/v1/messages?query=word",
    by: ["message:read", "inbox:read", "inbox:read-any"],
    host: ["inbox:read-any"],
  },
  "searchMessages of another": { ask: "GET /api/v1/messages?agent=another", by: ["inbox:read-any"] },
  listChannels: { ask: "GET /api/v1/channels", by: ["agent:read"] },
  listChannelMembers: { ask: "GET /api/v1/channels/%23tried/members", by: ["agent:read"] },
  joinChannel: {
    ask: "POST /api/v1/channels/%23tried/members",
    body: {},
    by: ["message:read"],
    host: none,
  },
  leaveChannel: { ask: "DELETE /api/v1/channels/%23tried/members", by: ["message:read"], host: none },
  listObligations: {
    ask: "GET /api/v1/obligations?agent={self}",
    by: ["message:read", "inbox:read", "inbox:read-any"],
    host: ["inbox:read-any"],
  },
  "listObligations of all": { ask: "GET /api/v1/obligations", by: ["inbox:read-any"] },
  takeReminders: { ask: "POST /api/v1/inboxes/{self}/reminders", body: {}, by: ["inbox:read"], host: none },
  declineObligation: {
    ask: `POST /api/v1/obligations/${id}/decline`,
    body: { reason: "tried" },
    by: ["message:send"],
    host: none,
  },
  quarantineAgent: {
    ask: "POST /api/v1/agents/nobody-here/quarantine",
    body: { reason: "tried" },
    by: ["agent:admin"],
  },
  releaseAgent: { ask: "DELETE /api/v1/agents/nobody-here/quarantine", by: ["agent:admin"] },
  reportPresence: {
    ask: "POST /api/v1/presence",
    body: { state: "idle" },
    by: ["presence:write"],
    host: none,
  },
  reportInsight: {
    ask: "POST /api/v1/insights",
    body: { id, kind: "hook_crashed", at, facts: {} },
    by: ["insight:write"],
    host: none,
  },
  listInsights: { ask: "GET /api/v1/insights", by: ["audit:read"] },
  listInsightKinds: { ask: "GET /api/v1/insight-kinds", by: "token" },
  setInsightKind: {
    ask: "POST /api/v1/insight-kinds/hook_crashed",
    body: { enabled: true },
    by: ["profile:admin"],
  },
  listAudit: { ask: "GET /api/v1/audit", by: ["audit:read"] },
  makeBackup: { ask: "POST /api/v1/backups", body: {}, by: ["backup:make"], busy: 503 },
  getBackup: { ask: "GET /api/v1/backups/nothing-there", by: ["backup:make"] },
  metrics: { ask: "GET /metrics", by: ["metrics:read"], local: true },
  feed: { ask: "GET /api/v1/feed", by: ["feed:read"], host: none },
  health: { ask: "GET /healthz", by: "nobody" },
  readiness: { ask: "GET /readyz", by: "nobody" },
  description: { ask: "GET /api/openapi.json", by: "nobody" },
  welcome: { ask: "GET /", by: "nobody" },
};

/** Every tool with arguments that change nothing. */
export const toolRows: Readonly<Record<string, { arguments: Record<string, unknown>; by: MatrixScope }>> = {
  relay_send_message: { arguments: { to: "nobody-here", body: "tried" }, by: "message:send" },
  relay_reply: { arguments: { messageId: id, body: "tried" }, by: "message:send" },
  relay_check_messages: { arguments: {}, by: "message:read" },
  relay_get_thread: { arguments: { threadId: id }, by: "message:read" },
  relay_search_messages: { arguments: { query: "word" }, by: "message:read" },
  relay_message_status: { arguments: { messageId: id }, by: "message:send" },
  relay_operation_status: { arguments: { idempotencyKey: "k" }, by: "message:send" },
  relay_list_agents: { arguments: {}, by: "agent:read" },
  relay_join_channel: { arguments: { channel: "#tried" }, by: "message:read" },
  relay_leave_channel: { arguments: { channel: "#tried" }, by: "message:read" },
  relay_list_channels: { arguments: {}, by: "agent:read" },
  relay_outstanding: { arguments: {}, by: "message:read" },
  relay_decline: { arguments: { messageId: id, reason: "tried" }, by: "message:send" },
};
