/**
 * Streams that answer one request of a legacy session: primed with an event id and kept for a while, so that an agent
 * whose connection broke takes its answer up again by `Last-Event-ID` (MCP 2025-11-25 basic/transports).
 */
import type { AnswerWatch } from "../base/http/server-exchange.ts";
import { sseText } from "../base/http/sse.ts";
import { errorText, type RawId, resultText, rpcCode } from "../wire/jsonrpc.ts";
import type { Asker } from "./outcome.ts";
import type { SessionFacts } from "./session.ts";
import { type DownStream, messageEvent, openStream, type StreamOptions } from "./streams.ts";

/** The agent's side of one answer. */
export type CallStream = {
  /** Writes one message; false when nobody is there to take it now. */
  message(data: string): boolean;
  /** @param watch is told what became of the answer */
  close(watch?: AnswerWatch): void;
  readonly closed: boolean;
};

/** As much of a request as its stream depends on. */
export type Asking = {
  readonly era: { readonly name: string };
  readonly message: { readonly id: RawId; readonly method: string };
  readonly session: { readonly uid: string; readonly facts: SessionFacts | undefined };
  readonly asker: Pick<Asker, "stream">;
};

export type CallStreams = {
  /** Opens the stream of an answer, kept when its session can come back for it. */
  open(ask: Asking): CallStream;
  /** Goes on with a stream of this session after one of its events; false when the id names none of ours. */
  resume(uid: string, lastEventId: string, asker: Pick<Asker, "stream">): boolean;
};

type Kept = {
  readonly uid: string;
  readonly name: string;
  events: { number: number; data: string }[];
  count: number;
  bytes: number;
  down: DownStream;
  ended: boolean;
};

/** A JSON-RPC id as it is written. */
const rawId = /^(?:"(?:[^"\\\p{Cc}]|\\["\\/bfnrtu])*"|-?\d+)$/u;
/** Versions whose clients take an event without data (MCP 2025-11-25 basic/transports, sending messages). */
const firstVersion = "2025-11-25";

/** @param boot names this run of the endpoint */
export function createCallStreams(options: StreamOptions, boot: string): CallStreams {
  return new CallStreamBook(options, boot);
}

class CallStreamBook implements CallStreams {
  readonly #options: StreamOptions;
  readonly #boot: string;
  readonly #kept = new Map<string, Kept>();
  #opened = 0;

  constructor(options: StreamOptions, boot: string) {
    this.#options = options;
    this.#boot = boot;
  }

  open(ask: Asking): CallStream {
    const down = openStream(this.#options, ask.asker);
    const { facts, uid } = ask.session;
    const canResume = ask.era.name === "legacy" && facts !== undefined && facts.version >= firstVersion;
    if (!canResume) {
      return {
        message: (data) => down.write(messageEvent(data)),
        close: (watch) => down.close(watch),
        get closed() {
          return down.closed;
        },
      };
    }
    this.#opened += 1;
    const name = `${this.#boot}:${this.#opened}:${requestMark(ask)}`;
    const kept: Kept = { uid, name, events: [], count: 0, bytes: 0, down, ended: false };
    this.#keep(kept);
    down.write(`retry: ${this.#options.limits.streamRetryMs}\n${sseText({ id: `${name}:0`, data: "" })}`);
    return {
      message: (data) => this.#add(kept, data),
      close: (watch) => this.#end(kept, watch),
      get closed() {
        return kept.down.closed;
      },
    };
  }

  resume(uid: string, lastEventId: string, asker: Pick<Asker, "stream">): boolean {
    const [, name = "", last = ""] = /^(.+):(\d{1,9})$/.exec(lastEventId) ?? [];
    const kept = this.#kept.get(name);
    if (kept === undefined || kept.uid !== uid) return this.#lost(name, asker);
    const number = Number(last);
    const missed = kept.events.filter((event) => event.number > number);
    if (number > kept.count || missed.length < kept.count - number) return this.#lost(name, asker);
    kept.down.close();
    kept.down = openStream(this.#options, asker);
    const { down } = kept;
    for (const event of missed) down.write(messageEvent(event.data, `${name}:${event.number}`));
    if (kept.ended) down.close();
    return true;
  }

  /** A stream that is gone is answered all the same: a client would wait for its response for ever. */
  #lost(name: string, asker: Pick<Asker, "stream">): boolean {
    const [, boot = "", kind, coded = ""] = /^([0-9a-f]+):\d+:([tr])([\w-]+)$/.exec(name) ?? [];
    if (kind === undefined) return false;
    const id = Buffer.from(coded, "base64url").toString();
    if (!rawId.test(id)) return false;
    const why = boot === this.#boot ? "is not kept any more" : "was lost when the proxy was restarted";
    const words = `the answer ${why}. Whether it ran: unknown. Check its effect before you call it again.`;
    const down = openStream(this.#options, asker);
    const failed = { content: [{ type: "text", text: words }], isError: true };
    const error = { code: rpcCode.internal, message: words };
    const text = kind === "t" ? resultText(id, failed) : errorText(id, error);
    down.write(messageEvent(text));
    down.close();
    return true;
  }

  #add(kept: Kept, data: string): boolean {
    const { limits } = this.#options;
    kept.count += 1;
    kept.bytes += data.length;
    kept.events.push({ number: kept.count, data });
    while (kept.events.length > limits.resumeEventsMax || kept.bytes > limits.streamBufferBytesMax) {
      const oldest = kept.events.shift();
      if (oldest === undefined) break;
      kept.bytes -= oldest.data.length;
    }
    return kept.down.write(messageEvent(data, `${kept.name}:${kept.count}`));
  }

  #end(kept: Kept, watch?: AnswerWatch): void {
    kept.ended = true;
    if (kept.down.closed) watch?.onUnread();
    else kept.down.close(watch);
    this.#options.clock.after(this.#options.limits.resumeCallMs, () => this.#kept.delete(kept.name));
  }

  /** At the limit the oldest one goes, one that has ended first. */
  #keep(kept: Kept): void {
    this.#kept.set(kept.name, kept);
    if (this.#kept.size <= this.#options.limits.resumeCallsMax) return;
    const all = [...this.#kept.values()];
    const oldest = all.find(({ ended }) => ended) ?? all[0];
    if (oldest !== undefined) this.#kept.delete(oldest.name);
  }
}

/** What a later run of the endpoint has to know of the request: whether it is a tool call, and its id. */
function requestMark({ message }: Asking): string {
  return `${message.method === "tools/call" ? "t" : "r"}${Buffer.from(message.id).toString("base64url")}`;
}
