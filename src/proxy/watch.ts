/**
 * The control-plane subscription to a foreign upstream: one stream per endpoint that brings its list changes,
 * opened again for ever. Our own relay tells of changes by its feed instead.
 */
import { backoff } from "../base/backoff.ts";
import { sleep } from "../base/clock.ts";
import { HttpFailure, type HttpResponse } from "../base/http/exchange.ts";
import { SseTooLarge, sseEvents } from "../base/http/sse.ts";
import { type Linked, linkedAbort } from "../base/signals.ts";
import { isObject, requestText } from "../wire/jsonrpc.ts";
import { type Asked, controlSession, envelope, modernHeaders } from "./control.ts";
import type { Core } from "./core.ts";
import { parseObject } from "./final.ts";
import type { SessionFacts } from "./session.ts";
import { listChanged, type Session } from "./sessions.ts";
import type { DownStream } from "./streams.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

const encoder = new TextEncoder();

/** Begins to watch when the upstream is a foreign one. */
export function watchUpstream(core: Core): { close(): void } {
  if (core.options.policy.kind === "relay") return { close() {} };
  const end = new AbortController();
  watch(core, end.signal).catch((error: unknown) =>
    core.options.log.error("watching the upstream failed", { error }),
  );
  return { close: () => end.abort() };
}

async function watch(core: Core, signal: AbortSignal): Promise<void> {
  const { clock, limits, random } = core.options;
  const pauses = backoff({
    baseMs: limits.deliveryBackoffBaseMs,
    capMs: limits.deliveryBackoffCapMs,
    random,
  });
  let offered = false;
  while (!signal.aborted) {
    // Listens from here on: a turn that comes while the subscription is asked for must not be missed.
    using turn = turned(core, signal);
    const answer = await subscribe(core, signal);
    if (answer?.kind === "stream") {
      pauses.reset();
      // What changed while there was no stream is not told by the next one.
      if (offered) core.lists.follow();
      offered = true;
      await follow(core, answer.response);
    }
    // An upstream that never had such a stream is asked again at the longest pause.
    const refused = !offered && (answer?.kind === "refused" || answer?.kind === "json");
    await sleep(
      clock,
      refused ? limits.deliveryBackoffCapMs : pauses.next() + limits.probeIntervalMs,
      turn.signal,
    );
  }
}

/** Aborts as soon as the upstream stops answering or answers again: then there is no reason to wait on. */
function turned(core: Core, signal: AbortSignal): Linked {
  const turn = linkedAbort(signal);
  const off = core.upstream.onTurn(() => turn.abort());
  return {
    signal: turn.signal,
    abort: turn.abort,
    [Symbol.dispose]() {
      off();
      turn[Symbol.dispose]();
    },
  };
}

async function subscribe(core: Core, signal: AbortSignal): Promise<UpstreamAnswer | undefined> {
  const { limits } = core.options;
  const common = { signal, deadlineMs: limits.deliveryAttemptMs, retryMs: 0, repeatable: true };
  const found = await core.control.discover();
  if (found.kind === "failed" || core.upstream.eras.modern === undefined) return undefined;
  if (core.upstream.eras.modern) {
    const notifications = offeredChanges(found);
    if (Object.keys(notifications).length === 0) return nothingOffered;
    const params = { notifications, _meta: envelope(core.options) };
    const body = encoder.encode(requestText('"agent-relay-listen"', "subscriptions/listen", params));
    return core.upstream.send({ ...common, headers: modernHeaders("subscriptions/listen", params), body });
  }
  const headers = [["Accept", "text/event-stream"]] as const;
  return core.upstream.send({ ...common, method: "GET", headers, session: controlSession });
}

/** An upstream that tells of no changes is looked at again at the longest pause, like one that refuses. */
const nothingOffered: UpstreamAnswer = {
  kind: "refused",
  status: 200,
  reason: "no list changes",
  error: undefined,
};

/** The list changes that the upstream says it tells of (MCP 2026-07-28 §subscriptions). */
function offeredChanges(found: Asked): Record<string, true> {
  const capabilities =
    found.kind === "result" && isObject(found.result.capabilities) ? found.result.capabilities : {};
  const offers = (name: string) => {
    const capability = capabilities[name];
    return isObject(capability) && capability.listChanged === true;
  };
  const names = ["tools", "prompts", "resources"].filter(offers);
  return Object.fromEntries(names.map((name) => [`${name}ListChanged`, true as const]));
}

/** Reads the stream to its end; a turn of the upstream, or a sleep of this machine, ends it: it may be dead by then. */
async function follow(core: Core, response: HttpResponse): Promise<void> {
  const off = core.upstream.onTurn(() => response.cancel());
  try {
    await eachMessage(core, response, () => {});
  } finally {
    off();
  }
}

/** Every message of an upstream stream but its list changes, which the proxy tells itself. */
async function eachMessage(core: Core, response: HttpResponse, take: (text: string) => void): Promise<void> {
  try {
    for await (const { data } of sseEvents(response.body, core.options.limits.sseEventBytesMax)) {
      const message = data === undefined ? undefined : parseObject(data);
      if (data === undefined || message === undefined) continue;
      if (Object.values<unknown>(listChanged).includes(message.method))
        core.upstreamNotified(String(message.method));
      else take(data);
    }
  } catch (error) {
    if (!(error instanceof HttpFailure || error instanceof SseTooLarge)) throw error;
  } finally {
    response.cancel();
  }
}

/**
 * What the upstream says to one legacy session on a stream of its own (requests to the client, log messages) goes to
 * the agent's stream of that session, under our event ids, for as long as the agent's stream is open.
 */
export function bridgeSession(core: Core, session: Session, stream: DownStream): void {
  const { facts, uid } = session;
  if (facts === undefined || core.upstream.sessions.held(uid) === undefined) return;
  bridge(core, { session, facts, stream }).catch((error: unknown) =>
    core.options.log.error("a session's stream from the upstream failed", { error }),
  );
}

type Bridged = { session: Session; facts: SessionFacts; stream: DownStream };

async function bridge(core: Core, { session, facts, stream }: Bridged): Promise<void> {
  const { clock, limits, random } = core.options;
  const pauses = backoff({
    baseMs: limits.deliveryBackoffBaseMs,
    capMs: limits.deliveryBackoffCapMs,
    random,
  });
  const end = new AbortController();
  stream.onEnd(() => end.abort());
  while (!stream.closed) {
    const answer = await core.upstream.send({
      method: "GET",
      headers: [["Accept", "text/event-stream"]],
      session: facts,
      signal: end.signal,
      deadlineMs: limits.deliveryAttemptMs,
      retryMs: 0,
      repeatable: true,
    });
    // Not every server has such a stream.
    if (answer.kind !== "stream" && answer.kind !== "unreachable") return;
    if (answer.kind === "stream") {
      pauses.reset();
      await eachMessage(core, answer.response, (text) => core.sessions.tell(session, text));
    }
    await sleep(clock, pauses.next() + limits.probeIntervalMs, end.signal);
  }
}
