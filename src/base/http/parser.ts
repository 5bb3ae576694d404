/**
 * Reads responses from the bytes of one connection, however they are split. Pure: it calls its sink and returns
 * faults; sockets, time and the fate of the connection are its owner's.
 */
import { ChunkedDecoder } from "./chunked.ts";
import { type Head, malformed, type ParseFault, parseHead } from "./head.ts";

/** Who is told about a response, in this order: head, any number of body parts, end. */
export type ResponseSink = {
  onHead(head: Head): void;
  /** Instead of all the others, for a response whose body has a length and came with its head. */
  onWhole?(head: Head, body: Uint8Array, extra: boolean): void;
  /** The bytes are given away and never touched again. */
  onBody(data: Uint8Array): void;
  /** @param extra more bytes came after the end of the response */
  onEnd(extra: boolean): void;
};

type Part = "head" | "length" | "chunked" | "close" | "done";

const headEnd = Buffer.from("\r\n\r\n");
const nothing = Buffer.alloc(0);
const opening = "HTTP/1.";

/** Parses one response at a time; `begin` makes it ready for the next. */
export class ResponseParser {
  readonly #sink: ResponseSink;
  readonly #headBytesMax: number;
  readonly #emit: (data: Uint8Array) => void;
  #part: Part = "done";
  #method = "GET";
  /** Bytes of an incomplete head; empty as a rule, since heads mostly come in one read. */
  #held: Buffer = nothing;
  #heldBytes = 0;
  /** Bytes of interim heads already skipped: they count against the bound, or 1xx could go on for ever. */
  #skippedBytes = 0;
  #left = 0;
  #chunks: ChunkedDecoder | undefined;

  constructor(sink: ResponseSink, headBytesMax: number) {
    this.#sink = sink;
    this.#headBytesMax = headBytesMax;
    this.#emit = (data) => sink.onBody(data);
  }

  /** Expects the response to a request with this method. */
  begin(method: string): void {
    this.#part = "head";
    this.#method = method;
    this.#heldBytes = 0;
    this.#skippedBytes = 0;
  }

  /** Takes the next bytes of the stream. After a fault the stream cannot be used any more. */
  push(bytes: Buffer): ParseFault | undefined {
    return this.#part === "head" ? this.#pushHead(bytes) : this.#pushBody(bytes, 0);
  }

  /** The peer ended the stream. True when that completes the response, false when it cuts it short. */
  finish(): boolean {
    if (this.#part !== "close") return this.#part === "done";
    this.#end(false);
    return true;
  }

  #pushHead(bytes: Buffer): ParseFault | undefined {
    let data = bytes;
    let from = 0;
    if (this.#heldBytes > 0) {
      from = Math.max(0, this.#heldBytes - 3);
      data = this.#hold(bytes, 0);
    }
    let start = 0;
    for (;;) {
      const end = data.indexOf(headEnd, from);
      const headBytes = (end < 0 ? data.length : end + 4) - start + this.#skippedBytes;
      if (headBytes > this.#headBytesMax)
        return {
          fault: "too-large",
          message: `Read the response: its head is longer than ${this.#headBytesMax} bytes`,
        };
      if (end < 0) return this.#waitForHead(data, start, from);
      const head = parseHead(data.toString("latin1", start, end), this.#method);
      if ("fault" in head) return head;
      start = from = end + 4;
      if (head.status >= 200) {
        this.#heldBytes = 0;
        return this.#open(head, data, start);
      }
      // Nobody asked for another protocol, so 101 has no meaning; the other interim answers are skipped.
      if (head.status === 101) return malformed("the status", "101", "no change of protocol");
      this.#skippedBytes = headBytes;
    }
  }

  /** Keeps an incomplete head, unless what is there can no longer become one. */
  #waitForHead(data: Buffer, start: number, from: number): ParseFault | undefined {
    const begin = data.toString("latin1", start, Math.min(data.length, start + opening.length));
    if (!opening.startsWith(begin)) return malformed("the beginning", begin, opening);
    for (let feed = data.indexOf(10, from); feed >= 0; feed = data.indexOf(10, feed + 1))
      if (data[feed - 1] !== 13) return malformed("a line of the head", "LF alone", "CR LF");
    if (this.#heldBytes === 0 || start > 0) {
      this.#heldBytes = 0;
      this.#hold(data, start);
    }
    return undefined;
  }

  /** Appends to the held bytes in a buffer that doubles, so that a head in many pieces costs no more than its length. */
  #hold(bytes: Buffer, start: number): Buffer {
    const total = this.#heldBytes + bytes.length - start;
    if (this.#held.length < total || this.#heldBytes === 0) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1_024, total * 2));
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldBytes, start);
    this.#heldBytes = total;
    return this.#held.subarray(0, total);
  }

  #open(head: Head, bytes: Buffer, at: number): ParseFault | undefined {
    const { framing } = head;
    if (
      framing.kind === "length" &&
      bytes.length - at >= framing.length &&
      this.#sink.onWhole !== undefined
    ) {
      const end = at + framing.length;
      this.#part = "done";
      this.#sink.onWhole(head, bytes.subarray(at, end), end < bytes.length);
      return undefined;
    }
    this.#part = framing.kind === "none" ? "done" : framing.kind;
    if (framing.kind === "length") this.#left = framing.length;
    if (framing.kind === "chunked") this.#chunks = new ChunkedDecoder(this.#headBytesMax);
    this.#sink.onHead(head);
    if (framing.kind === "none") this.#end(at < bytes.length);
    else if (at < bytes.length) return this.#pushBody(bytes, at);
    return undefined;
  }

  #pushBody(bytes: Buffer, at: number): ParseFault | undefined {
    if (this.#part === "length") {
      const end = Math.min(bytes.length, at + this.#left);
      this.#left -= end - at;
      this.#sink.onBody(bytes.subarray(at, end));
      if (this.#left === 0) this.#end(end < bytes.length);
    } else if (this.#part === "close") {
      this.#sink.onBody(at === 0 ? bytes : bytes.subarray(at));
    } else if (this.#part === "chunked" && this.#chunks !== undefined) {
      const end = this.#chunks.push(bytes, at, this.#emit);
      if (typeof end !== "number") return end;
      if (this.#chunks.done) this.#end(end < bytes.length);
    }
    return undefined;
  }

  #end(extra: boolean): void {
    this.#part = "done";
    this.#chunks = undefined;
    if (this.#held.length > 0) this.#held = nothing;
    this.#sink.onEnd(extra);
  }
}
