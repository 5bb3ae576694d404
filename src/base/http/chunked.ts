/** Decodes the chunked transfer coding (RFC 9112 §7.1) as bytes arrive, split anywhere; chunks are never copied. */
import { scanFields } from "./fields.ts";
import { malformed, type ParseFault } from "./head.ts";

type Part = "size" | "data" | "data-end" | "trailer" | "done";

const sizeForm = /^([0-9a-fA-F]{1,13})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/;

/** One body; `push` gives its bytes on, `done` says that the last chunk and the trailer were read. */
export class ChunkedDecoder {
  #part: Part = "size";
  #line = "";
  #left = 0;
  #trailerBytes = 0;
  readonly #lineBytesMax: number;

  /** @param lineBytesMax bound for one chunk size with its extensions, and for the whole trailer */
  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  get done(): boolean {
    return this.#part === "done";
  }

  /**
   * Takes bytes from `offset` on and calls `emit` with the data in them.
   * @returns the offset after the last byte that belongs to the body
   */
  push(bytes: Buffer, offset: number, emit: (data: Uint8Array) => void): number | ParseFault {
    let at = offset;
    while (at < bytes.length && this.#part !== "done") {
      if (this.#part === "data") {
        const end = Math.min(bytes.length, at + this.#left);
        emit(bytes.subarray(at, end));
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#part = "data-end";
        continue;
      }
      const feed = bytes.indexOf(10, at);
      const end = feed < 0 ? bytes.length : feed;
      this.#line += bytes.toString("latin1", at, end);
      const fault = this.#checkLine(feed >= 0);
      if (fault !== undefined) return fault;
      at = feed < 0 ? end : feed + 1;
    }
    return at;
  }

  /** Bounds a line that is still growing; takes one that is complete. */
  #checkLine(complete: boolean): ParseFault | undefined {
    const line = this.#line;
    if (line.length + this.#trailerBytes > this.#lineBytesMax)
      return {
        fault: "too-large",
        message: `Read the response: a chunk size or the trailer is longer than ${this.#lineBytesMax} bytes`,
      };
    if (this.#part === "data-end" && line !== "" && line !== "\r")
      return malformed("the end of a chunk", line, "a line end");
    if (!complete) return undefined;
    this.#line = "";
    if (!line.endsWith("\r")) return malformed("a line of the body", line, "one that ends in CR LF");
    return this.#take(line.slice(0, -1));
  }

  #take(line: string): ParseFault | undefined {
    if (this.#part === "data-end") {
      this.#part = "size";
      return undefined;
    }
    if (this.#part === "size") {
      const size = sizeForm.exec(line)?.[1];
      if (size === undefined) return malformed("a chunk size", line, "1 to 13 hexadecimal digits");
      this.#left = Number.parseInt(size, 16);
      this.#part = this.#left === 0 ? "trailer" : "data";
      return undefined;
    }
    if (line === "") {
      this.#part = "done";
      return undefined;
    }
    this.#trailerBytes += line.length + 2;
    const field = scanFields(line, 0);
    return "bad" in field ? malformed(field.bad, field.got, "a name, a colon and a value") : undefined;
  }
}
