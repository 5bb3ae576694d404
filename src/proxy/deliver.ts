/**
 * Delivers an outbox to a foreign upstream: one `tools/call` per record, with its key where the upstream wants it.
 * There are no lane sessions; the upstream's own dedupe by key is what makes a repeat harmless.
 */
import type { Clock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import type { Limits } from "../limits.ts";
import { isObject, type JsonObject, requestText } from "../wire/jsonrpc.ts";
import type { LaneOutcome, LaneRecord } from "../wire/lane.ts";
import type { NeutralResult } from "../wire/receipt.ts";
import { type Deliverer, DeliveryError } from "../wire/write.ts";
import { asked, controlSession, createControl, envelope, modernHeaders, plainHeaders } from "./control.ts";
import { finalMessage } from "./final.ts";
import { type Context, refusal } from "./narrow.ts";
import type { UpstreamOptions } from "./options.ts";
import type { KeyPlace, Policy } from "./policy.ts";
import { createUpstream, type Upstream } from "./upstream.ts";
import type { HeaderList, UpstreamAnswer } from "./upstream-call.ts";

export type UpstreamDelivererOptions = {
  readonly upstream: UpstreamOptions;
  readonly policy: Policy;
  /** The agent's surroundings now: what is hidden by then is not sent, however long it has waited. */
  context(): Context;
  readonly limits: Limits;
  readonly clock: Clock;
};

const encoder = new TextEncoder();
const callId = '"agent-relay-deliver"';
const serverInfo = { name: "agent-relay", version: "1" };

/** The receiver of an outbox whose records go to a foreign upstream. */
export function upstreamDeliverer(options: UpstreamDelivererOptions): Deliverer {
  const { clock, limits } = options;
  const parts = { ...options, log: silentLog, serverInfo };
  const upstream = createUpstream(parts);
  const control = createControl(parts, upstream);

  async function deliverOne(record: LaneRecord, signal: AbortSignal): Promise<LaneOutcome> {
    const why = replayRefusal(record.tool, options);
    if (why !== undefined) return { status: "rejected", key: record.key, code: "forbidden", detail: why };
    if (upstream.eras.modern === undefined) {
      const found = await control.discover();
      if (found.kind === "failed") throw new DeliveryError("unreachable", "no", found.cause);
    }
    const place = options.policy.tools.get(record.tool)?.keyPlace;
    const modern = upstream.eras.modern === true;
    const params = paramsOf(record, place, modern ? envelope(parts) : {});
    const key: HeaderList = place?.in === "header" ? [["Idempotency-Key", record.key]] : [];
    const answer = await upstream.send({
      headers: [...(modern ? modernHeaders("tools/call", params) : plainHeaders), ...key],
      body: encoder.encode(requestText(callId, "tools/call", params)),
      session: modern ? undefined : controlSession,
      signal,
      deadlineMs: limits.deliveryAttemptMs,
      retryMs: 0,
      repeatable: false,
    });
    throwIfUndelivered(answer);
    return outcomeOf(record, answer, await finalMessage(answer, callId, limits.sseEventBytesMax));
  }

  return {
    async open() {
      return {
        laneSession: 1,
        keyWindowMs: limits.outcomeRetentionMs,
        generation: 1,
        relayTimeMs: clock.now(),
      };
    },
    async deliver(records, _laneSession, signal) {
      const outcomes: LaneOutcome[] = [];
      for (const record of records) {
        try {
          outcomes.push(await deliverOne(record, signal));
        } catch (error) {
          if (outcomes.length === 0 || !(error instanceof DeliveryError)) throw error;
          break;
        }
      }
      // What was done before the failure must not be forgotten with it: the rest is asked for again.
      const rest = records.slice(outcomes.length).map(deferred);
      return [...outcomes, ...rest];
    },
    async probe(signal) {
      return probe(upstream, limits, signal);
    },
  };
}

/** Why a record may no longer be sent: the policy or the context has changed since it was written. */
function replayRefusal(tool: string, { policy, context }: UpstreamDelivererOptions): string | undefined {
  const row = policy.tools.get(tool);
  if (row?.buffered !== true || row.keyPlace === undefined)
    return `${tool} is not buffered by the policy any more`;
  return refusal(tool, context(), policy);
}

function deferred({ key }: LaneRecord): LaneOutcome {
  return { status: "deferred", key, code: "unavailable", detail: "an earlier record of the batch failed" };
}

async function probe(upstream: Upstream, limits: Limits, signal: AbortSignal): Promise<boolean> {
  const deadlineMs = limits.upstreamConnectMs;
  const headers: HeaderList = [["Accept", "application/json"]];
  const answer = await upstream.send({
    method: "GET",
    headers,
    signal,
    deadlineMs,
    retryMs: 0,
    repeatable: true,
  });
  if (answer.kind === "stream") answer.response.cancel();
  return answer.kind !== "unreachable";
}

function paramsOf(record: LaneRecord, place: KeyPlace | undefined, meta: JsonObject): JsonObject {
  const given = record.arguments;
  const args = place?.in === "argument" ? { ...given, [place.name]: record.key } : given;
  const metaWithKey = place?.in === "meta" ? { ...meta, [place.name]: record.key } : meta;
  const own = Object.keys(metaWithKey).length === 0 ? {} : { _meta: metaWithKey };
  return { name: record.tool, arguments: args, ...own };
}

function throwIfUndelivered(answer: UpstreamAnswer): void {
  if (answer.kind === "unreachable") throw new DeliveryError("unreachable", answer.ran, answer.cause);
  if (answer.kind === "accepted")
    throw new DeliveryError("unreachable", "unknown", "the upstream gave no answer");
  if (answer.kind !== "refused") return;
  const message = `HTTP ${answer.status} ${answer.reason}`.trim();
  if (answer.status === 401 || answer.status === 403) throw new DeliveryError("unauthorized", "no", message);
  if (answer.status === 429) throw new DeliveryError("overloaded", "no", message);
}

function outcomeOf(record: LaneRecord, answer: UpstreamAnswer, message: JsonObject | undefined): LaneOutcome {
  const { key } = record;
  const told = asked(answer, message);
  if (told.kind === "failed") throw new DeliveryError("unreachable", "unknown", told.cause);
  if (told.kind === "error") return { status: "rejected", key, code: "bad_request", detail: told.message };
  const content = Array.isArray(told.result.content) ? told.result.content.filter(isObject) : [];
  const { structuredContent } = told.result;
  if (told.result.isError === true) {
    const text = content.map((block) => (typeof block.text === "string" ? block.text : "")).join(" ");
    return { status: "rejected", key, code: "bad_request", detail: text.slice(0, 500) || "the tool failed" };
  }
  const result: NeutralResult = {
    content,
    ...(structuredContent === undefined ? {} : { structuredContent }),
  };
  return { status: "committed", key, result, replayed: false };
}
