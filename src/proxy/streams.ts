/**
 * Streams to agents: opened with a comment (headers are not complete on the wire before the first chunk), kept
 * alive with comments, bounded in what they hold for a slow reader, and remembered for `Last-Event-ID`.
 */
import type { Clock } from "../base/clock.ts";
import type { AnswerWatch } from "../base/http/server-exchange.ts";
import { sseComment, sseText } from "../base/http/sse.ts";
import type { Limits } from "../limits.ts";
import type { Asker } from "./outcome.ts";

export type DownStream = {
  /** Monotonic ms. */
  readonly openedAt: number;
  /** Writes text that is already in the form of events; false when the stream is closed or its reader too slow. */
  write(text: string): boolean;
  /** Ends the stream after what was written. @param watch is told what became of it */
  close(watch?: AnswerWatch): void;
  readonly closed: boolean;
  /** Calls back once when the stream ends for whatever reason; at once when it has. */
  onEnd(callback: () => void): void;
};

export type StreamOptions = {
  readonly clock: Clock;
  readonly limits: Limits;
};

/** Opens a stream as the answer to whoever asks; its first bytes are a comment. */
export function openStream(options: StreamOptions, asker: Pick<Asker, "stream">): DownStream {
  const { clock, limits } = options;
  const headers = [
    ["Cache-Control", "no-cache, no-transform"],
    ["X-Accel-Buffering", "no"],
  ] as const;
  const openedAt = clock.monotonic();
  const writer = asker.stream({ status: 200, type: "text/event-stream", headers, probe: sseComment });
  let stopTimer: (() => void) | undefined;
  const write = (text: string): boolean => {
    if (!writer.write(text)) return false;
    arm();
    return true;
  };
  /** A comment after every silence; each write begins the silence anew. */
  const arm = () => {
    stopTimer?.();
    stopTimer = clock.after(limits.streamKeepaliveMs, () => write(sseComment));
  };
  writer.onEnd(() => stopTimer?.());
  write(sseComment);
  return {
    openedAt,
    write,
    close: (watch) => writer.end(watch),
    onEnd: (callback) => writer.onEnd(callback),
    get closed() {
      return !writer.open;
    },
  };
}

/** One message as an event. */
export function messageEvent(data: string, id?: string): string {
  return sseText({ id, event: "message", data });
}

/** The last events of one session, by ids that no other endpoint run can have made. */
export class EventRing {
  readonly #boot: string;
  readonly #most: number;
  #events: { number: number; data: string }[] = [];
  #count = 0;

  /** @param boot names this run of the endpoint @param most events kept */
  constructor(boot: string, most: number) {
    this.#boot = boot;
    this.#most = most;
  }

  /** Keeps a message and returns its event id. */
  add(data: string): string {
    this.#count += 1;
    this.#events.push({ number: this.#count, data });
    if (this.#events.length > this.#most) this.#events.shift();
    return this.#id(this.#count);
  }

  /** The id of the newest event, for the first event of a stream. */
  get position(): string {
    return this.#id(this.#count);
  }

  /** Everything after this id; undefined when the id is not ours or what followed it is gone. */
  after(lastEventId: string): { id: string; data: string }[] | undefined {
    const match = /^([^:]+):(\d+)$/.exec(lastEventId);
    if (match === null || match[1] !== this.#boot) return undefined;
    const number = Number(match[2]);
    const oldest = this.#events[0]?.number ?? this.#count + 1;
    if (number > this.#count || number < oldest - 1) return undefined;
    return this.#events
      .filter((event) => event.number > number)
      .map(({ number: own, data }) => ({ id: this.#id(own), data }));
  }

  #id(number: number): string {
    return `${this.#boot}:${number}`;
  }
}
