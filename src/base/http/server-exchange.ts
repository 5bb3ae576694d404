/**
 * One request at a server and its answer: what a handler gets. The answer is complete (`send`) or a stream; the
 * exchange is over when its last byte was handed to the system, or when the peer was lost before that.
 */
import type { StopSignal } from "../stop-signal.ts";
import type { RequestHead } from "./request-head.ts";

/** Who is told what became of an answer. */
export type AnswerWatch = {
  /** The whole answer was handed to the system. */
  onSent(): void;
  /** It was not, or the peer reset the connection before it asked again: the answer was hardly read. May follow `onSent`. */
  onUnread(): void;
};

/** A complete answer. */
export type ServerAnswer = {
  readonly status: number;
  /** Value of `Content-Type`. */
  readonly type?: string | undefined;
  readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
  readonly body?: string | Uint8Array | undefined;
  readonly watch?: AnswerWatch | undefined;
};

/** The head of an answer that streams. */
export type StreamHead = Pick<ServerAnswer, "status" | "type" | "headers"> & {
  /** Bytes that mean nothing in this stream: written when it has to be found out whether the peer is still there. */
  readonly probe?: string | undefined;
};

/** An answer that is written bit by bit, bounded in what it holds for a slow reader. */
export type StreamWriter = {
  /** False when the stream is over; a reader that is too slow ends it. */
  write(data: string | Uint8Array): boolean;
  /** Ends the answer after what was written. */
  end(watch?: AnswerWatch): void;
  /** Cuts the connection, so that the reader cannot take the answer for whole. */
  cut(): void;
  readonly open: boolean;
  /** Resolves when everything written was handed to the system, or the stream is over. */
  drained(): Promise<void>;
  /** Calls back once when the stream ends for whatever reason; at once when it has. */
  onEnd(callback: () => void): void;
};

/** The body, or why there is none. `ended`: the peer is gone or broke the protocol, which the server has dealt with. */
export type BodyRead = Uint8Array | "too-large" | "ended";

/** What a handler gets. It answers once, now or later. */
export interface ServerExchange {
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  /** The value of a header by lower-case name; several values are joined by commas. */
  header(name: string): string | undefined;
  /** The headers whose names begin with this, in order; names in lower case. */
  headersFrom(prefix: string): readonly (readonly [name: string, value: string])[];
  /** Reads the body; a value at once when it has already come. A client that waits for 100 is told to go on. */
  body(bytesMax: number): BodyRead | Promise<BodyRead>;
  /** The peer has shown who it is: its connection does not make room for others. */
  trust(): void;
  send(answer: ServerAnswer): void;
  stream(head: StreamHead): StreamWriter;
  /** Aborts when the peer is lost before the answer was handed over. */
  readonly gone: StopSignal;
}

/** The connection, as an exchange sees it. */
export type Channel = {
  readBody(bytesMax: number): BodyRead | Promise<BodyRead>;
  trust(): void;
  /** The fields that end a head: `Date`, and what becomes of the connection. @param close it cannot be kept */
  closing(close: boolean): string;
  /** Writes now or later, in order. @returns true when all of it was handed to the system at once */
  write(head: string, body: string | Uint8Array | undefined): boolean;
  readonly queuedBytes: number;
  /** Cuts the connection. */
  cut(): void;
  /** The answer was handed over. */
  finish(exchange: Exchange): void;
};

const reasons: Record<number, string> = {
  200: "OK",
  202: "Accepted",
  204: "No Content",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

/** The first line of an answer. */
export function statusLine(status: number): string {
  return `HTTP/1.1 ${status} ${reasons[status] ?? ""}\r\n`;
}

type State = "asked" | "streaming" | "sent" | "gone";

export class Exchange implements ServerExchange, StopSignal, StreamWriter {
  readonly #channel: Channel;
  readonly #head: RequestHead;
  readonly #streamBytesMax: number;
  #state: State = "asked";
  #watch: AnswerWatch | undefined;
  #probe: string | undefined;
  #listeners: (() => void)[] | undefined;
  #drainers: (() => void)[] | undefined;

  constructor(channel: Channel, head: RequestHead, streamBytesMax: number) {
    this.#channel = channel;
    this.#head = head;
    this.#streamBytesMax = streamBytesMax;
  }

  get method(): string {
    return this.#head.method;
  }

  get target(): string {
    return this.#head.target;
  }

  headersFrom(prefix: string): readonly (readonly [name: string, value: string])[] {
    return this.#head.fields.withPrefix(prefix);
  }

  get gone(): StopSignal {
    return this;
  }

  get aborted(): boolean {
    return this.#state === "gone";
  }

  get reason(): unknown {
    return this.aborted ? "the client closed the connection" : undefined;
  }

  /** An answer was begun. */
  get answered(): boolean {
    return this.#state !== "asked";
  }

  get open(): boolean {
    return this.#state === "streaming";
  }

  header(name: string): string | undefined {
    return this.#head.fields.joined(name);
  }

  body(bytesMax: number): BodyRead | Promise<BodyRead> {
    return this.#state === "asked" ? this.#channel.readBody(bytesMax) : "ended";
  }

  trust(): void {
    this.#channel.trust();
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listeners ??= [];
    this.#listeners.push(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    const index = this.#listeners?.indexOf(listener) ?? -1;
    if (index >= 0) this.#listeners?.splice(index, 1);
  }

  onEnd(callback: () => void): void {
    if (this.#state === "streaming") this.addEventListener("abort", callback);
    else callback();
  }

  send({ status, type, headers, body, watch }: ServerAnswer): void {
    if (this.#state === "gone") watch?.onUnread();
    if (this.#state !== "asked") return;
    this.#state = "sent";
    this.#watch = watch;
    const size = typeof body === "string" ? Buffer.byteLength(body) : (body?.byteLength ?? 0);
    const length = status === 204 ? "" : `Content-Length: ${size}\r\n`;
    const head = `${this.#start(status, type, headers)}${length}${this.#channel.closing(false)}\r\n`;
    if (this.#channel.write(head, this.#head.method === "HEAD" ? undefined : body)) this.flushed();
  }

  stream({ status, type, headers, probe }: StreamHead): StreamWriter {
    if (this.#state !== "asked") return this;
    this.#state = "streaming";
    this.#probe = probe;
    const coding = this.#head.modern ? "Transfer-Encoding: chunked\r\n" : "";
    this.#channel.write(
      `${this.#start(status, type, headers)}${coding}${this.#channel.closing(!this.#head.modern)}\r\n`,
      undefined,
    );
    return this;
  }

  write(data: string | Uint8Array): boolean {
    if (this.#state !== "streaming") return false;
    const size = typeof data === "string" ? Buffer.byteLength(data) : data.byteLength;
    if (size === 0) return true;
    if (this.#channel.queuedBytes + size > this.#streamBytesMax) {
      this.#channel.cut();
      return false;
    }
    if (!this.#head.modern) this.#channel.write("", data);
    else if (typeof data === "string") this.#channel.write("", `${size.toString(16)}\r\n${data}\r\n`);
    else {
      this.#channel.write(`${size.toString(16)}\r\n`, data);
      this.#channel.write("\r\n", undefined);
    }
    // A write may have found that the peer is gone.
    return this.open;
  }

  end(watch?: AnswerWatch): void {
    if (this.#state === "gone") watch?.onUnread();
    if (this.#state !== "streaming") return;
    this.#state = "sent";
    this.#watch = watch;
    this.#over();
    if (!this.#head.modern || this.#channel.write("0\r\n\r\n", undefined)) this.flushed();
  }

  cut(): void {
    if (this.#state === "asked" || this.#state === "streaming") this.#channel.cut();
  }

  drained(): Promise<void> {
    if (!this.open || this.#channel.queuedBytes === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drainers ??= [];
      this.#drainers.push(resolve);
    });
  }

  /** The connection has handed over everything that was written. */
  flushed(): void {
    if (this.#channel.queuedBytes > 0) return;
    this.#wake();
    if (this.#state !== "sent") return;
    this.#watch?.onSent();
    this.#channel.finish(this);
  }

  /** The peer has ended its side, or is gone: only bytes sent to it can tell. Half of a connection still gets an answer. */
  peerEnded(): void {
    if (this.#state === "streaming") {
      if (this.#probe !== undefined) this.write(this.#probe);
    } else if (this.#state === "asked" && this.#head.modern)
      this.#channel.write("HTTP/1.1 100 Continue\r\n\r\n", undefined);
  }

  /** The peer was lost before the answer was handed over, or reset the connection right after it. */
  lost(): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#watch?.onUnread();
    this.#over();
    this.#wake();
  }

  #start(status: number, type: string | undefined, headers: ServerAnswer["headers"] = []): string {
    let head = statusLine(status);
    if (type !== undefined) head += `Content-Type: ${type}\r\n`;
    for (const [name, value] of headers) head += `${name}: ${value}\r\n`;
    return head;
  }

  #over(): void {
    const listeners = this.#listeners;
    this.#listeners = undefined;
    for (const listener of listeners ?? []) listener();
  }

  #wake(): void {
    const drainers = this.#drainers;
    this.#drainers = undefined;
    for (const resolve of drainers ?? []) resolve();
  }
}
