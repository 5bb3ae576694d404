/**
 * The feed of one principal as server-sent events: `hello`, the inbox after the cursor, then what comes, and hints.
 * Everything is read from the store after the stream's own cursor; the hub only says when to look.
 */
import { sseComment, sseText } from "../base/http/sse.ts";
import { limits } from "../limits.ts";
import type { InboxPage } from "../store/store.ts";
import { feedPath } from "../wire/api.ts";
import { RelayError } from "../wire/error.ts";
import { type Cursor, cursorText, type FeedEvent, parseCursor } from "../wire/feed.ts";
import { type AgentPrincipal, type Principal, requireAgent, requireScope } from "./access.ts";
import type { HintSubject } from "./hub.ts";
import type { Relay } from "./relay.ts";

/** A feed request: the last event id the client has (header or `?after=`), and the abort of its connection. */
export type FeedRequest = { after: string | null; signal: AbortSignal };

/**
 * Opens the feed of a principal.
 * @throws RelayError forbidden, bad_request, rate_limited
 */
export function openFeed(relay: Relay, by: Principal, asked: FeedRequest): Response {
  requireScope(by, "feed:read", "Open the feed");
  const principal = requireAgent(by, "Open the feed");
  const after = cursorOf(asked.after);
  let feed: Feed | undefined;
  const leave = relay.streams.open(principal, () => feed?.close());
  if (leave === undefined) {
    relay.refusals.note("rate_limited", by, feedPath);
    throw new RelayError(
      "rate_limited",
      `Open the feed: the token has ${limits.feedStreamsPerPrincipalMax} streams open, which is the most`,
    );
  }
  feed = new Feed(relay, { principal, after, leave });
  const { body } = feed;
  asked.signal.addEventListener("abort", () => feed.close(), { once: true });
  if (asked.signal.aborted) feed.close();
  return new Response(body, {
    headers: {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-store, no-transform",
      "X-Accel-Buffering": "no",
    },
  });
}

function cursorOf(text: string | null): Cursor | undefined {
  if (text === null || text === "") return undefined;
  const cursor = parseCursor(text);
  if (cursor !== undefined) return cursor;
  throw new RelayError(
    "bad_request",
    `Open the feed after '${text.slice(0, 40)}': that is no cursor, <generation>:<seq> was wanted`,
  );
}

/** One open stream. States: starting, live, closed. */
class Feed {
  readonly body: ReadableStream<Uint8Array>;
  readonly #relay: Relay;
  readonly #principal: AgentPrincipal;
  readonly #hints = new Set<HintSubject>();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly #leave: (() => void)[];
  #stopStall: (() => void) | undefined;
  #closed = false;
  #running = false;
  #inboxGrew = true;
  /** The client is to be told that the inbox was looked into. */
  #canaryDue = false;
  #beats = 0;
  #seq = 0;

  constructor(
    relay: Relay,
    options: { principal: AgentPrincipal; after: Cursor | undefined; leave: () => void },
  ) {
    const { principal, after, leave } = options;
    this.#relay = relay;
    this.#principal = principal;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          // The head of a stream reaches the client with its first bytes.
          this.#write(sseComment);
        },
        pull: () => this.#hasRoom(),
        cancel: () => this.close(),
      },
      { highWaterMark: limits.streamBufferBytesMax, size: (chunk) => chunk?.byteLength ?? 0 },
    );
    const leaveHub = relay.hub.join(principal.agentId, {
      wake: () => {
        this.#inboxGrew = true;
        this.#advance();
      },
      hint: (subject) => {
        this.#hints.add(subject);
        this.#advance();
      },
    });
    this.#leave = [leaveHub, relay.hub.beat(() => this.#beat()), leave];
    this.#running = true;
    this.#guard(this.#begin(after));
  }

  /** @param stalled the reader takes nothing: what is queued for it is thrown away, it resumes by its cursor */
  close(stalled = false): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const leave of this.#leave) leave();
    this.#stopStall?.();
    try {
      if (stalled) this.#controller?.error(new Error("The reader of the feed takes nothing"));
      else this.#controller?.close();
    } catch {
      // The client has ended the stream already.
    }
  }

  /** Finds where the stream begins and says so, then sends what is there. */
  async #begin(after: Cursor | undefined): Promise<void> {
    const { generation } = this.#relay.store.identity;
    const known = after?.generation === generation ? after.seq : undefined;
    const page = await this.#page(known ?? Number.MAX_SAFE_INTEGER, 1);
    const usable = known !== undefined && known <= page.newestSeq;
    this.#seq = usable ? known : page.acknowledgedSeq;
    this.#send(
      { type: "hello", generation, seq: this.#seq, reset: after !== undefined && !usable },
      this.#seq,
    );
    await this.#pump();
  }

  /** Sends hints and pages until there is nothing more or the reader is slow. */
  async #pump(): Promise<void> {
    while (!this.#closed && !this.#isFull() && (this.#inboxGrew || this.#hints.size > 0)) {
      for (const subject of this.#hints) this.#send({ type: "changed", subject });
      this.#hints.clear();
      if (!this.#inboxGrew) continue;
      this.#inboxGrew = false;
      const { messages, more, newestSeq } = await this.#page(this.#seq, limits.inboxPageDefault);
      for (const message of messages) {
        this.#seq = message.seq;
        this.#send({ type: "message", message }, message.seq);
      }
      this.#inboxGrew ||= more;
      if (this.#canaryDue && !more) this.#sendCanary(newestSeq);
    }
    this.#running = false;
  }

  #advance(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#guard(this.#pump());
  }

  #guard(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#relay.log.warn("A feed failed and was closed", { agent: this.#principal.agentName, error });
      this.close();
    });
  }

  #page(afterSeq: number, limit: number): Promise<InboxPage> {
    const { agentId } = this.#principal;
    return this.#relay.store.readInbox({ agentId, afterSeq, unread: false, limit, marksRedelivered: true });
  }

  #send(event: FeedEvent, seq?: number): void {
    const { generation } = this.#relay.store.identity;
    const id = seq === undefined ? undefined : cursorText({ generation, seq });
    this.#write(sseText({ id, data: JSON.stringify(event) }));
  }

  #write(text: string): void {
    if (this.#closed) return;
    this.#controller?.enqueue(Buffer.from(text));
    if (!this.#isFull()) return;
    this.#stopStall ??= this.#relay.clock.after(limits.streamStalledMs, () => this.close(true));
  }

  #isFull(): boolean {
    return (this.#controller?.desiredSize ?? 0) <= 0;
  }

  #hasRoom(): void {
    this.#stopStall?.();
    this.#stopStall = undefined;
    this.#advance();
  }

  /** Breaks the silence: a comment, and every so often a look into the inbox whether a wake was lost. */
  #beat(): void {
    // A full stream gets no more bytes: its reader has to take what is there first.
    if (this.#isFull()) return;
    this.#write(sseComment);
    this.#beats += 1;
    if ((this.#beats * limits.feedKeepaliveMs) % limits.feedCanaryMs !== 0) return;
    this.#canaryDue = true;
    this.#inboxGrew = true;
    this.#advance();
  }

  /** Says that everything up to the newest message has gone through this stream, from the store to its reader. */
  #sendCanary(newestSeq: number): void {
    this.#canaryDue = false;
    this.#seq = Math.max(this.#seq, newestSeq);
    this.#send({ type: "alive", seq: this.#seq }, this.#seq);
  }
}
