/** Operations about who there is: agents, runners, tokens, profiles. */
import { z } from "zod";
import { limits } from "../../limits.ts";
import { presenceSchema } from "../presence.ts";
import { features, principalKinds, scopesOf } from "../scope.ts";
import { agentName, type OperationRow, scopeList, secretHash } from "./row.ts";

const agentScopeList = z.array(z.enum(scopesOf("agent"))).max(scopesOf("agent").length);
const profileName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/, "must be 1 to 64 of a-z, 0-9, '.', '_' and '-'");
const featureSwitches = z.strictObject(
  Object.fromEntries(features.map((feature) => [feature, z.boolean()])) as Record<
    (typeof features)[number],
    z.ZodBoolean
  >,
);
const count = (most: number) => z.number().int().min(1).max(most);
const profileLimits = z.strictObject({
  burst: count(1_000_000).describe("Writes at once"),
  perMinute: count(1_000_000).describe("Writes per minute after a burst"),
  fanOutMax: count(limits.fanOutMax).describe("Recipients of one message"),
  hopsMax: z.number().int().min(0).max(100).describe("Times a message may be forwarded"),
});
const profileSchema = z.object({
  name: z.string(),
  scopes: scopeList,
  features: featureSwitches,
  limits: profileLimits,
  builtIn: z.boolean().describe("It is always there"),
  agents: z.number().int().describe("Agents that have it"),
  changedAt: z.iso.datetime(),
});
const leaseSchema = z.object({
  tokenId: z.uuid().describe("Runner token that runs the agent"),
  epoch: z.number().int().describe("+1 whenever another runner takes the agent over"),
  since: z.iso.datetime(),
  expiresAt: z.iso.datetime().describe("Until then it holds without a further sign of life"),
});
const agentSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  provider: z.string(),
  machine: z.string(),
  profile: z.string(),
  online: z.boolean(),
  presence: presenceSchema.optional(),
  quarantined: z
    .object({ since: z.iso.datetime(), reason: z.string() })
    .optional()
    .describe("Its writes are stopped"),
  createdAt: z.iso.datetime(),
  lastSeenAt: z.iso.datetime().optional(),
  lease: leaseSchema.optional(),
});
const tokenSchema = z.object({
  id: z.uuid(),
  kind: z.enum(principalKinds),
  agent: z.string().optional(),
  profile: z.string().optional(),
  scopes: scopeList,
  grants: scopeList.optional().describe("What it may hand on to agents at most; without it everything"),
  displaced: z.boolean().optional().describe("Another runner runs the agent; this one may only deliver"),
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
      profile: profileName
        .optional()
        .describe("Without it an agent keeps its own; a new one gets the default"),
      secretHash: secretHash.describe("Of the runner token, which the runner made and keeps"),
      place: secretHash
        .optional()
        .describe("Names machine and home: the same place takes its own agent back without more"),
      takeover: z
        .boolean()
        .optional()
        .describe("Displace the runner that holds the name; a live one needs agent:admin"),
    }),
    reply: z.object({
      agentId: z.uuid(),
      agentName: z.string(),
      relayId: z.uuid(),
      tokenId: z.uuid(),
      profile: z.string(),
      agentScopes: scopeList,
      features: featureSwitches,
      leaseEpoch: z.number().int(),
      expiresAt: z.iso.datetime().optional().describe("End of the runner token unless it is renewed"),
      relayTime: z.iso.datetime(),
    }),
  },
  mintAgentToken: {
    method: "POST",
    path: "/api/v1/agent-tokens",
    scope: "token:mint",
    summary:
      "Make the next runtime token of the agent this runner runs; asking again with the same hash is safe",
    request: z.strictObject({
      secretHash,
      replaces: secretHash
        .optional()
        .describe("Of the runtime token held until now: one that was replaced by another before is a copy"),
    }),
    reply: z.object({
      jti: z.uuid(),
      profile: z.string(),
      scopes: scopeList,
      features: featureSwitches,
      expiresAt: z.iso.datetime(),
      relayTime: z.iso.datetime(),
    }),
  },
  renewToken: {
    method: "POST",
    path: "/api/v1/token-renewals",
    scope: "none",
    summary:
      "Swap the secret of a token for its successor; asking again is safe, another successor revokes everything",
    request: z.strictObject({
      secret: z.string().min(1).max(200).describe("Held until now; it is good for some minutes more"),
      successorHash: secretHash.describe("Of the secret held from now on, which its holder made and stored"),
    }),
    reply: z.object({
      tokenId: z.uuid(),
      expiresAt: z.iso.datetime().optional(),
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
  removeAgent: {
    method: "DELETE",
    path: "/api/v1/agents/:agent",
    scope: "agent:admin",
    summary:
      "Remove an agent: its name is free, its tokens are revoked, what it still has to deliver comes back",
    request: z.strictObject({ agent: agentName }),
    reply: agentSchema,
  },
  assignProfile: {
    method: "POST",
    path: "/api/v1/agents/:agent/profile",
    scope: "agent:admin",
    summary: "Give an agent another profile; it holds at once",
    request: z.strictObject({ agent: agentName, profile: profileName }),
    reply: agentSchema,
  },
  listProfiles: {
    method: "GET",
    path: "/api/v1/profiles",
    scope: "agent:read",
    summary: "All profiles",
    request: z.strictObject({}),
    reply: z.object({ profiles: z.array(profileSchema) }),
  },
  getProfile: {
    method: "GET",
    path: "/api/v1/profiles/:name",
    scope: "agent:read",
    summary: "One profile",
    request: z.strictObject({ name: profileName }),
    reply: profileSchema,
  },
  setProfile: {
    method: "POST",
    path: "/api/v1/profiles/:name",
    scope: "profile:admin",
    summary: "Make a profile or change what is given of it; it holds at once for every agent that has it",
    request: z.strictObject({
      name: profileName,
      scopes: agentScopeList.optional(),
      features: featureSwitches.partial().optional(),
      limits: profileLimits.partial().optional(),
    }),
    reply: profileSchema,
  },
  removeProfile: {
    method: "DELETE",
    path: "/api/v1/profiles/:name",
    scope: "profile:admin",
    summary: "Remove a profile that no agent has; the default one stays",
    request: z.strictObject({ name: profileName }),
    reply: profileSchema,
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
      grants: agentScopeList
        .optional()
        .describe("What a host may hand on to agents at most; without it what the default profile holds"),
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
    summary:
      "Revoke a token at once; what a host enrolled and a runner minted goes with it, what an operator made only by cascade",
    request: z.strictObject({
      id: z.uuid(),
      cascade: z
        .boolean()
        .optional()
        .describe(
          "Also the tokens that it made and enrolled, and what those made; the token that asks is spared",
        ),
    }),
    reply: tokenSchema.extend({
      revokedTokens: z.number().int().describe("How many tokens were valid until now and are not any more"),
    }),
  },
} as const satisfies Record<string, OperationRow>;
