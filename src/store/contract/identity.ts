/** Agents, tokens and runners in the relay's memory. The rules of all verbs are in store.ts. */
import type { AgentId, TokenId } from "../../wire/id.ts";
import type { PrincipalKind, Scope } from "../../wire/scope.ts";

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
};

/** A token as it is stored: never its secret. */
export type StoredToken = {
  id: TokenId;
  kind: PrincipalKind;
  /** The agent that a runner runs or that an agent token speaks for; the operator's own agent for operator tokens. */
  agentId: AgentId | undefined;
  agentName: string | undefined;
  /** The runner token that minted this agent token: revoked together. */
  parentId: TokenId | undefined;
  profile: string | undefined;
  scopes: Scope[];
  note: string;
  createdAt: number;
  expiresAt: number | undefined;
  revokedAt: number | undefined;
  lastUsedAt: number | undefined;
};

export type NewToken = {
  id: TokenId;
  kind: PrincipalKind;
  hash: string;
  agentId?: AgentId | undefined;
  parentId?: TokenId | undefined;
  profile?: string | undefined;
  scopes: Scope[];
  note: string;
  expiresAt?: number | undefined;
};

/** Ask to hold an agent name with a new runner token. */
export type Enrolment = {
  agentId: AgentId;
  name: string;
  provider: string;
  machine: string;
  profile: string;
  token: NewToken;
  /** Revoke the runner token that holds the name now. */
  takeover: boolean;
};
export type EnrolmentResult =
  | {
      status: "enrolled";
      agent: Agent;
      token: StoredToken /** Tokens revoked by a takeover. */;
      revoked: TokenId[];
    }
  | { status: "name_taken"; machine: string; since: number };

export interface IdentityVerbs {
  /** Makes the operator's agent and stores the first operator token, once; false when there was one already. */
  createOperator(agentId: AgentId, token: NewToken, now: number): Promise<boolean>;

  /**
   * Stores a token; the same hash again returns the stored row unchanged. A child of a revoked token is stored as
   * revoked, because minting and revoking may have crossed.
   */
  addToken(token: NewToken, now: number): Promise<StoredToken>;
  /** The token of a hash, whether valid or not. Sets `lastUsedAt` at most once a minute. */
  findToken(hash: string, now: number): Promise<StoredToken | undefined>;
  /** Every token, newest first, expired agent tokens left out. */
  listTokens(now: number): Promise<StoredToken[]>;
  /** Revokes a token and everything minted by it; the ids revoked now, or undefined when there is no such token. */
  revokeToken(id: TokenId, now: number): Promise<{ token: StoredToken; revoked: TokenId[] } | undefined>;

  /**
   * Makes the agent when the name is free; re-enrols it when its runner token was revoked or has expired, or
   * `takeover` is set; an equal token hash again is answered as before. The operator's name is never given away.
   */
  enrol(enrolment: Enrolment, now: number): Promise<EnrolmentResult>;
  agentByName(name: string): Promise<Agent | undefined>;
  agentById(id: AgentId): Promise<Agent | undefined>;
  /** All agents by name, the operator's too. */
  listAgents(): Promise<Agent[]>;
  /** Records that the agent's runner was connected at this time. */
  markSeen(id: AgentId, now: number): Promise<void>;
}
