/** How outboxes deliver: lane sessions and batches of records. */
import { limits } from "../../limits.ts";
import { RelayError } from "../../wire/error.ts";
import { asId, type IdempotencyKey, type StoreId } from "../../wire/id.ts";
import type { LaneOutcome, LaneRecord } from "../../wire/lane.ts";
import { traceIdOf } from "../../wire/trace.ts";
import { requireAgent } from "../access.ts";
import { noteBraked } from "../brakes.ts";
import { obligationsChanged } from "../obligations.ts";
import { type Relay, timeText } from "../relay.ts";
import { known, type Operation } from "./operation.ts";

export const openLane: Operation<"openLane"> = async ({ store, clock }, { storeId }, by) => {
  const runner = requireAgent(known(by), "Open a lane");
  const now = clock.now();
  const laneSession = await store.openLane(asId<StoreId>(storeId), runner.agentId, now);
  if (laneSession === undefined) {
    throw new RelayError("forbidden", `Open lane ${storeId}: the outbox belongs to another agent`);
  }
  return {
    laneSession,
    relayId: store.identity.relayId,
    generation: store.identity.generation,
    relayTime: timeText(now),
    keyWindowMs: limits.outcomeRetentionMs,
  };
};

export const findOutcomes: Operation<"findOutcomes"> = async ({ store }, { keys, lane }, by) => {
  const runner = requireAgent(known(by), "Ask about keys");
  const found = await store.findOutcomes({
    sender: runner.agentId,
    keys: keys.map((key) => asId<IdempotencyKey>(key)),
    ...(lane === undefined ? {} : { lane: { ...lane, storeId: asId(lane.storeId) } }),
  });
  if (found.status === "fenced") throw fenced("Ask about keys of", { ...found, storeId: "", ...lane });
  return {
    outcomes: found.outcomes.map((outcome) => outcome ?? null),
    generation: store.identity.generation,
  };
};

export const deliverRecords: Operation<"deliverRecords"> = async (relay, input, by) => {
  const { store, clock, hub } = relay;
  const runner = requireAgent(known(by), "Deliver records");
  const { storeId, laneSession } = input;
  const result = await store.applyWrites(
    {
      sender: runner.agentId,
      // A runner cannot send by itself: what the agent's profile allows at this moment counts.
      scopes: runner.agentScopes,
      lane: { storeId: asId(storeId), laneSession },
      ...(runner.displaced ? { late: true } : {}),
      writes: input.records.map((record) => ({
        ...record,
        key: asId(record.key),
        messageId: asId(record.messageId),
      })),
      keyWindowMs: limits.outcomeRetentionMs,
    },
    clock.now(),
  );
  switch (result.status) {
    case "applied":
      hub.wake(result.woken);
      noteRecords(relay, input.records, result.outcomes);
      noteBraked(relay, runner, result.outcomes);
      await obligationsChanged(relay, runner, result.obligations ?? []);
      return { outcomes: result.outcomes, generation: store.identity.generation };
    case "fenced":
      throw fenced("Deliver to", { ...result, ...input });
    case "sender_removed":
      throw new RelayError(
        "agent_removed",
        `Deliver records of '${runner.agentName}': the agent was removed`,
      );
  }
};

/** What became of each record: a figure, and a line with its trace for whoever looks for it. */
function noteRecords(
  { metrics, log }: Relay,
  records: readonly LaneRecord[],
  outcomes: readonly LaneOutcome[],
): void {
  const tally = { committed: 0, rejected: 0, deferred: 0 };
  for (const [at, { status, key }] of outcomes.entries()) {
    tally[status] += 1;
    log.debug("Record", () => {
      const { trace, messageId, tool } = records[at] ?? {};
      return { trace: traceIdOf(trace), key, messageId, tool, outcome: status };
    });
  }
  for (const [outcome, count] of Object.entries(tally)) {
    if (count > 0) metrics.count("agent_relay_records_total", { outcome }, count);
  }
}

function fenced(
  action: string,
  {
    storeId,
    laneSession = 0,
    newestSession,
  }: { storeId: string; laneSession?: number; newestSession: number },
): RelayError {
  return new RelayError(
    "lane_fenced",
    `${action} lane ${storeId}: session ${laneSession} is fenced, the newest is ${newestSession}`,
    { data: { newestSession } },
  );
}
