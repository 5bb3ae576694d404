/**
 * The way to the upstream: the live token on every request, sessions that it may forget, one refresh after a 401,
 * and repeats only where no byte has left or nothing can be done twice. It never throws for what an upstream does.
 */

import { sleep } from "../base/clock.ts";
import { HttpFailure, type HttpResponse, readBody } from "../base/http/exchange.ts";
import { isEventStreamType, isJsonType } from "../base/http/guard.ts";
import { isObject, type JsonObject, rpcCode } from "../wire/jsonrpc.ts";
import type { UpstreamParts, UpstreamState } from "./options.ts";
import { isTroubled, reachAfter } from "./reach.ts";
import type { SessionFacts } from "./session.ts";
import type { UpstreamAnswer, UpstreamCall } from "./upstream-call.ts";
import { type UpstreamSessions, upstreamSessions } from "./upstream-sessions.ts";

export type Upstream = {
  send(call: UpstreamCall): Promise<UpstreamAnswer>;
  readonly sessions: UpstreamSessions;
  state(): UpstreamState;
  /** Calls back when the upstream stops answering, and when it answers again; the returned function ends it. */
  onTurn(listener: () => void): () => void;
  /** The machine has slept: whatever is open may be dead. Calls the same listeners. */
  slept(): void;
  /** Monotonic ms of the last answer. */
  lastAnswerAt(): number;
  /** What is known of the eras it speaks. */
  readonly eras: { modern: boolean | undefined; legacy: boolean | undefined };
};

/** Pause between attempts of a call that was not sent: first and longest, ms. */
const pauseMs = { first: 25, most: 400 };

export function createUpstream(options: UpstreamParts): Upstream {
  return new UpstreamLink(options);
}

class UpstreamLink implements Upstream {
  readonly #options: UpstreamParts;
  #state: UpstreamState;
  #refreshing: Promise<boolean> | undefined;
  readonly sessions: UpstreamSessions;
  readonly eras: Upstream["eras"] = { modern: undefined, legacy: undefined };
  readonly #listeners = new Set<() => void>();
  #lastAnswerAt = Number.NEGATIVE_INFINITY;

  constructor(options: UpstreamParts) {
    this.#options = options;
    this.#state = { reach: "connecting", since: options.clock.now(), lastError: undefined };
    this.sessions = upstreamSessions(options, (call) => this.#attempts(call));
  }

  state(): UpstreamState {
    return this.#state;
  }

  onTurn(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  slept(): void {
    this.#options.log.info("the machine has slept; streams are opened anew");
    for (const listener of [...this.#listeners]) listener();
  }

  lastAnswerAt(): number {
    return this.#lastAnswerAt;
  }

  send(call: UpstreamCall): Promise<UpstreamAnswer> {
    return call.session === undefined ? this.#attempts(call) : this.#inSession(call, call.session);
  }

  #note(answer: UpstreamAnswer): void {
    const reach = reachAfter(answer);
    const before = this.#state.reach;
    if (answer.kind !== "unreachable") this.#lastAnswerAt = this.#options.clock.monotonic();
    if (reach === before) return;
    const lastError = answer.kind === "unreachable" ? answer.cause : undefined;
    const { clock, log, onState } = this.#options;
    this.#state = { reach, since: clock.now(), lastError };
    log.info(reach === "up" ? "the upstream answers" : "the upstream does not answer", { reach, lastError });
    onState?.(this.#state);
    if (isTroubled(reach) !== isTroubled(before)) for (const listener of [...this.#listeners]) listener();
  }

  /** One refresh at a time, shared by all who got a 401 meanwhile. */
  #refreshOnce(): Promise<boolean> {
    this.#refreshing ??= this.#options.upstream
      .refresh()
      .catch((error: unknown) => {
        this.#options.log.warn("the token could not be refreshed", { error });
        return false;
      })
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  /** Sends within the legacy session, opening it first when needed, and once more when the upstream forgot it. */
  async #inSession(call: UpstreamCall, facts: SessionFacts): Promise<UpstreamAnswer> {
    for (let round = 0; ; round += 1) {
      const opened = await this.sessions.ensure(facts, call.retryMs);
      if (opened.kind === "failed") {
        if (opened.answer.kind === "refused" && refusesLegacy(opened.answer.error)) this.eras.legacy = false;
        return notRun(opened.answer);
      }
      const answer = await this.#attempts({ ...call, headers: [...call.headers, ...opened.headers] });
      if (round > 0 || !isSessionLost(answer, opened.id)) return answer;
      this.#options.log.info("the upstream forgot a session; opening it again", { session: facts.uid });
      this.sessions.forget(facts.uid, opened.id);
    }
  }

  /** Sends until there is an answer, within the budget; after a 401 once more with another token. */
  #attempts(call: UpstreamCall): Promise<UpstreamAnswer> {
    const token = this.#options.upstream.credential();
    const end = this.#options.clock.monotonic() + call.retryMs;
    return this.#once(call, token, (answer) => {
      if (answer.kind === "unreachable" || answer.kind === "refused")
        return this.#again(call, { answer, token, end });
      this.#note(answer);
      return answer;
    });
  }

  /** What follows a first attempt that may not be the last one. */
  async #again(
    call: UpstreamCall,
    first: { answer: UpstreamAnswer; token: string | undefined; end: number },
  ): Promise<UpstreamAnswer> {
    const { clock, upstream } = this.#options;
    let renewed = false;
    let { answer, token } = first;
    for (let round = 0; ; round += 1) {
      const refused: boolean = answer.kind === "refused" && answer.status === 401 && !renewed;
      renewed ||= refused;
      // Somebody else's refresh may have ended while this call was on its way.
      const again = refused && (upstream.credential() !== token || (await this.#refreshOnce()));
      if (!again) {
        this.#note(answer);
        if (answer.kind !== "unreachable" || !(answer.ran === "no" || call.repeatable)) return answer;
        const pause = Math.min(pauseMs.most, pauseMs.first * 2 ** round);
        if (clock.monotonic() + pause >= first.end || call.signal?.aborted === true) return answer;
        await sleep(clock, pause, call.signal);
      }
      token = upstream.credential();
      if (call.onlyWhile?.() === false) return unwanted;
      answer = await this.#once(call, token, (other) => other);
    }
  }

  /** One attempt. @param then goes on with its answer, without a step of its own in between */
  #once(
    call: UpstreamCall,
    token: string | undefined,
    then: (answer: UpstreamAnswer) => UpstreamAnswer | Promise<UpstreamAnswer>,
  ): Promise<UpstreamAnswer> {
    if (call.onlyWhile?.() === false) return Promise.resolve(unwanted);
    const headers =
      token === undefined ? call.headers : [...call.headers, ["Authorization", `Bearer ${token}`] as const];
    const failed = (error: unknown) => {
      if (!(error instanceof HttpFailure)) throw error;
      return then({ kind: "unreachable", cause: error.message, ran: error.sent });
    };
    return this.#options.upstream.client
      .request({
        method: call.method ?? "POST",
        path: this.#options.upstream.path,
        headers,
        body: call.body,
        signal: call.signal,
        headDeadlineMs: call.deadlineMs,
      })
      .then((response) => {
        const taken = this.#take(response, call);
        return taken instanceof Promise ? taken.then(then, failed) : then(taken);
      }, failed);
  }

  #take(response: HttpResponse, call: UpstreamCall): UpstreamAnswer | Promise<UpstreamAnswer> {
    const { status, whole } = response;
    const type = response.header("content-type");
    if (status >= 200 && status < 300 && isEventStreamType(type))
      return { kind: "stream", response, sessionId: response.header("mcp-session-id") };
    if (whole !== undefined && whole.byteLength <= this.#options.limits.sseEventBytesMax)
      return sort(response, whole, type);
    return this.#read(response, call, type);
  }

  /** Reads a body that comes bit by bit. */
  async #read(response: HttpResponse, call: UpstreamCall, type: string | undefined): Promise<UpstreamAnswer> {
    const { clock, limits } = this.#options;
    const bytesMax = limits.sseEventBytesMax;
    const { status } = response;
    const stop = clock.after(call.deadlineMs, () => response.cancel());
    try {
      if (call.takesLarge !== true || status !== 200 || !isJsonType(type))
        return sort(response, await readBody(response, bytesMax), type);
      const parts: Uint8Array[] = [];
      let size = 0;
      const reader = response.body[Symbol.asyncIterator]();
      for (let read = await reader.next(); read.done !== true; read = await reader.next()) {
        parts.push(read.value);
        size += read.value.byteLength;
        if (size > bytesMax) return { kind: "large", status, parts, rest: response };
      }
      return sort(response, Buffer.concat(parts), type);
    } finally {
      stop();
    }
  }
}

/** What was not sent because nobody wants it any more. */
const unwanted: UpstreamAnswer = { kind: "unreachable", cause: "the authorization has changed", ran: "no" };

/** True when the refusal of an initialize says that the upstream has only the modern era. */
export function refusesLegacy(error: JsonObject | undefined): boolean {
  const code = error?.code;
  return (
    code === rpcCode.unsupportedVersion || code === rpcCode.headerMismatch || code === rpcCode.invalidParams
  );
}

/** The call itself was not sent when its session could not be opened. */
function notRun(answer: UpstreamAnswer): UpstreamAnswer {
  return answer.kind === "unreachable" ? { ...answer, ran: "no" } : answer;
}

/** What an answer with a complete body is. */
function sort(response: HttpResponse, bytes: Uint8Array, type: string | undefined): UpstreamAnswer {
  const { status } = response;
  if (status >= 500) {
    const error = isJsonType(type) ? parsed(bytes)?.error : undefined;
    const lost = isObject(error) && error.code === -32001;
    return {
      kind: "unreachable",
      cause: `the upstream answered HTTP ${status}`,
      ran: "unknown",
      sessionLost: lost,
    };
  }
  if (status >= 300) {
    const body = isJsonType(type) ? parsed(bytes) : undefined;
    const error = isObject(body?.error) ? body.error : undefined;
    return { kind: "refused", status, reason: reasonOf(error, bytes, type), error };
  }
  if (status === 202 || status === 204 || bytes.byteLength === 0) return { kind: "accepted" };
  // Only the outline is looked at: the body goes through as it came.
  if (bytes[0] === 0x7b || looksLikeObject(bytes))
    return { kind: "json", status, bytes, sessionId: response.header("mcp-session-id") };
  return { kind: "unreachable", cause: "the upstream's answer is not JSON-RPC", ran: "unknown" };
}

function looksLikeObject(bytes: Uint8Array): boolean {
  return isObject(parsed(bytes));
}

function parsed(bytes: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(error: JsonObject | undefined, bytes: Uint8Array, type: string | undefined): string {
  if (typeof error?.message === "string") return error.message;
  const body = isJsonType(type) ? parsed(bytes) : undefined;
  for (const name of ["detail", "message", "error_description", "error"]) {
    if (typeof body?.[name] === "string") return body[name];
  }
  return type?.startsWith("text/plain") === true ? Buffer.from(bytes).toString().slice(0, 200).trim() : "";
}

/** Codes with which servers say that a session is gone or missing, by HTTP status. */
const sessionLostCodes: Record<number, readonly number[]> = {
  400: [-32000, -32001, -32600],
  401: [-32000, -32001],
  404: [-32000, -32001, -32600],
};

/** True when the upstream refused the call, before doing anything, because it does not know the session. */
function isSessionLost(answer: UpstreamAnswer, id: string | undefined): boolean {
  if (answer.kind === "unreachable") return id !== undefined && answer.sessionLost === true;
  if (answer.kind === "refused") {
    const code = answer.error?.code;
    if (answer.status === 404 && code === undefined) return id !== undefined;
    return sessionLostCodes[answer.status]?.includes(Number(code)) ?? false;
  }
  // In a 200 the same codes also mean other things, after which a second attempt could double a write.
  if (answer.kind !== "json" || id === undefined || answer.bytes.byteLength > 4_096) return false;
  const error = parsed(answer.bytes)?.error;
  return (
    isObject(error) &&
    (error.code === -32001 || error.code === -32600) &&
    /\bsession\b/i.test(String(error.message))
  );
}
