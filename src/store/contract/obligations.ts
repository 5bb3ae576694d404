/** Obligations, presence, quarantine and insights in the relay's memory. The rules of all verbs are in store.ts. */
import type { AgentId, MessageId, ThreadId } from "../../wire/id.ts";
import type { Insight, InsightKind } from "../../wire/insight.ts";
import type { ObligationStep } from "../../wire/obligation-steps.ts";
import type { ReportedState } from "../../wire/presence.ts";
import type { WriteBatch, WriteBatchResult } from "./messages.ts";

/** Both sides of a reply that is owed. */
export type ObligationParties = {
  messageId: MessageId;
  debtorId: AgentId;
  debtorName: string;
  creditorId: AgentId;
  creditorName: string;
};

/** A reply that is owed, as people and both sides see it. */
export type OpenObligation = ObligationParties & {
  threadId: ThreadId;
  /** The first characters of the message, as its sender wrote them. */
  excerpt: string;
  openedAt: number;
  /** When the reply was asked for; undefined when no time was given. */
  dueAt: number | undefined;
  step: ObligationStep;
};

/** What one agent owes and is owed, oldest first, at most as many of each as were asked for. */
export type Outstanding = { owed: OpenObligation[]; awaited: OpenObligation[] };

/** Replies that ended because their debtor was removed: how many, and who waited for them. */
export type EndedObligations = { count: number; creditors: readonly AgentId[] };

/** An obligation that came to its next step now. */
export type ObligationMove = ObligationParties & { step: ObligationStep };

/** not_owed: there is no such obligation. closed: it ended before. else what became of the write. */
export type DeclineResult =
  | { status: "not_owed" }
  | { status: "closed"; declined: boolean; closedAt: number }
  | { status: "written"; result: WriteBatchResult };

/** An agent whose writes are stopped. */
export type Quarantine = { agentId: AgentId; name: string; since: number; reason: string };

/** What a runner last said its agent does; ms since 1970. */
export type StoredPresence = { agentId: AgentId; state: ReportedState; since: number; heardAt: number };

/** An insight with the name of its agent. */
export type StoredInsight = Insight & { number: number; agentName: string; receivedAt: number };
export type InsightQuery = {
  kind?: InsightKind | undefined;
  agentId?: AgentId | undefined;
  /** Only ones before this number. */
  before?: number | undefined;
  limit: number;
};

export interface ObligationVerbs {
  /**
   * Takes obligations whose time has come to their step of now, at most `limits.obligationStepsMax`; and when the
   * next one's time comes, which is not after `now` while there are more.
   */
  stepObligations(now: number): Promise<{ moves: ObligationMove[]; nextAt: number | undefined }>;
  /** What this agent owes and is owed. */
  outstanding(agentId: AgentId, limit: number): Promise<Outstanding>;
  /**
   * Replies that will not come because their debtor was removed, for the one who waited, a bounded number: each is given
   * once, and again within `limits.endedShownMs` of that.
   */
  tellEnded(creditorId: AgentId, now: number): Promise<OpenObligation[]>;
  /** Everything that is owed by anybody, oldest first. */
  allOutstanding(limit: number): Promise<OpenObligation[]>;
  /**
   * Applies a batch of one reply to `messageId`, and marks the obligation that it closes as declined. Nothing is
   * applied when its sender does not owe that reply. The same reply again gives its outcome again.
   */
  declineObligation(messageId: MessageId, batch: WriteBatch, now: number): Promise<DeclineResult>;

  /** Stops the writes of an agent; false when they were stopped already, then nothing is changed. */
  quarantine(agentId: AgentId, reason: string, now: number): Promise<boolean>;
  /** Lets an agent write again; false when it was not quarantined. */
  release(agentId: AgentId): Promise<boolean>;
  /** All quarantined agents by time. */
  quarantines(): Promise<Quarantine[]>;

  /** Notes what an agent does; true when that is another state than before. */
  reportPresence(agentId: AgentId, state: ReportedState, now: number): Promise<boolean>;
  /** What was last reported of every agent. */
  presences(): Promise<StoredPresence[]>;

  /**
   * Stores an insight of an agent; the same id again changes nothing. `disabled` when its kind is switched off, then
   * nothing is stored. The oldest are forgotten beyond `limits.insightsMax`.
   */
  addInsight(agentId: AgentId, insight: Insight, now: number): Promise<"stored" | "known" | "disabled">;
  /** Insights, newest first. */
  listInsights(query: InsightQuery): Promise<StoredInsight[]>;
  /** Kinds of insights that are switched off. */
  disabledInsights(): Promise<InsightKind[]>;
  /** Switches a kind of insights; true when that is a change. */
  setInsightKind(kind: InsightKind, enabled: boolean, now: number): Promise<boolean>;
}
