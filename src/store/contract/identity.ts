/** Agents, their leases, tokens and profiles in the relay's memory. The rules of all verbs are in store.ts. */

import type { AgentId, TokenId } from "../../wire/id.ts";
import type { PrincipalKind, Profile, Scope } from "../../wire/scope.ts";
import type { EndedObligations } from "./obligations.ts";

/** The right of one runner to run an agent: to read its feed and to make its live calls. */
export type Lease = {
  /** Runner token that has it. */
  holder: TokenId;
  /** +1 whenever it changes hands. */
  epoch: number;
  since: number;
  /** Until then it holds without a further sign of life. */
  until: number;
};

/** A participant. The operator is one too, under the reserved name `operator`. */
export type Agent = {
  id: AgentId;
  name: string;
  kind: "agent" | "operator";
  provider: string;
  machine: string;
  profile: string;
  createdAt: number;
  lastSeenAt: number | undefined;
  lease: Lease | undefined;
};

/** A token as it is stored: never its secret. */
export type StoredToken = {
  id: TokenId;
  kind: PrincipalKind;
  /** The agent that a runner runs or that an agent token speaks for; the operator's own agent for operator tokens. */
  agentId: AgentId | undefined;
  agentName: string | undefined;
  /** The runner token that minted this agent token, or the host token that enrolled this runner: revoked together. */
  parentId: TokenId | undefined;
  /** The agent's profile at this moment, for runners and agents. */
  profile: string | undefined;
  scopes: Scope[];
  /** What it may hand on to agents at most; undefined = everything that an agent may hold. */
  grants: Scope[] | undefined;
  note: string;
  createdAt: number;
  expiresAt: number | undefined;
  revokedAt: number | undefined;
  lastUsedAt: number | undefined;
  /** A runner that holds the lease of its agent. */
  holds: boolean;
  /** Scopes of the agent's profile at this moment, for runners and agents. */
  profileScopes: Scope[];
  /** What that profile switches on. */
  features: Profile["features"];
  /** The agent was removed. */
  agentRemoved: boolean;
};

/** A token as a presented secret finds it. */
export type FoundToken = StoredToken & {
  /** The secret was swapped for another; it is good until then. */
  usedUntil: number | undefined;
};

export type NewToken = {
  id: TokenId;
  kind: PrincipalKind;
  hash: string;
  agentId?: AgentId | undefined;
  parentId?: TokenId | undefined;
  /** The operator token that made it or enrolled it: revoked together only when that is asked for. */
  makerId?: TokenId | undefined;
  profile?: string | undefined;
  scopes: Scope[];
  grants?: Scope[] | undefined;
  note: string;
  expiresAt?: number | undefined;
};

/** Ask to hold an agent name with a new runner token. */
export type Enrolment = {
  agentId: AgentId;
  name: string;
  provider: string;
  machine: string;
  /** Undefined keeps the agent's own; a new agent gets the default one. */
  profile: string | undefined;
  token: NewToken;
  /** Hash that names machine and home: the same place takes its own agent back without more. */
  place?: string | undefined;
  /** Displace the runner that holds the name now. */
  takeover: boolean;
  /** It may displace a runner whose lease is live. */
  mayTakeOver: boolean;
  /** Displaced runners may deliver what they hold until then. */
  displacedUntil: number;
  leaseUntil: number;
};
/** The runner that lost the lease by an enrolment. */
export type Displaced = { holder: TokenId; machine: string; live: boolean; silent: boolean };
export type EnrolmentResult =
  | {
      status: "enrolled";
      agent: Agent;
      token: StoredToken;
      /** Agent tokens that ended with the lease of their runner. */
      revoked: TokenId[];
      displaced: Displaced | undefined;
    }
  /** `forbidden`: a takeover was asked for, by one who may not displace a live runner. */
  | { status: "name_taken" | "takeover_forbidden"; machine: string; since: number; live: boolean }
  | { status: "profile_unknown" };

/** Swap the secret of a token for its successor. All secrets by their hashes. */
export type Renewal = {
  secret: string;
  successor: string;
  /** End of the token from now on, as far as its parent lasts. */
  expiresAt: number | undefined;
  /** The swapped secret is good until then. */
  usedUntil: number;
};
export type RenewalResult =
  /** `swapped` is false when it had been done before. */
  | { status: "renewed"; token: StoredToken; swapped: boolean }
  /** The secret had another successor: somebody has a copy. Everything of the token was revoked. */
  | { status: "reused"; token: StoredToken; revoked: TokenId[] }
  | { status: "refused"; token: StoredToken | undefined };

/** The next runtime token of an agent. */
export type Minting = {
  /** With its runner as parent. */
  token: NewToken & { parentId: TokenId };
  /** Hash of the runtime token that the runner held until now. */
  replaces: string | undefined;
  /** Earlier runtime tokens of the runner are good until then. */
  usedUntil: number;
};
export type MintingResult =
  | { status: "minted"; token: StoredToken; added: boolean; superseded: TokenId[] }
  | { status: "reused"; revoked: TokenId[] };

/** A profile with what the relay knows besides. */
export type StoredProfile = Profile & {
  changedAt: number;
  /** Agents that have it. */
  agents: number;
};

export interface IdentityVerbs {
  /** Makes the operator's agent and stores the first operator token, once; false when there was one already. */
  createOperator(agentId: AgentId, token: NewToken, now: number): Promise<boolean>;

  /**
   * Stores a token; the same hash again returns the stored row unchanged. A child of a revoked token is stored as
   * revoked, because minting and revoking may have crossed.
   */
  addToken(token: NewToken, now: number): Promise<StoredToken>;
  /**
   * Stores a runtime token and lets the runner's earlier ones end soon; the same hash again returns the stored row.
   * When the replaced one had another successor already, the runner's whole family is revoked instead.
   */
  mintToken(minting: Minting, now: number): Promise<MintingResult>;
  /** Swaps a secret for its successor. Asked again it answers as before; another successor revokes the family. */
  renewToken(renewal: Renewal, now: number): Promise<RenewalResult>;
  /** The token of a hash, whether valid or not. Sets `lastUsedAt` at most once a minute. */
  findToken(hash: string, now: number): Promise<FoundToken | undefined>;
  /** Every token, newest first, expired agent tokens left out. */
  listTokens(now: number): Promise<StoredToken[]>;
  /**
   * Revokes a token and everything minted by it; the ids revoked now, or undefined when there is no such token.
   * @param cascade also everything it made and enrolled as an operator, and what that made, but for one token and its own
   */
  revokeToken(
    id: TokenId,
    now: number,
    cascade?: { sparing: TokenId },
  ): Promise<{ token: StoredToken; revoked: TokenId[] } | undefined>;

  /**
   * Makes the agent when the name is free; gives its lease to another runner where `decideLease` says so; an equal
   * token hash again is answered as before. The operator's name is never given away.
   */
  enrol(enrolment: Enrolment, now: number): Promise<EnrolmentResult>;
  /**
   * Frees the name, revokes every token of the agent, takes it out of its channels and ends what it owes and is owed;
   * undefined when there is no agent of that name.
   */
  removeAgent(
    name: string,
    now: number,
  ): Promise<{ agent: Agent; revoked: TokenId[]; ended: EndedObligations } | undefined>;
  agentByName(name: string): Promise<Agent | undefined>;
  /** Also one that was removed. */
  agentById(id: AgentId): Promise<Agent | undefined>;
  /** All agents by name, the operator's too. */
  listAgents(): Promise<Agent[]>;
  /** Records that the agent's runner was connected at this time, and renews its lease. */
  markSeen(id: AgentId, now: number): Promise<void>;

  /** All profiles by name. */
  listProfiles(): Promise<StoredProfile[]>;
  /** Makes or replaces a profile; the agents that have it. `changed` is false when it was just so before. */
  setProfile(
    profile: Profile,
    now: number,
  ): Promise<{ profile: StoredProfile; changed: boolean; agents: AgentId[] }>;
  /** Removes a profile that no agent has; the default one stays. */
  removeProfile(name: string): Promise<"removed" | "in_use" | "built_in" | "unknown">;
  /** Gives an agent another profile. */
  assignProfile(
    agent: string,
    profile: string,
  ): Promise<{ status: "assigned"; agent: Agent } | { status: "agent_unknown" | "profile_unknown" }>;
}
