/** Writes, outcomes, messages and inboxes in the relay's memory. The rules of all verbs are in store.ts. */
import type { AgentId, IdempotencyKey, MessageId, StoreId, ThreadId } from "../../wire/id.ts";
import type { LaneOutcome, LaneRecord } from "../../wire/lane.ts";
import type { Message, PastMessage } from "../../wire/message.ts";
import type { ReportedStage, Stage } from "../../wire/receipt.ts";
import type { Scope } from "../../wire/scope.ts";

/** One write of a principal: the same whether it came in a batch or by a live call. */
export type Write = LaneRecord & { key: IdempotencyKey; messageId: MessageId };

/** A session of a lane in use. Using it fences all older ones. */
export type LaneUse = { storeId: StoreId; laneSession: number };
/** A newer session is in use, or this one was never granted (then `newestSession` is less). Nothing was changed. */
export type Fenced = { status: "fenced"; newestSession: number };

/**
 * What a write did to an obligation. `other` is the debtor when it was opened, else the creditor; `nextAt` is when the
 * first step of an opened one comes.
 */
export type ObligationChange = {
  kind: "opened" | "discharged" | "declined";
  messageId: MessageId;
  otherId: AgentId;
  otherName: string;
  nextAt: number | undefined;
};

/** Writes to apply in order for one sender, each in a savepoint of one transaction. */
export type WriteBatch = {
  sender: AgentId;
  /** Scopes of the sender at this moment: a write whose tool needs another one is rejected. */
  scopes: readonly Scope[];
  /** Present for an outbox; refused as a whole when its session is fenced. */
  lane?: LaneUse;
  /** Another runner runs the sender now: what this one still delivers is marked late. */
  late?: boolean;
  writes: readonly Write[];
  /** Keys are remembered this long, ms; a record enqueued before that is rejected as `key_expired`. */
  keyWindowMs: number;
};
export type WriteBatchResult =
  | {
      status: "applied";
      outcomes: LaneOutcome[] /** Agents whose inbox grew, each once. */;
      woken: AgentId[];
      /** What the writes did to obligations, in their order; absent when nothing. */
      obligations?: ObligationChange[];
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
  /** Only messages that were not read yet. */
  unread: boolean;
  limit: number;
  /** Says of messages that were handed over before, and not read yet, that they are `redelivered`. */
  marksRedelivered?: boolean;
};
/** What is unread, asked by the agent itself. */
export type InboxCheck = { agentId: AgentId; limit: number };
export type InboxPage = { messages: Message[]; more: boolean; newestSeq: number; acknowledgedSeq: number };

/** Messages of one agent that got as far as this. */
export type StageReport = { agentId: AgentId; stage: ReportedStage; messageIds: readonly MessageId[] };
/** `sender` when only the sender of the message may know; undefined for people. */
export type StatusQuery = { id: MessageId; sender: AgentId | undefined };
/** How far a message has got: for each recipient the time of every step it took, ms since 1970. */
export type MessageStatus = {
  id: MessageId;
  from: string;
  to: string;
  threadId: string;
  createdAt: number;
  recipients: RecipientStatus[];
};
export type RecipientStatus = { name: string; times: Partial<Record<Stage, number>> };

/** A look back. `asker` sees what it sent and what it got; undefined for people, who see everything. */
export type PastQuery = {
  asker: AgentId | undefined;
  /** Only messages older than this one. */
  before: MessageId | undefined;
  limit: number;
};
/** Messages of a look back, and whether there are older ones. */
export type PastPage = { messages: PastMessage[]; more: boolean };
/** Words that must all be in the text; none for all that the asker got, or for people all there is. */
export type SearchQuery = PastQuery & { words: readonly string[] };

/** A channel with how many have joined it. */
export type Channel = { name: string; members: number; createdAt: number };
export type ChannelMember = { id: AgentId; name: string; joinedAt: number };
export type JoinResult =
  | { status: "joined"; members: string[] /** It was not there before. */; made: boolean }
  | { status: "full"; what: "members" | "channels" };

/** Which messages may be forgotten, from where on: those committed before this time. */
export type PruneStep = { before: number; after: number };
/** How many went, and where to go on; undefined at the end. */
export type PrunedStep = { gone: number; next: number | undefined };

export interface MessageVerbs {
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
  /**
   * What is unread in one's own inbox, in seq order. `redelivered` on what an earlier check gave, or what the agent's
   * program took before.
   */
  checkInbox(check: InboxCheck): Promise<InboxPage>;
  /** Moves the acknowledged seq forward, never back and never past the newest; the value that holds now. */
  acknowledgeInbox(agentId: AgentId, seq: number, now: number): Promise<number>;
  /** Notes how far messages have got; how many of them moved. Never a step back, never another agent's message. */
  reportReceipts(report: StageReport, now: number): Promise<number>;
  /** How far a message has got; undefined when there is none, or it is not the sender's. */
  messageStatus(query: StatusQuery): Promise<MessageStatus | undefined>;
  /** The newest messages of a thread, oldest of them first. */
  readThread(threadId: ThreadId, query: PastQuery): Promise<PastPage>;
  /** Messages with all the words, newest first. Everything committed before the call is searched. */
  searchMessages(query: SearchQuery): Promise<PastPage>;
  /** Takes the next messages into the search, a bounded number; how many it took. */
  indexMessages(): Promise<number>;
  /** Forgets a bounded number of old messages that everybody has read and that nobody owes a reply for. */
  pruneMessages(step: PruneStep): Promise<PrunedStep>;

  /** Makes the channel when it is new, and joins it; once joined, always joined. */
  joinChannel(name: string, agentId: AgentId, now: number): Promise<JoinResult>;
  /** False when the agent was not in it. The last to leave ends the channel. */
  leaveChannel(name: string, agentId: AgentId): Promise<boolean>;
  /** All channels by name. */
  listChannels(): Promise<Channel[]>;
  /** Names of the channels that an agent is in. */
  channelsOf(agentId: AgentId): Promise<string[]>;
  /** Who is in a channel, by name; undefined when there is none. */
  channelMembers(name: string): Promise<ChannelMember[] | undefined>;

  /** A message by id, in the inbox of this agent or sent by it (then with the seq in the recipient's inbox). */
  findMessage(agentId: AgentId, id: MessageId): Promise<(Message & { threadId: ThreadId }) | undefined>;
}
