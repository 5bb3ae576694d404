/**
 * The contract of the relay's memory. Each verb is one transaction, durable before its promise resolves, and safe
 * to call concurrently. Time is passed in as `now` (ms since 1970). What a caller must handle comes back as a
 * tagged value; a thrown error means the store itself failed and nothing was changed.
 */
import type { AgentId, IdempotencyKey, MessageId, RelayId, StoreId, ThreadId, TokenId } from "../wire/id.ts";
import type { LaneOutcome, LaneRecord } from "../wire/lane.ts";
import type { Message } from "../wire/message.ts";
import type { PrincipalKind, Scope } from "../wire/scope.ts";

/** What stays the same for the life of the database, and the number that a restore changes. */
export type StoreIdentity = { relayId: RelayId; generation: number; schemaVersion: number };

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

/** One write of a principal: the same whether it came in a batch or by a live call. */
export type Write = LaneRecord & { key: IdempotencyKey; messageId: MessageId };

/** A session of a lane in use. Using it fences all older ones. */
export type LaneUse = { storeId: StoreId; laneSession: number };
/** A newer session is in use, or this one was never granted (then `newestSession` is less). Nothing was changed. */
export type Fenced = { status: "fenced"; newestSession: number };

/** Writes to apply in order for one sender, each in a savepoint of one transaction. */
export type WriteBatch = {
  sender: AgentId;
  /** Scopes of the sender at this moment: a write whose tool needs another one is rejected. */
  scopes: readonly Scope[];
  /** Present for an outbox; refused as a whole when its session is fenced. */
  lane?: LaneUse;
  writes: readonly Write[];
  /** Keys are remembered this long, ms; a record enqueued before that is rejected as `key_expired`. */
  keyWindowMs: number;
};
export type WriteBatchResult =
  | {
      status: "applied";
      outcomes: LaneOutcome[] /** Agents whose inbox grew, each once. */;
      woken: AgentId[];
    }
  | Fenced
  | { status: "sender_removed" };

/** What became of the writes with these keys. With a lane nothing that older sessions sent can take effect later. */
export type OutcomeQuery = { sender: AgentId; keys: readonly IdempotencyKey[]; lane?: LaneUse };
export type OutcomeQueryResult =
  | { status: "found"; outcomes: (LaneOutcome | undefined)[] /** In the order of the keys. */ }
  | Fenced;

export type InboxQuery = {
  agentId: AgentId;
  /** Only messages after this seq. */
  afterSeq: number;
  /** Only messages after the acknowledged seq. */
  unread: boolean;
  limit: number;
};
export type InboxPage = { messages: Message[]; more: boolean; newestSeq: number; acknowledgedSeq: number };

export type StoreCounts = { agents: number; messages: number; unread: number; obligationsOpen: number };

export interface RelayStore {
  readonly identity: StoreIdentity;

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

  /**
   * Grants the next session of a lane; its first use fences all earlier ones. Undefined when another agent owns the
   * lane.
   */
  openLane(storeId: StoreId, agentId: AgentId, now: number): Promise<number | undefined>;
  /**
   * Applies writes in order. Key, outcome, message, inbox row and obligation are one transaction. A key seen before
   * with equal arguments gives its stored outcome, `replayed`; with other arguments `key_reused`. Rejections are
   * remembered too, but not `key_expired`. A write that the store could not hold is `deferred` with all after it.
   */
  applyWrites(batch: WriteBatch, now: number): Promise<WriteBatchResult>;

  /** What is remembered under these keys of one sender; undefined for a key that is not. */
  findOutcomes(query: OutcomeQuery): Promise<OutcomeQueryResult>;
  /** A page of an inbox in seq order; ends early at `limits.inboxPageBytesMax`, never empty while there is more. */
  readInbox(query: InboxQuery): Promise<InboxPage>;
  /** Moves the acknowledged seq forward, never back and never past the newest; the value that holds now. */
  acknowledgeInbox(agentId: AgentId, seq: number, now: number): Promise<number>;
  /** A message by id, in the inbox of this agent or sent by it (then with the seq in the recipient's inbox). */
  findMessage(agentId: AgentId, id: MessageId): Promise<(Message & { threadId: ThreadId }) | undefined>;

  counts(): Promise<StoreCounts>;
  /** Forgets outcomes older than the window and expired agent tokens, in bounded steps; how many rows went. */
  prune(now: number, keyWindowMs: number): Promise<number>;
  /** Ends after the running transactions; later calls throw. */
  close(): Promise<void>;
}
