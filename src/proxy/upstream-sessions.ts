/**
 * Legacy sessions at the upstream, one per session of an agent, so that their request ids cannot meet. Each is
 * opened silently when it is needed, once however many calls wait for it. An upstream without sessions costs nothing.
 */
import { deadline } from "../base/signals.ts";
import { isObject, type JsonObject, notificationText, requestText } from "../wire/jsonrpc.ts";
import { modernVersion } from "./era.ts";
import { finalMessage } from "./final.ts";
import type { UpstreamParts } from "./options.ts";
import type { SessionFacts } from "./session.ts";
import type { HeaderList, UpstreamAnswer, UpstreamCall } from "./upstream.ts";

type Held = { id: string | undefined; version: string };

export type Opened =
  | { kind: "opened"; id: string | undefined; headers: HeaderList; result: JsonObject | undefined }
  | { kind: "failed"; answer: UpstreamAnswer };

export type UpstreamSessions = {
  /** Initialises anew and returns the upstream's own result; `params` are those of the agent. */
  open(facts: SessionFacts, params: JsonObject, retryMs: number): Promise<Opened>;
  /** The session, opened when it is not; only calls that come together wait for each other. */
  ensure(facts: SessionFacts, retryMs: number): Promise<Opened>;
  /** Drops a session that the upstream does not know any more, unless it was opened again meanwhile. */
  forget(uid: string, id: string | undefined): void;
  /** The agent ended its session: ends the upstream's, without waiting. */
  end(uid: string): void;
  /** Headers of a session that is open, for streams. */
  held(uid: string): HeaderList | undefined;
};

const openId = '"agent-relay-initialize"';
const jsonHeaders: HeaderList = [
  ["Content-Type", "application/json"],
  ["Accept", "application/json, text/event-stream"],
];
const encoder = new TextEncoder();

export function upstreamSessions(
  options: UpstreamParts,
  send: (call: UpstreamCall) => Promise<UpstreamAnswer>,
): UpstreamSessions {
  const held = new Map<string, Held>();
  const opening = new Map<string, Promise<Opened>>();
  /** The version of an upstream that gave no session id: it needs no initialize before a call. */
  let sessionless: string | undefined;

  const headersOf = ({ id, version }: Held): HeaderList => [
    ["MCP-Protocol-Version", version],
    ...(id === undefined ? [] : [["Mcp-Session-Id", id] as const]),
  ];
  const opened = (session: Held, result: JsonObject | undefined): Opened => ({
    kind: "opened",
    id: session.id,
    headers: headersOf(session),
    result,
  });
  const keep = (uid: string, session: Held) => {
    held.delete(uid);
    held.set(uid, session);
    const oldest = held.size > options.limits.sessionsMax ? held.keys().next().value : undefined;
    if (oldest !== undefined) end(oldest);
  };

  async function initialise(facts: SessionFacts, params: JsonObject, retryMs: number): Promise<Opened> {
    const { upstreamConnectMs, lastKnownAnswerMs, deliveryAttemptMs } = options.limits;
    const deadlineMs = Math.max(upstreamConnectMs, lastKnownAnswerMs, deliveryAttemptMs);
    const body = encoder.encode(requestText(openId, "initialize", params));
    let id: string | undefined;
    using limit = deadline(options.clock, deadlineMs, "Opening an upstream session");
    const { signal } = limit;
    const answer = await send({ headers: jsonHeaders, body, deadlineMs, retryMs, signal, repeatable: true });
    if (answer.kind === "stream" || answer.kind === "json") id = answer.sessionId;
    const message = await finalMessage(answer, openId, options.limits.sseEventBytesMax);
    const result = message?.result;
    if (!isObject(result)) return { kind: "failed", answer: asFailure(answer, message) };
    const version = typeof result.protocolVersion === "string" ? result.protocolVersion : facts.version;
    const session: Held = { id, version };
    sessionless = id === undefined ? version : undefined;
    keep(facts.uid, session);
    await send({
      headers: [...jsonHeaders, ...headersOf(session)],
      body: encoder.encode(notificationText("notifications/initialized")),
      deadlineMs,
      retryMs: 0,
      repeatable: true,
    });
    return opened(session, result);
  }

  function open(facts: SessionFacts, params: JsonObject, retryMs: number): Promise<Opened> {
    const running = initialise(facts, params, retryMs).finally(() => {
      if (opening.get(facts.uid) === running) opening.delete(facts.uid);
    });
    opening.set(facts.uid, running);
    return running;
  }

  function end(uid: string): void {
    const session = held.get(uid);
    held.delete(uid);
    if (session?.id === undefined) return;
    const deadlineMs = options.limits.upstreamConnectMs;
    send({ method: "DELETE", headers: headersOf(session), deadlineMs, retryMs: 0, repeatable: true }).catch(
      (error: unknown) => options.log.debug("an upstream session could not be ended", { error }),
    );
  }

  return {
    open,
    end,
    async ensure(facts, retryMs) {
      const session = held.get(facts.uid);
      if (session !== undefined) return opened(session, undefined);
      if (sessionless !== undefined) return opened({ id: undefined, version: sessionless }, undefined);
      return opening.get(facts.uid) ?? open(facts, silentParams(options, facts), retryMs);
    },
    forget(uid, id) {
      if (id === undefined) sessionless = undefined;
      if (held.get(uid)?.id === id) held.delete(uid);
    },
    held(uid) {
      const session = held.get(uid);
      return session === undefined ? undefined : headersOf(session);
    },
  };
}

/** The initialize of a session that the agent believes to be open: what it declared, in our name. */
function silentParams(options: UpstreamParts, facts: SessionFacts): JsonObject {
  const protocolVersion = facts.version === modernVersion ? "2025-11-25" : facts.version;
  return { protocolVersion, capabilities: facts.capabilities, clientInfo: options.serverInfo };
}

function asFailure(answer: UpstreamAnswer, message: JsonObject | undefined): UpstreamAnswer {
  if (answer.kind === "refused" || answer.kind === "unreachable") return answer;
  const error = isObject(message?.error) ? message.error : undefined;
  if (error === undefined) {
    return { kind: "unreachable", cause: "the upstream's initialize ended without an answer", ran: "no" };
  }
  return { kind: "refused", status: 400, reason: String(error.message), error };
}
