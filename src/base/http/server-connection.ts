/**
 * One connection of a client: requests one after another, each answered before the next is looked at; bounded in what
 * it holds, with a deadline for everything it waits for. It knows when an answer was handed to the system.
 */
import type { Socket } from "bun";
import type { Limits } from "../../limits.ts";
import type { Clock } from "../clock.ts";
import { tokenEnd } from "./fields.ts";
import { RequestBody } from "./request-body.ts";
import { badRequest, type HeadFault, parseRequestHead } from "./request-head.ts";
import { type BodyRead, type Channel, Exchange, statusLine } from "./server-exchange.ts";
import { Output, type OutputOwner } from "./server-output.ts";

/** The server. */
export type ServerConnectionOwner = {
  readonly clock: Clock;
  readonly limits: Limits;
  /** No connection is kept any more. */
  readonly closing: boolean;
  /** The `Date` field of this second. */
  date(): string;
  /** Room in which an answer is put together before it is written; used within one call only. */
  readonly scratch: Buffer;
  onExchange(exchange: Exchange): void;
  onTrusted(connection: ServerConnection): void;
  onGone(connection: ServerConnection): void;
};

type Refusal = { readonly status: HeadFault["status"] | 408 | 413; readonly message: string };
/** `lingering`: the last answer was written and the client may still be sending. */
type State = "open" | "lingering" | "gone";

const headEnd = Buffer.from("\r\n\r\n");

export class ServerConnection implements Channel, OutputOwner {
  /** Monotonic ms since which the sweep has seen it idle. */
  idleSince: number | undefined;
  readonly #owner: ServerConnectionOwner;
  readonly #socket: Socket<ServerConnection>;
  readonly #output: Output;
  #state: State = "open";
  /** Bytes that came and were not taken yet: from `#at` on. */
  #bytes: Buffer | undefined;
  #at = 0;
  /** Up to here no end of a head was found. */
  #searched = 0;
  #exchange: Exchange | undefined;
  /** The last exchange, while nothing has come after it. */
  #answered: Exchange | undefined;
  #body: RequestBody | undefined;
  #onBody: ((read: BodyRead) => void) | undefined;
  #expects = false;
  #close = false;
  #peerEnded = false;
  #advancing = false;
  #paused = false;
  #stopDeadline: (() => void) | undefined;

  constructor(owner: ServerConnectionOwner, socket: Socket<ServerConnection>) {
    this.#owner = owner;
    this.#socket = socket;
    this.#output = new Output(this, socket);
    this.#arm();
  }

  get queuedBytes(): number {
    return this.#output.queuedBytes;
  }

  get clock(): Clock {
    return this.#owner.clock;
  }

  get stalledMs(): number {
    return this.#owner.limits.streamStalledMs;
  }

  get scratch(): Buffer {
    return this.#owner.scratch;
  }

  onBroken(): void {
    this.gone();
  }

  onStalled(): void {
    this.cut();
  }

  /** Between two requests. */
  get idle(): boolean {
    return this.#exchange === undefined && this.#bytes === undefined && this.#output.queuedBytes === 0;
  }

  /** Socket event: bytes came. */
  receive(bytes: Buffer): void {
    if (this.#state !== "open") return;
    const held = this.#bytes;
    if (held === undefined) this.#at = 0;
    this.#bytes = held === undefined ? bytes : Buffer.concat([held.subarray(this.#at), bytes]);
    if (held !== undefined) {
      this.#searched = Math.max(0, this.#searched - this.#at);
      this.#at = 0;
    }
    this.#advance();
    this.#restrain();
  }

  /** Socket event: the system takes bytes again. */
  drain(): void {
    if (this.#output.queuedBytes === 0 || !this.#output.drain()) return;
    if (this.#exchange !== undefined) this.#exchange.flushed();
    else if (this.#state === "lingering") this.#farewell();
  }

  /** Socket event: the peer sends nothing more. It may still read. */
  ended(): void {
    this.#peerEnded = true;
    if (this.#state === "lingering") {
      if (this.#output.queuedBytes === 0) this.close();
    } else if (this.#exchange === undefined) this.close();
    else if (this.#onBody !== undefined) this.cut();
    else this.#exchange.peerEnded();
  }

  /** Ends the connection; what the system has taken still goes out. */
  close(): void {
    if (this.#state === "gone") return;
    this.#socket.end();
    this.gone();
  }

  /** Ends the connection at once. */
  cut(): void {
    if (this.#state === "gone") return;
    this.#socket.terminate();
    this.gone();
  }

  /** Socket event: the connection is no more. @param error it was broken, not ended */
  gone(error?: Error): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    if (error !== undefined) this.#answered?.lost();
    this.#answered = undefined;
    this.#stopDeadline?.();
    this.#output.close();
    this.#bytes = undefined;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#owner.onGone(this);
    this.#settleBody("ended");
    exchange?.lost();
  }

  trust(): void {
    this.#owner.onTrusted(this);
  }

  closing(close: boolean): string {
    if (close || this.#owner.closing || !this.#skippable()) this.#close = true;
    return this.#close ? `${this.#owner.date()}Connection: close\r\n` : this.#owner.date();
  }

  write(head: string, body: string | Uint8Array | undefined): boolean {
    return this.#state !== "gone" && this.#output.write(head, body);
  }

  readBody(bytesMax: number): BodyRead | Promise<BodyRead> {
    const body = this.#body;
    if (body === undefined) return new Uint8Array();
    if (!body.keep(bytesMax)) return "too-large";
    const read = this.#feed(body);
    if (read !== undefined) return read;
    if (this.#peerEnded) {
      this.cut();
      return "ended";
    }
    if (this.#expects) this.write("HTTP/1.1 100 Continue\r\n\r\n", undefined);
    this.#expects = false;
    this.#arm();
    return new Promise((resolve) => {
      this.#onBody = resolve;
    });
  }

  finish(exchange: Exchange): void {
    if (exchange !== this.#exchange) return;
    this.#exchange = undefined;
    this.#answered = exchange;
    this.idleSince = undefined;
    this.#settleBody("ended");
    if (this.#close || this.#peerEnded) {
      this.#linger();
      return;
    }
    if (this.#body !== undefined) {
      this.#body.skip();
      this.#arm();
    }
    this.#advance();
    this.#restrain();
  }

  /** Goes on with what has come. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#state === "open" && this.#bytes !== undefined && this.#step());
    this.#advancing = false;
  }

  /** @returns false when more bytes, or something else, are needed first */
  #step(): boolean {
    const body = this.#body;
    if (this.#exchange !== undefined) {
      if (this.#onBody === undefined || body === undefined) return false;
      const read = this.#feed(body);
      if (read !== undefined) this.#settleBody(read);
      return read !== undefined;
    }
    if (this.#output.queuedBytes > 0) return false;
    if (body === undefined) return this.#next();
    const read = this.#feed(body);
    // What was skipped may be anything but endless; a body that breaks the coding has ended the connection.
    return read !== undefined && read !== "ended";
  }

  /** Reads the head of the next request, if it is there, and gives it to the handler. */
  #next(): boolean {
    const bytes = this.#bytes;
    if (bytes === undefined) return false;
    const { limits } = this.#owner;
    // One empty line before a request is an old habit of clients (RFC 9112 §2.2).
    if (bytes[this.#at] === 13 && bytes[this.#at + 1] === 10) this.#at += 2;
    const end = bytes.indexOf(headEnd, Math.max(this.#at, this.#searched));
    const size = (end < 0 ? bytes.length : end) - this.#at;
    if (size > limits.requestHeadBytesMax)
      return this.#refuse({
        status: 431,
        message: `Read the request: its head is longer than ${limits.requestHeadBytesMax} bytes`,
      });
    if (end < 0) return this.#wait(bytes);
    const head = parseRequestHead(bytes.toString("latin1", this.#at, end), limits.requestFieldsMax);
    if ("status" in head) return this.#refuse(head);
    this.#take(end + 4);
    this.#body =
      head.chunked || head.length > 0 ? new RequestBody(head, limits.requestHeadBytesMax) : undefined;
    this.#expects = head.expects;
    this.#close = !head.keepAlive;
    this.#searched = 0;
    this.#disarm();
    this.#answered = undefined;
    const exchange = new Exchange(this, head, limits.streamBufferBytesMax);
    this.#exchange = exchange;
    this.#owner.onExchange(exchange);
    return this.#exchange === undefined;
  }

  /** Waits for the rest of a head, unless what is there can no longer become one. */
  #wait(bytes: Buffer): false {
    if (this.#at === bytes.length) {
      this.#take(bytes.length);
      return false;
    }
    if (tokenEnd(bytes.toString("latin1", this.#at, this.#at + 1), 0) === 0)
      return this.#refuse(badRequest("the beginning", bytes.toString("latin1", this.#at), "a method"));
    for (
      let feed = bytes.indexOf(10, Math.max(this.#at, this.#searched));
      feed >= 0;
      feed = bytes.indexOf(10, feed + 1)
    )
      if (bytes[feed - 1] !== 13) return this.#refuse(badRequest("a line of the head", "LF alone", "CR LF"));
    this.#searched = Math.max(this.#at, bytes.length - 3);
    this.#arm();
    return false;
  }

  /** Marks bytes up to `at` as used. */
  #take(at: number): void {
    this.#at = at;
    if (this.#bytes !== undefined && at >= this.#bytes.length) this.#bytes = undefined;
  }

  /** Gives the body what has come. @returns how it ended, or undefined while it goes on */
  #feed(body: RequestBody): BodyRead | undefined {
    const bytes = this.#bytes;
    if (bytes !== undefined) {
      const end = body.feed(bytes, this.#at);
      if (end === "too-large") return end;
      if (end === "malformed") {
        this.#refuse(badRequest("the body", "a broken chunk", "the chunked coding"));
        return "ended";
      }
      this.#take(end);
    }
    if (!body.done) return undefined;
    this.#body = undefined;
    this.#disarm();
    return body.whole();
  }

  #settleBody(read: BodyRead): void {
    const settle = this.#onBody;
    this.#onBody = undefined;
    settle?.(read);
  }

  /** True when what is left of the body may be read over, so that the connection can be kept. */
  #skippable(): boolean {
    if (this.#body === undefined) return true;
    return (
      !this.#expects &&
      (this.#body.left ?? Number.POSITIVE_INFINITY) <= this.#owner.limits.skippedBodyBytesMax
    );
  }

  /** Ends a request that cannot be read, or took too long. */
  #refuse({ status, message }: Refusal): false {
    this.#close = true;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange?.answered !== true) {
      const text = `${message}\n`;
      const fields = `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`;
      this.write(`${statusLine(status)}${fields}${this.closing(true)}\r\n`, text);
    }
    this.#linger();
    this.#settleBody("ended");
    exchange?.lost();
    return false;
  }

  /** Says goodbye; reads on for a moment when the client may still be sending. */
  #linger(): void {
    if (this.#state !== "open") return;
    this.#bytes = undefined;
    this.#state = "lingering";
    this.#disarm();
    this.#stopDeadline = this.#owner.clock.after(this.#owner.limits.serverLingerMs, () => this.cut());
    this.#resume();
    if (this.#output.queuedBytes === 0) this.#farewell();
  }

  /** Everything was said. */
  #farewell(): void {
    if (this.#peerEnded) this.close();
    else this.#socket.shutdown();
  }

  /** The request has to be complete in time. */
  #arm(): void {
    const { clock, limits } = this.#owner;
    this.#stopDeadline ??= clock.after(limits.requestReadMs, () => this.#late());
  }

  #disarm(): void {
    this.#stopDeadline?.();
    this.#stopDeadline = undefined;
  }

  #late(): void {
    this.#stopDeadline = undefined;
    if (this.#bytes === undefined && this.#exchange === undefined && this.#body === undefined) this.close();
    else
      this.#refuse({
        status: 408,
        message: `Read the request: it was not complete within ${this.#owner.limits.requestReadMs} ms`,
      });
  }

  /** Reads no more than it may hold. */
  #restrain(): void {
    const held = this.#bytes === undefined ? 0 : this.#bytes.length - this.#at;
    if (held <= this.#owner.limits.skippedBodyBytesMax || this.#state !== "open") this.#resume();
    else if (!this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }
}
