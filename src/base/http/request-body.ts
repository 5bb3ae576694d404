/**
 * The body of a request as it arrives on a connection: collected up to the bound that its reader sets, or skipped.
 * Knows nothing of sockets.
 */
import { ChunkedDecoder } from "./chunked.ts";
import type { RequestHead } from "./request-head.ts";

const nothing = new Uint8Array();

/** One body. `feed` takes its bytes and says where the next message begins; `done` says that it is complete. */
export class RequestBody {
  readonly #decoder: ChunkedDecoder | undefined;
  #left: number;
  #parts: Uint8Array[] = [];
  #size = 0;
  /** Undefined: nobody wants the bytes, they are skipped. */
  #bytesMax: number | undefined;

  /** @param lineBytesMax bound for a chunk size, and for the trailer */
  constructor(head: RequestHead, lineBytesMax: number) {
    this.#left = head.length;
    this.#decoder = head.chunked ? new ChunkedDecoder(lineBytesMax) : undefined;
  }

  get done(): boolean {
    return this.#decoder === undefined ? this.#left === 0 : this.#decoder.done;
  }

  /** Bytes that are still to come; undefined when that is not announced. */
  get left(): number | undefined {
    return this.#decoder === undefined ? this.#left : undefined;
  }

  /** From now on the bytes are kept. @returns false when the announced body is larger than the bound */
  keep(bytesMax: number): boolean {
    if (this.#left > bytesMax) return false;
    this.#bytesMax = bytesMax;
    return true;
  }

  /** From now on the bytes are dropped. */
  skip(): void {
    this.#bytesMax = undefined;
    this.#parts = [];
  }

  /**
   * Takes what belongs to the body.
   * @returns the offset after it, or why it cannot be read
   */
  feed(bytes: Buffer, at: number): number | "malformed" | "too-large" {
    if (this.#decoder === undefined) {
      const end = Math.min(bytes.length, at + this.#left);
      this.#left -= end - at;
      if (end > at) this.#add(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
      return end;
    }
    const end = this.#decoder.push(bytes, at, (data) => this.#add(data));
    if (typeof end !== "number") return "malformed";
    return this.#bytesMax !== undefined && this.#size > this.#bytesMax ? "too-large" : end;
  }

  /** What was kept, as one piece. */
  whole(): Uint8Array {
    const [first] = this.#parts;
    const whole = this.#parts.length < 2 ? (first ?? nothing) : Buffer.concat(this.#parts);
    this.#parts = [];
    return whole;
  }

  #add(data: Uint8Array): void {
    this.#size += data.byteLength;
    if (this.#bytesMax !== undefined && this.#size <= this.#bytesMax) this.#parts.push(data);
  }
}
