/**
 * Answers to the agent: in its era, with its id as it was written, and never as a transport error because of the
 * upstream (P1). A final message is rewritten only when a notice, a note or the other era's shape has to go in.
 */

import { errorText, isObject, type JsonObject, resultText, rpcCode } from "../wire/jsonrpc.ts";
import type { NeutralResult, Notice } from "../wire/receipt.ts";
import type { Ask } from "./ask.ts";
import { type Carried, type CarriedFacts, carriedBy } from "./carried.ts";
import type { Core } from "./core.ts";
import { parseObject } from "./final.ts";
import type { Answer } from "./outcome.ts";
import { isTroubled } from "./reach.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

export type { Answer, Outcome } from "./outcome.ts";

/** A result of our own. */
export function resultAnswer(core: Core, ask: Ask, result: JsonObject): Answer {
  return { status: 200, text: resultText(ask.message.id, ask.era.result(result, ask.message.method, core)) };
}

export function errorAnswer(ask: Ask, error: { code: number; message: string; data?: unknown }): Answer {
  return { status: ask.era.errorStatus(error.code), text: errorText(ask.message.id, error) };
}

/** The result of a tool call, with whatever the agent has to be told. */
export function callAnswer(
  core: Core,
  ask: Ask,
  { result, recordId }: { result: NeutralResult; recordId?: number | undefined },
): Answer {
  const told = withTold(core, ask, { ...result });
  const carried = carry(core, ask, { ...told.carries, recordId });
  return { ...resultAnswer(core, ask, told.result), ...carried };
}

/** A tool result that says why there is no other. */
export function failedCall(text: string, facts?: JsonObject): NeutralResult {
  return {
    content: [{ type: "text", text }],
    isError: true,
    ...(facts === undefined ? {} : { structuredContent: facts }),
  };
}

/** The answer for an upstream answer that is not a stream. */
export function settle(
  core: Core,
  ask: Ask,
  answer: Exclude<UpstreamAnswer, { kind: "stream" | "large" }>,
): Answer {
  switch (answer.kind) {
    case "json":
      return finalAnswer(core, ask, answer.bytes);
    case "refused":
      return refusedAnswer(core, ask, answer);
    case "unreachable":
      return unreachableAnswer(core, ask, answer);
    case "accepted":
      return unreachableAnswer(core, ask, {
        cause: "the upstream gave no answer to the request",
        ran: "unknown",
      });
  }
}

/** True when the final message of the upstream has to be looked into, whatever there is to tell. */
export function mustRewrite(ask: Ask): boolean {
  return ask.sent?.bridged === true || checksInboxOf(ask);
}

function checksInboxOf({ message }: Ask): boolean {
  return message.method === "tools/call" && message.params.name === "relay_check_messages";
}

/** The final message of the upstream, rewritten when it must be. */
export function finalAnswer(core: Core, ask: Ask, raw: Uint8Array | string): Answer {
  const bridged = ask.sent?.bridged === true;
  const isCall = ask.message.method === "tools/call";
  const checksInbox = checksInboxOf(ask);
  if (!bridged && !(isCall && (checksInbox || somethingToTell(core)))) return { status: 200, text: raw };
  const message = parseObject(typeof raw === "string" ? raw : Buffer.from(raw).toString());
  const result = message?.result;
  if (!isObject(result)) return { status: 200, text: raw };
  const told = isCall ? withTold(core, ask, result) : { result, carries: {} };
  const inboxSeq = checksInbox ? highestSeq(result.structuredContent) : undefined;
  const carried = carry(core, ask, { ...told.carries, inboxSeq });
  if (!bridged && told.result === result) return { status: 200, text: raw, ...carried };
  return { ...resultAnswer(core, ask, told.result), ...carried };
}

type Refused = Extract<UpstreamAnswer, { kind: "refused" }>;

function refusedAnswer(core: Core, ask: Ask, { status, reason, error }: Refused): Answer {
  const code = typeof error?.code === "number" ? error.code : undefined;
  const passes =
    (status === 404 && code === rpcCode.methodNotFound) ||
    (status === 400 && code !== undefined && code <= -32020 && code >= -32029);
  if (passes && error !== undefined) {
    return { status, text: errorText(ask.message.id, error as { code: number; message: string }) };
  }
  const words = `relay refused: HTTP ${status}${reason === "" ? "" : ` ${reason}`}`;
  if (ask.message.method === "tools/call") {
    return callAnswer(core, ask, { result: failedCall(`${words}. It did not run.`) });
  }
  if (error !== undefined && code !== undefined && status !== 401 && status !== 403) {
    return errorAnswer(ask, { ...error, code, message: reason });
  }
  return errorAnswer(ask, {
    code: rpcCode.internal,
    message: words,
    data: { code: "relay_refused", status, retryable: false },
  });
}

/** What a call says about itself when the relay gave no answer. */
export function unreachableAnswer(
  core: Core,
  ask: Ask,
  why: { cause: string; ran: "no" | "unknown" },
): Answer {
  if (ask.message.method !== "tools/call") {
    return errorAnswer(ask, {
      code: rpcCode.internal,
      message: `relay unreachable: ${why.cause}`,
      data: { code: "relay_unreachable", retryable: true },
    });
  }
  const readOnly = core.options.policy.tools.get(String(ask.message.params.name))?.readOnly === true;
  return callAnswer(core, ask, {
    result: failedCall(`relay unreachable: ${why.cause}. ${adviceTable[readOnly ? "reads" : why.ran]}`),
  });
}

const adviceTable = {
  no: "Whether it ran: no. Call it again later; the proxy reconnects by itself.",
  unknown: "Whether it ran: unknown. Check its effect before you call it again.",
  reads: "It only reads, so nothing was changed. Call it again later; the proxy reconnects by itself.",
};

function carry(core: Core, ask: Ask, facts: CarriedFacts): { carried?: Carried } {
  const carries =
    facts.recordId !== undefined || facts.inboxSeq !== undefined || (facts.noticeIds?.length ?? 0) > 0;
  if (!carries) return {};
  const carried = carriedBy(facts);
  core.sessions.carry(ask.session, carried);
  return { carried };
}

function isDegraded(core: Core): boolean {
  return isTroubled(core.upstream.state().reach) || (core.options.outbox?.status().depth ?? 0) > 0;
}

function somethingToTell(core: Core): boolean {
  return isDegraded(core) || (core.options.outbox?.notices().length ?? 0) > 0;
}

type Told = { result: JsonObject; carries: { noticeIds?: readonly string[] } };

/** The result with pending notices and, while degraded, a note; the same object when there is nothing to say. */
function withTold(core: Core, ask: Ask, result: JsonObject): Told {
  const complete = result.resultType === undefined || result.resultType === "complete";
  if (!complete || !Array.isArray(result.content) || !somethingToTell(core)) return { result, carries: {} };
  const pending = core.options.outbox?.notices() ?? [];
  const notices = pending.slice(0, core.options.limits.noticesPerResultMax);
  const told: JsonObject = { ...result };
  if (notices.length > 0) {
    const text = noticesText(notices, pending.length - notices.length);
    told.content = [...result.content, { type: "text", text }];
    const own = core.options.policy.kind === "relay" && ask.message.params.name === "relay_check_messages";
    const facts = result.structuredContent;
    if (own && isObject(facts)) {
      const theirs = Array.isArray(facts.notices) ? facts.notices : [];
      told.structuredContent = { ...facts, notices: [...theirs, ...notices] };
    }
  }
  if (isDegraded(core)) {
    const { depth = 0, oldestAgeMs = 0 } = core.options.outbox?.status() ?? {};
    const note = { relay: core.upstream.state().reach, queuedWrites: depth, oldestQueuedMs: oldestAgeMs };
    const meta = isObject(result._meta) ? result._meta : {};
    told._meta = { ...meta, "agent-relay/degraded": note };
  }
  return { result: told, carries: { noticeIds: notices.map(({ id }) => id) } };
}

/** The labelled block in which a result carries notices. */
export function noticesText(notices: readonly Notice[], more: number): string {
  const lines = notices.map(({ reason, tool, to, messageId, detail, excerpt, text }) => {
    const whom = to === undefined ? "" : ` to ${to}`;
    return `- ${reason}: ${tool}${whom}, message ${messageId}: ${detail}. ${text} It began: ${JSON.stringify(excerpt)}`;
  });
  const rest = more > 0 ? [`- and ${more} more, with your next tool results`] : [];
  return ["[agent-relay notices about your own earlier writes]", ...lines, ...rest].join("\n");
}

function highestSeq(facts: unknown): number | undefined {
  if (!isObject(facts) || !Array.isArray(facts.messages)) return undefined;
  const seqs = facts.messages.map((message) => (isObject(message) ? Number(message.seq) : 0));
  const highest = Math.max(0, ...seqs.filter(Number.isFinite));
  return highest > 0 ? highest : undefined;
}
