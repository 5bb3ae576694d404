/** What runners report for people to look at, and which kinds of it are wanted. */
import { limits } from "../../limits.ts";
import type { OperationReply } from "../../wire/api.ts";
import { RelayError } from "../../wire/error.ts";
import { type InsightKind, insightKinds, insightTable } from "../../wire/insight.ts";
import { requireAgent } from "../access.ts";
import { timeText } from "../relay.ts";
import { known, type Operation } from "./operation.ts";

export const reportInsight: Operation<"reportInsight"> = async (relay, { id, kind, at, facts }, by) => {
  const runner = requireAgent(known(by), "Report an insight");
  const insight = { id, kind, at: Date.parse(at), facts };
  const result = await relay.store.addInsight(runner.agentId, insight, relay.clock.now());
  if (result === "disabled") {
    throw new RelayError("feature_disabled", `Report an insight: ${kind} is switched off at this relay`, {
      data: { feature: kind },
    });
  }
  return { known: result === "known" };
};

export const listInsights: Operation<"listInsights"> = async ({ store }, input) => {
  const limit = input.limit ?? limits.insightsPageMax;
  const agent = input.agent === undefined ? undefined : await store.agentByName(input.agent);
  if (input.agent !== undefined && agent === undefined) {
    throw new RelayError("not_found", `List insights of '${input.agent}': there is no agent of that name`);
  }
  const { kind, before } = input;
  const found = await store.listInsights({ kind, before, agentId: agent?.id, limit: limit + 1 });
  const insights = found.slice(0, limit).map(({ agentName, at, receivedAt, ...rest }) => ({
    ...rest,
    agent: agentName,
    at: timeText(at),
    receivedAt: timeText(receivedAt),
  }));
  return { insights, more: found.length > limit };
};

export const listInsightKinds: Operation<"listInsightKinds"> = async ({ store }) => {
  const disabled = await store.disabledInsights();
  return { kinds: insightKinds.map((kind) => kindView(kind, !disabled.includes(kind))) };
};

export const setInsightKind: Operation<"setInsightKind"> = async (relay, { kind, enabled }, by) => {
  const changed = await relay.store.setInsightKind(kind, enabled, relay.clock.now());
  if (changed) {
    const facts = { enabled };
    await relay.audit({ kind: "setting_changed", by: known(by), subject: `insight:${kind}`, facts });
  }
  return kindView(kind, enabled);
};

function kindView(kind: InsightKind, enabled: boolean): OperationReply<"setInsightKind"> {
  return { kind, about: insightTable[kind], enabled };
}
