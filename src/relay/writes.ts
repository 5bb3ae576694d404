/** One write of a principal by a live call: the same path into the store as a delivered record, without a lane. */
import { limits } from "../limits.ts";
import type { WriteBatch, WriteBatchResult } from "../store/store.ts";
import { RelayError } from "../wire/error.ts";
import {
  type AgentId,
  type IdempotencyKey,
  type MessageId,
  messageIdOf,
  mintedKey,
  uuidV7,
} from "../wire/id.ts";
import type { LaneOutcome } from "../wire/lane.ts";
import { type NeutralResult, type Receipt, receipt, receiptResult, receiptSchema } from "../wire/receipt.ts";
import type { AgentPrincipal } from "./access.ts";
import { noteBraked } from "./brakes.ts";
import { obligationsChanged } from "./obligations.ts";
import { type Relay, timeText } from "./relay.ts";

/** A write as a live call gives it. */
export type LiveWrite = {
  tool: string;
  arguments: Record<string, unknown>;
  /** The caller's own key; a fresh one is minted without it. */
  key: IdempotencyKey | undefined;
  /** W3C trace context of the call. */
  trace?: string | undefined;
  /** Applies the batch in another way than all writes are. */
  through?: (batch: WriteBatch, now: number) => Promise<WriteBatchResult>;
};

/** What became of a live write. */
export type LiveOutcome = { outcome: LaneOutcome; receipt: Receipt; result: NeutralResult };

/**
 * Applies one write and wakes whoever got something.
 * @throws RelayError agent_removed
 */
export async function applyLive(relay: Relay, by: AgentPrincipal, write: LiveWrite): Promise<LiveOutcome> {
  const now = relay.clock.now();
  const named = identityOf(relay, by.agentId, write);
  const batch = {
    sender: by.agentId,
    scopes: by.scopes,
    writes: [
      { ...named, tool: write.tool, arguments: write.arguments, enqueuedAt: timeText(now), ...traced(write) },
    ],
    keyWindowMs: limits.outcomeRetentionMs,
  };
  const apply = write.through ?? relay.store.applyWrites;
  const applied = await apply(batch, now);
  if (applied.status !== "applied") {
    throw new RelayError("agent_removed", `${write.tool}: the agent '${by.agentName}' was removed`);
  }
  relay.hub.wake(applied.woken);
  noteBraked(relay, by, applied.outcomes);
  await obligationsChanged(relay, by, applied.obligations ?? []);
  const [outcome] = applied.outcomes;
  if (outcome === undefined) throw new Error("Apply one write: the store gave no outcome, one was wanted");
  return answered(outcome, { ...named, tool: write.tool });
}

function traced({ trace }: LiveWrite): { trace?: string } {
  return trace === undefined ? {} : { trace };
}

function identityOf(
  relay: Relay,
  agentId: AgentId,
  write: LiveWrite,
): { key: IdempotencyKey; messageId: MessageId } {
  const key = write.key ?? mintedKey(write.tool, uuidV7(relay.clock.now(), relay.random.bytes(10)));
  return { key, messageId: messageIdOf(agentId, key, write.key === undefined) };
}

function answered(
  outcome: LaneOutcome,
  named: { key: IdempotencyKey; messageId: MessageId; tool: string },
): LiveOutcome {
  if (outcome.status === "committed" && !outcome.replayed) {
    return {
      outcome,
      receipt: receiptSchema.parse(outcome.result.structuredContent),
      result: outcome.result,
    };
  }
  const facts =
    outcome.status === "committed"
      ? { ...receiptSchema.parse(outcome.result.structuredContent), replayed: true }
      : receipt({
          ...named,
          delivery: outcome.status === "rejected" ? "rejected" : "refused",
          reason: `${outcome.code}: ${outcome.detail}`,
        });
  return { outcome, receipt: facts, result: receiptResult(facts) };
}
