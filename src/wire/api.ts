/**
 * The table of HTTP operations under /api/v1. The relay routes by it, the client is made from it.
 */
import { z } from "zod";
import { limits } from "../limits.ts";
import { agentNameRule, isAgentName, isIdempotencyKey } from "./id.ts";
import { laneBatchSchema, laneOutcomeSchema, laneReplySchema, laneSchema } from "./lane.ts";
import { messageSchema } from "./message.ts";
import { receiptSchema } from "./receipt.ts";
import { isScope, principalKinds, type Scope } from "./scope.ts";

/** One HTTP operation. A GET takes its request from path and query, any other method from path and JSON body. */
export type OperationRow = {
  readonly method: "GET" | "POST" | "DELETE";
  /** Path below the relay's origin; `:name` takes a member of the request. */
  readonly path: string;
  /** Scope the token must have; `any` = any valid token; `none` = no token. */
  readonly scope: Scope | "any" | "none";
  readonly summary: string;
  readonly request: z.ZodType<Record<string, unknown>, Record<string, unknown>>;
  readonly reply: z.ZodType;
};

const agentName = z.string().refine(isAgentName, { message: `must be ${agentNameRule}` });
const secretHash = z.string().regex(/^[0-9a-f]{64}$/, "must be the SHA-256 of the secret in hex");
const scopeList = z.array(z.string().refine(isScope, { message: "is not a scope" }));
const agentSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  provider: z.string(),
  machine: z.string(),
  online: z.boolean(),
  createdAt: z.iso.datetime(),
  lastSeenAt: z.iso.datetime().optional(),
});
const tokenSchema = z.object({
  id: z.uuid(),
  kind: z.enum(principalKinds),
  agent: z.string().optional(),
  profile: z.string().optional(),
  scopes: scopeList,
  note: z.string(),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime().optional(),
  revokedAt: z.iso.datetime().optional(),
  lastUsedAt: z.iso.datetime().optional(),
});

export const operationTable = {
  getRelay: {
    method: "GET",
    path: "/api/v1/relay",
    scope: "none",
    summary: "Which relay this is",
    request: z.strictObject({}),
    reply: z.object({
      product: z.literal("agent-relay"),
      version: z.string(),
      relayId: z.uuid(),
      generation: z.number().int().positive(),
      relayTime: z.iso.datetime().optional(),
    }),
  },
  enrolRunner: {
    method: "POST",
    path: "/api/v1/runners",
    scope: "runner:enrol",
    summary: "Enrol a runner for an agent; makes the agent when its name is free",
    request: z.strictObject({
      agentName,
      provider: z.string().min(1).max(40),
      machine: z.string().min(1).max(200).describe("Name of the machine, for people"),
      profile: z.string().max(64).optional(),
      secretHash: secretHash.describe("Of the runner token, which the runner made and keeps"),
      takeover: z.boolean().optional().describe("Revoke the runner that holds the name now"),
    }),
    reply: z.object({
      agentId: z.uuid(),
      agentName: z.string(),
      relayId: z.uuid(),
      tokenId: z.uuid(),
      profile: z.string(),
      agentScopes: scopeList,
    }),
  },
  mintAgentToken: {
    method: "POST",
    path: "/api/v1/agent-tokens",
    scope: "token:mint",
    summary:
      "Make the next runtime token of the agent this runner runs; asking again with the same hash is safe",
    request: z.strictObject({ secretHash }),
    reply: z.object({
      jti: z.uuid(),
      profile: z.string(),
      scopes: scopeList,
      expiresAt: z.iso.datetime(),
      relayTime: z.iso.datetime(),
    }),
  },
  openLane: {
    method: "POST",
    path: "/api/v1/lanes/:storeId/sessions",
    scope: "lane:deliver",
    summary: "Get the next session of an outbox; its first use fences older ones",
    request: z.strictObject({ storeId: z.uuid() }),
    reply: laneSchema,
  },
  deliverRecords: {
    method: "POST",
    path: "/api/v1/lanes/:storeId/records",
    scope: "lane:deliver",
    summary: "Deliver records of an outbox in order; one outcome per record",
    request: laneBatchSchema.extend({ storeId: z.uuid() }),
    reply: laneReplySchema,
  },
  findOutcomes: {
    method: "POST",
    path: "/api/v1/outcomes",
    scope: "lane:deliver",
    summary: "What became of the writes with these keys; null for a key that this relay does not remember",
    request: z.strictObject({
      keys: z.array(z.string().refine(isIdempotencyKey)).min(1).max(limits.batchRecordsMax),
      lane: z
        .strictObject({ storeId: z.uuid(), laneSession: z.number().int().positive() })
        .optional()
        .describe("Fences what older sessions of this lane have sent, so that the answer stays true"),
    }),
    reply: z.object({
      outcomes: z.array(laneOutcomeSchema.nullable()).describe("One for each key, in their order"),
      generation: z.number().int(),
    }),
  },
  sendMessage: {
    method: "POST",
    path: "/api/v1/messages",
    scope: "message:send",
    summary: "Send a message as oneself",
    request: z.strictObject({
      to: agentName,
      body: z.string().min(1).max(limits.messageBodyBytesMax),
      threadId: z.uuid().optional(),
      expectsReply: z.boolean().optional(),
      idempotencyKey: z.string().refine(isIdempotencyKey).optional(),
    }),
    reply: receiptSchema,
  },
  readInbox: {
    method: "GET",
    path: "/api/v1/inboxes/:agent",
    scope: "any",
    summary:
      "Messages of an inbox in order: one's own with message:read or inbox:read, any with inbox:read-any",
    request: z.strictObject({
      agent: agentName,
      afterSeq: z.coerce.number().int().min(0).optional(),
      unread: z.stringbool().optional().describe("Only what was not acknowledged yet"),
      limit: z.coerce.number().int().min(1).max(limits.inboxPageMax).optional(),
    }),
    reply: z.object({
      messages: z.array(messageSchema),
      more: z.boolean(),
      generation: z.number().int(),
      acknowledgedSeq: z.number().int(),
    }),
  },
  acknowledgeInbox: {
    method: "POST",
    path: "/api/v1/inboxes/:agent/acknowledgements",
    scope: "inbox:read",
    summary: "The agent has seen all messages up to a seq",
    request: z.strictObject({ agent: agentName, seq: z.number().int().min(0) }),
    reply: z.object({ acknowledgedSeq: z.number().int() }),
  },
  listAgents: {
    method: "GET",
    path: "/api/v1/agents",
    scope: "agent:read",
    summary: "All agents",
    request: z.strictObject({}),
    reply: z.object({ agents: z.array(agentSchema) }),
  },
  createToken: {
    method: "POST",
    path: "/api/v1/tokens",
    scope: "token:admin",
    summary: "Store the hash of a new token that the caller made",
    request: z.strictObject({
      kind: z.enum(["operator", "host"]),
      secretHash,
      note: z.string().max(200),
      ttlSeconds: z.number().int().min(60).optional(),
    }),
    reply: tokenSchema,
  },
  listTokens: {
    method: "GET",
    path: "/api/v1/tokens",
    scope: "token:admin",
    summary: "All tokens, without their secrets",
    request: z.strictObject({}),
    reply: z.object({ tokens: z.array(tokenSchema) }),
  },
  revokeToken: {
    method: "DELETE",
    path: "/api/v1/tokens/:id",
    scope: "token:admin",
    summary: "Revoke a token at once; a runner's agent tokens go with it",
    request: z.strictObject({ id: z.uuid() }),
    reply: tokenSchema,
  },
  getStatus: {
    method: "GET",
    path: "/api/v1/status",
    scope: "any",
    summary: "Counts that tell whether the relay works",
    request: z.strictObject({}),
    reply: z.object({
      version: z.string(),
      relayId: z.uuid(),
      generation: z.number().int(),
      startedAt: z.iso.datetime(),
      agents: z.number().int(),
      online: z.number().int(),
      messages: z.number().int(),
      unread: z.number().int(),
      obligationsOpen: z.number().int(),
    }),
  },
} as const satisfies Record<string, OperationRow>;

/** Name of an HTTP operation. */
export type OperationName = keyof typeof operationTable;
/** What a caller of an operation gives. */
export type OperationRequest<Name extends OperationName> = z.input<(typeof operationTable)[Name]["request"]>;
/** What the relay has after parsing. */
export type OperationInput<Name extends OperationName> = z.output<(typeof operationTable)[Name]["request"]>;
/** What an operation answers. */
export type OperationReply<Name extends OperationName> = z.infer<(typeof operationTable)[Name]["reply"]>;

/** Where a principal's feed is. Not a row of the table: it answers with a stream. */
export const feedPath = "/api/v1/feed";
/** Where the relay speaks MCP. */
export const mcpPath = "/api/mcp";
