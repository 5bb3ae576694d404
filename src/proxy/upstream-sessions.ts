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
import type { HeaderList, UpstreamAnswer, UpstreamCall } from "./upstream-call.ts";

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

type Send = (call: UpstreamCall) => Promise<UpstreamAnswer>;

export function upstreamSessions(options: UpstreamParts, send: Send): UpstreamSessions {
  return new SessionKeeper(options, send);
}

class SessionKeeper implements UpstreamSessions {
  readonly #options: UpstreamParts;
  readonly #send: Send;
  readonly #held = new Map<string, Held>();
  readonly #opening = new Map<string, Promise<Opened>>();
  /** The version of an upstream that gave no session id: it needs no initialize before a call. */
  #sessionless: string | undefined;

  constructor(options: UpstreamParts, send: Send) {
    this.#options = options;
    this.#send = send;
  }

  open(facts: SessionFacts, params: JsonObject, retryMs: number): Promise<Opened> {
    const running = this.#initialise(facts, params, retryMs).finally(() => {
      if (this.#opening.get(facts.uid) === running) this.#opening.delete(facts.uid);
    });
    this.#opening.set(facts.uid, running);
    return running;
  }

  async ensure(facts: SessionFacts, retryMs: number): Promise<Opened> {
    const session = this.#held.get(facts.uid);
    if (session !== undefined) return opened(session, undefined);
    if (this.#sessionless !== undefined)
      return opened({ id: undefined, version: this.#sessionless }, undefined);
    return this.#opening.get(facts.uid) ?? this.open(facts, silentParams(this.#options, facts), retryMs);
  }

  forget(uid: string, id: string | undefined): void {
    if (id === undefined) this.#sessionless = undefined;
    if (this.#held.get(uid)?.id === id) this.#held.delete(uid);
  }

  end(uid: string): void {
    const session = this.#held.get(uid);
    this.#held.delete(uid);
    if (session?.id === undefined) return;
    const deadlineMs = this.#options.limits.upstreamConnectMs;
    const headers = headersOf(session);
    this.#send({ method: "DELETE", headers, deadlineMs, retryMs: 0, repeatable: true }).catch(
      (error: unknown) => this.#options.log.debug("an upstream session could not be ended", { error }),
    );
  }

  held(uid: string): HeaderList | undefined {
    const session = this.#held.get(uid);
    return session?.id === undefined ? undefined : headersOf(session);
  }

  #keep(uid: string, session: Held): void {
    this.#held.delete(uid);
    this.#held.set(uid, session);
    const over = this.#held.size > this.#options.limits.sessionsMax;
    const oldest = over ? this.#held.keys().next().value : undefined;
    if (oldest !== undefined) this.end(oldest);
  }

  async #initialise(facts: SessionFacts, params: JsonObject, retryMs: number): Promise<Opened> {
    const { clock, limits } = this.#options;
    const deadlineMs = limits.deliveryAttemptMs;
    using limit = deadline(clock, deadlineMs, { action: "Opening an upstream session" });
    const common = { deadlineMs, signal: limit.signal, repeatable: true };
    const body = encoder.encode(requestText(openId, "initialize", params));
    const answer = await this.#send({ ...common, headers: jsonHeaders, body, retryMs });
    const id = answer.kind === "stream" || answer.kind === "json" ? answer.sessionId : undefined;
    const message = await finalMessage(answer, openId, limits.sseEventBytesMax);
    const result = message?.result;
    if (!isObject(result)) return { kind: "failed", answer: asFailure(answer, message) };
    const version = typeof result.protocolVersion === "string" ? result.protocolVersion : facts.version;
    const session: Held = { id, version };
    this.#sessionless = id === undefined ? version : undefined;
    this.#keep(facts.uid, session);
    await this.#send({
      ...common,
      headers: [...jsonHeaders, ...headersOf(session)],
      body: encoder.encode(notificationText("notifications/initialized")),
      retryMs: 0,
    });
    return opened(session, result);
  }
}

function headersOf({ id, version }: Held): HeaderList {
  return [["MCP-Protocol-Version", version], ...(id === undefined ? [] : [["Mcp-Session-Id", id] as const])];
}

function opened(session: Held, result: JsonObject | undefined): Opened {
  return { kind: "opened", id: session.id, headers: headersOf(session), result };
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
