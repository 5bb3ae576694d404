/**
 * `tools/call`: the second gate of narrowing, then either the outbox (written ahead, answered with a receipt) or
 * the way upstream.
 */
import { asId, type IdempotencyKey, isIdempotencyKey, mintedKey, uuidV7 } from "../wire/id.ts";
import { isObject, type JsonObject, rpcCode } from "../wire/jsonrpc.ts";
import { receipt, receiptResult } from "../wire/receipt.ts";
import { argumentFault, toolRow } from "../wire/tools.ts";
import { isTraceparent, newTraceparent, traceHeader } from "../wire/trace.ts";
import type { Outbox, WriteCall } from "../wire/write.ts";
import {
  type Answer,
  callAnswer,
  errorAnswer,
  failedCall,
  type Outcome,
  unreachableAnswer,
} from "./answer.ts";
import type { Ask } from "./ask.ts";
import type { Core } from "./core.ts";
import { forward } from "./forward.ts";
import { refusal } from "./narrow.ts";
import { asksOutbox, localStatus } from "./operation-status.ts";
import type { ToolPolicy } from "./policy.ts";
import type { HeaderList } from "./upstream-call.ts";

/** Tools named in a refusal. */
const namedMax = 20;

/** A call that is neither hidden nor written ahead goes straight on; every other one is looked at. */
export function callTool(core: Core, ask: Ask): Promise<Outcome> {
  const { name, arguments: given = {} } = ask.message.params;
  if (typeof name === "string" && isObject(given) && gateOpen(core, name)) {
    const row = core.options.policy.tools.get(name);
    const straight = row === undefined || !(row.buffered || row.drainFirst || asksOutbox(core, name));
    if (straight) return pass(core, ask, { name, given, row });
  }
  return callWithCare(core, ask);
}

async function callWithCare(core: Core, ask: Ask): Promise<Outcome> {
  const { name, arguments: given = {} } = ask.message.params;
  if (typeof name !== "string") return invalid(ask, "tools/call needs the name of a tool");
  if (!isObject(given)) return invalid(ask, "The arguments of a tool must be an object");
  const closed = gateOpen(core, name) ? undefined : await gate(core, ask, name);
  if (closed !== undefined) return closed;
  const row = core.options.policy.tools.get(name);
  const { outbox } = core.options;
  if (row?.buffered === true && outbox !== undefined && !isContinuation(ask.message.params)) {
    return write(core, ask, { name, given, outbox });
  }
  if (asksOutbox(core, name)) {
    const known = await localStatus(core, ask, given);
    if (known !== undefined) return known;
  }
  if (row?.drainFirst === true && outbox !== undefined) {
    const drained = await outbox.drained(core.options.limits.drainFirstMs);
    if (!drained) return callAnswer(core, ask, { result: failedCall(notDrained(name, outbox)) });
  }
  return pass(core, ask, { name, given, row });
}

/** Calls with these members continue an earlier one: each is a new call, whatever id it carries. */
function isContinuation(params: JsonObject): boolean {
  return "inputResponses" in params || "requestState" in params;
}

function invalid(ask: Ask, message: string): Answer {
  return errorAnswer(ask, { code: rpcCode.invalidParams, message });
}

function gateOpen(core: Core, name: string): boolean {
  if (!core.shown().names.has(name)) return false;
  return !core.options.staticList || refusal(name, core.options.context(), core.options.policy) === undefined;
}

/**
 * A tool that is not shown was called by name: asks for list and context once more, then refuses with the reason.
 * Undefined when the call may go on.
 */
async function gate(core: Core, ask: Ask, name: string): Promise<Answer | undefined> {
  const fresh = await core.lists.refreshTools(core.options.limits.lastKnownAnswerMs);
  if (gateOpen(core, name)) return undefined;
  const reason = refusal(name, core.options.context(), core.options.policy);
  const offered = core.lists.tools().some((tool) => tool.name === name);
  if (offered && reason !== undefined) {
    core.options.log.info("a hidden tool was called", { tool: name, reason });
    return callAnswer(core, ask, {
      result: failedCall(`refused: ${reason}. It did not run. ${available(core)}`),
    });
  }
  if (!fresh && !core.lists.knowsTools()) {
    return unreachableAnswer(core, ask, { cause: "its tools are not known yet", ran: "no" });
  }
  return invalid(ask, `Unknown tool: ${name}. ${available(core)}`);
}

/** What may be called instead, for clients that still show an older list. */
function available(core: Core): string {
  const names = [...core.shown().names];
  const more = names.length > namedMax ? ` and ${names.length - namedMax} more` : "";
  return names.length === 0
    ? "No tool is available now."
    : `Available now: ${names.slice(0, namedMax).join(", ")}${more}.`;
}

function notDrained(name: string, outbox: Outbox): string {
  const { depth } = outbox.status();
  return `refused: ${name} must not overtake ${depth} queued writes, and they could not be delivered now. It did not run. Call it again when they are delivered.`;
}

type Write = { name: string; given: JsonObject; outbox: Outbox };

async function write(core: Core, ask: Ask, { name, given, outbox }: Write): Promise<Outcome> {
  const { policy, limits } = core.options;
  const own = policy.kind === "relay" ? toolRow(name) : undefined;
  const parsed = own?.input.safeParse(given);
  if (parsed?.success === false) return refusedWrite(core, ask, name, argumentFault(parsed.error));
  const place = policy.tools.get(name)?.keyPlace;
  const key = place?.in === "argument" ? given[place.name] : undefined;
  const call: WriteCall = {
    tool: name,
    arguments: given,
    key: typeof key === "string" && isIdempotencyKey(key) ? key : undefined,
    callId: callIdOf(ask),
    trace: traceOf(core, ask),
    session: ask.session.uid,
  };
  core.options.log.debug("a write is taken", { tool: name, trace: call.trace });
  const answer = await outbox.write(call, limits.writeWaitMs);
  return callAnswer(core, ask, answer);
}

/** The agent's own trace context, from its header or its `_meta`; else a new one, so that every write can be followed. */
function traceOf(core: Core, ask: Ask): string {
  const meta = ask.message.params._meta;
  const given = [ask.asker.header(traceHeader), isObject(meta) ? meta[traceHeader] : undefined];
  return given.find(isTraceparent) ?? newTraceparent(core.options.random.bytes(24));
}

/** A refusal in the form of every other answer of this tool, so that it validates against its output schema. */
function refusedWrite(core: Core, ask: Ask, tool: string, reason: string) {
  const { clock, random } = core.options;
  const uuid = uuidV7(clock.now(), random.bytes(10));
  const facts = receipt({
    delivery: "refused",
    tool,
    key: mintedKey(tool, uuid),
    messageId: asId(uuid),
    reason,
  });
  return callAnswer(core, ask, { result: receiptResult(facts) });
}

/** The client's name for this logical call, which a repeated attempt has too, whatever its JSON-RPC id. */
function callIdOf(ask: Ask): string | undefined {
  const meta = ask.message.params._meta;
  if (!isObject(meta)) return undefined;
  const toolUse = meta["claudecode/toolUseId"];
  if (typeof toolUse === "string" && toolUse !== "") return `claude:${toolUse}`;
  const { callId } = meta;
  if (typeof callId !== "string" || callId === "") return undefined;
  const provider = [meta.sessionId, meta.threadId].find((id) => typeof id === "string");
  return `codex:${provider ?? ask.session.uid}:${callId}`;
}

type Pass = { name: string; given: JsonObject; row: ToolPolicy | undefined };

function pass(core: Core, ask: Ask, { given, name, row }: Pass): Promise<Outcome> {
  const { limits } = core.options;
  const key = row?.keyPlace?.in === "header" && !row.readOnly ? keyHeader(core, ask, { name, given }) : [];
  return forward(core, ask, {
    deadlineMs: row?.timeoutMs ?? limits.upstreamCallMs,
    repeatable: row?.readOnly === true || (key.length > 0 && core.options.policy.kind === "relay"),
    cancels: ask.era.disconnectCancels || row?.readOnly === true || hintsReadOnly(core, name),
    early: true,
    extraHeaders: key,
  });
}

/** A server's own hint is believed only for ending a call whose agent has gone. */
function hintsReadOnly(core: Core, name: string): boolean {
  const annotations = core.lists.tools().find((tool) => tool.name === name)?.annotations;
  return annotations?.readOnlyHint === true;
}

/** The key of a mutating call that is not written ahead: the agent's, or one that lives for this call. */
function keyHeader(core: Core, ask: Ask, { name, given }: { name: string; given: JsonObject }): HeaderList {
  if (isContinuation(ask.message.params)) return [];
  const own = given.idempotencyKey;
  const id = callIdOf(ask)?.replaceAll(/[^\x21-\x7e]/g, "_");
  const derived = id === undefined ? undefined : `call-${id}`;
  const key = [own, derived].find(
    (text): text is IdempotencyKey => typeof text === "string" && isIdempotencyKey(text),
  );
  const { clock, random } = core.options;
  return [["Idempotency-Key", key ?? mintedKey(name, uuidV7(clock.now(), random.bytes(10)))]];
}
