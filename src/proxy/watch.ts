/**
 * The control-plane subscription to a foreign upstream: one stream per endpoint that brings its list changes,
 * opened again for ever. Our own relay tells of changes by its feed instead.
 */
import { backoff } from "../base/backoff.ts";
import { sleep } from "../base/clock.ts";
import { HttpFailure, type HttpResponse } from "../base/http/exchange.ts";
import { SseTooLarge, sseEvents } from "../base/http/sse.ts";
import { requestText } from "../wire/jsonrpc.ts";
import { controlSession, envelope, modernHeaders } from "./control.ts";
import type { Core } from "./core.ts";
import { parseObject } from "./final.ts";
import { listChanged } from "./sessions.ts";
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
  let first = true;
  while (!signal.aborted) {
    const answer = await subscribe(core, signal);
    if (answer?.kind === "stream") {
      pauses.reset();
      // What changed while there was no stream is not told by the next one.
      if (!first) core.lists.follow();
      first = false;
      await follow(core, answer.response);
    }
    // An upstream without such a stream is asked again at the longest pause.
    const refused = answer?.kind === "refused" || answer?.kind === "json";
    await sleep(
      clock,
      refused ? limits.deliveryBackoffCapMs : pauses.next() + limits.probeIntervalMs,
      signal,
    );
  }
}

async function subscribe(core: Core, signal: AbortSignal): Promise<UpstreamAnswer | undefined> {
  const { limits } = core.options;
  const common = { signal, deadlineMs: limits.deliveryAttemptMs, retryMs: 0, repeatable: true };
  if (core.upstream.eras.modern === undefined) await core.control.discover();
  if (core.upstream.eras.modern === undefined) return undefined;
  if (core.upstream.eras.modern) {
    const params = {
      notifications: { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true },
      _meta: envelope(core.options),
    };
    const body = encoder.encode(requestText('"agent-relay-listen"', "subscriptions/listen", params));
    return core.upstream.send({ ...common, headers: modernHeaders("subscriptions/listen", params), body });
  }
  const headers = [["Accept", "text/event-stream"]] as const;
  return core.upstream.send({ ...common, method: "GET", headers, session: controlSession });
}

async function follow(core: Core, response: HttpResponse): Promise<void> {
  try {
    for await (const event of sseEvents(response.body, core.options.limits.sseEventBytesMax)) {
      const method = event.data === undefined ? undefined : parseObject(event.data)?.method;
      if (Object.values<unknown>(listChanged).includes(method)) core.upstreamNotified(String(method));
    }
  } catch (error) {
    if (!(error instanceof HttpFailure || error instanceof SseTooLarge)) throw error;
  } finally {
    response.cancel();
  }
}
