/**
 * Following a feed: one endless sequence of events over as many connections as it takes. It goes on from its cursor,
 * waits longer after each failure, and gives a connection up that has been silent for too long.
 */
import { backoff } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import { sseEvents } from "../base/http/sse.ts";
import type { Random } from "../base/random.ts";
import { linkedAbort } from "../base/signals.ts";
import { limits } from "../limits.ts";
import { feedPath } from "../wire/api.ts";
import { RelayError } from "../wire/error.ts";
import { type Cursor, cursorText, type FeedEvent, feedEventSchema, parseCursor } from "../wire/feed.ts";
import { fetchError, problemIn, RelayUnreachable } from "./answer.ts";
import { connecting, type Fetch } from "./client.ts";

/** connecting: asking. open: the relay has said hello. waiting: before the next attempt, `error` says why. */
export type FeedState = "connecting" | "open" | "waiting";

export type FeedOptions = {
  /** The relay's address without a path. */
  url: string;
  /** Read at every connection. */
  token: () => string | undefined;
  /** Where to begin; without it at what was acknowledged. */
  after?: Cursor | undefined;
  clock: Clock;
  random: Random;
  /** Ends the sequence. */
  signal: AbortSignal;
  onState?: (state: FeedState, error?: RelayError | RelayUnreachable) => void;
  /** Certificates (PEM) that replace the system's authorities. */
  ca?: string | undefined;
  fetch?: Fetch;
};

/** An event, and the cursor after it (kept from the last event that carried one). */
export type FeedItem = { event: FeedEvent; cursor: Cursor | undefined };

/**
 * The events of a feed until the signal aborts. An item counts as taken when the next one is asked for: a
 * connection that ends before is resumed after it.
 * @throws RelayError when asking again cannot help: token_revoked, forbidden, agent_removed, …
 */
export async function* followFeed(options: FeedOptions): AsyncGenerator<FeedItem> {
  const { clock, random, signal, onState = () => {} } = options;
  const delays = backoff({
    baseMs: limits.deliveryBackoffBaseMs,
    capMs: limits.deliveryBackoffCapMs,
    random,
  });
  let cursor = options.after;
  while (!signal.aborted) {
    onState("connecting");
    try {
      for await (const { id, event } of connection(options, cursor)) {
        if (event.type === "hello") {
          delays.reset();
          onState("open");
        }
        cursor = id ?? cursor;
        if (event.type !== "alive") yield { event, cursor };
      }
      onState("waiting");
    } catch (thrown) {
      const error = thrown instanceof RelayError ? thrown : fetchFailure(options.url, thrown);
      if (signal.aborted) return;
      if (error instanceof RelayError && error.retry === "never") throw error;
      onState("waiting", error);
    }
    await sleep(clock, delays.next(), signal);
  }
}

async function* connection(
  options: FeedOptions,
  after: Cursor | undefined,
): AsyncGenerator<{ id: Cursor | undefined; event: FeedEvent }> {
  using ending = linkedAbort(options.signal);
  const quiet = (ms: number, what: string) =>
    silenceTimer({ clock: options.clock, ms }, () =>
      ending.abort(new Error(`The feed ${what} for ${ms} ms`)),
    );
  const silence = quiet(limits.feedSilenceMs, "was silent");
  // Keepalives only show that the connection works: events show that what is behind it does.
  const canary = quiet(limits.feedCanarySilenceMs, "brought no sign of the inbox");
  try {
    const response = await open(options, after, ending.signal);
    silence.heard();
    for await (const { id, data } of sseEvents(heard(response, silence), limits.sseEventBytesMax)) {
      if (data === undefined) continue;
      // The one who reads may take his time: that is not the relay's silence.
      silence.stop();
      canary.stop();
      yield { id: id === undefined ? undefined : parseCursor(id), event: eventOf(options.url, data) };
      silence.heard();
      canary.heard();
    }
  } finally {
    silence.stop();
    canary.stop();
    ending.abort();
  }
}

async function open(options: FeedOptions, after: Cursor | undefined, signal: AbortSignal): Promise<Response> {
  const send = options.fetch ?? fetch;
  const token = options.token();
  const response = await send(`${options.url.replace(/\/+$/, "")}${feedPath}`, {
    redirect: "manual",
    signal,
    headers: {
      Accept: "text/event-stream",
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(after === undefined ? {} : { "Last-Event-ID": cursorText(after) }),
    },
    ...connecting(options),
  });
  const isStream = /^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "");
  if (response.status === 200 && isStream) return response;
  const problem = problemIn(response.status, await response.json().catch(() => undefined));
  throw (
    problem ??
    new RelayUnreachable(
      `Open the feed of ${options.url}: what answered (status ${response.status}) is not an Agent Relay`,
      { sent: "unknown" },
    )
  );
}

async function* heard(response: Response, silence: SilenceTimer): AsyncGenerator<Uint8Array> {
  for await (const chunk of response.body ?? []) {
    silence.heard();
    yield chunk;
  }
}

function eventOf(url: string, data: string): FeedEvent {
  try {
    return feedEventSchema.parse(JSON.parse(data));
  } catch (cause) {
    throw new RelayUnreachable(`Read the feed of ${url}: an event has not the wanted form`, {
      sent: "unknown",
      cause,
    });
  }
}

function fetchFailure(url: string, thrown: unknown): RelayUnreachable {
  return thrown instanceof RelayUnreachable ? thrown : fetchError(url, thrown);
}

type SilenceTimer = { heard(): void; stop(): void };

function silenceTimer({ clock, ms }: { clock: Clock; ms: number }, onSilence: () => void): SilenceTimer {
  let stop = clock.after(ms, onSilence);
  return {
    heard() {
      stop();
      stop = clock.after(ms, onSilence);
    },
    stop: () => stop(),
  };
}
