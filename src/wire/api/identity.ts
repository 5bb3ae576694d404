/** Operations about who there is: agents, runners, tokens, profiles. */
import { z } from "zod";
import { principalKinds } from "../scope.ts";
import { agentName, type OperationRow, scopeList, secretHash } from "./row.ts";

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

export const identityOperations = {
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
} as const satisfies Record<string, OperationRow>;
