/**
 * What one connection of the server still has to write: at once when the system takes it, else queued, in order. A
 * reader that takes nothing for too long is given up.
 */
import type { Socket } from "bun";
import type { Clock } from "../clock.ts";

export type OutputOwner = {
  readonly clock: Clock;
  /** How long the reader may take nothing, ms. */
  readonly stalledMs: number;
  /** Room in which an answer is put together before it is written; used within one call only. */
  readonly scratch: Buffer;
  /** The peer is gone. */
  onBroken(): void;
  /** The reader takes nothing any more. */
  onStalled(): void;
};

export class Output {
  readonly #owner: OutputOwner;
  readonly #socket: Socket<unknown>;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #stopStall: (() => void) | undefined;

  constructor(owner: OutputOwner, socket: Socket<unknown>) {
    this.#owner = owner;
    this.#socket = socket;
  }

  /** Bytes the system has not taken yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Writes a head (Latin-1) and a body. @returns true when the system took all of it at once */
  write(head: string, body: string | Uint8Array | undefined): boolean {
    const { scratch } = this.#owner;
    const most = body === undefined ? 0 : typeof body === "string" ? body.length * 3 : body.byteLength;
    if (head.length + most > scratch.byteLength) {
      if (head !== "") this.#put(Buffer.from(head, "latin1"));
      return this.#put(typeof body === "string" ? Buffer.from(body) : (body ?? new Uint8Array()));
    }
    let length = head === "" ? 0 : scratch.write(head, 0, "latin1");
    if (typeof body === "string") length += scratch.write(body, length, "utf8");
    else if (body !== undefined) {
      scratch.set(body, length);
      length += body.byteLength;
    }
    return this.#put(scratch, length);
  }

  /** The system takes bytes again. @returns true when nothing is left */
  drain(): boolean {
    this.#stopStall?.();
    this.#stopStall = undefined;
    for (let part = this.#queue[0]; part !== undefined; part = this.#queue[0]) {
      const written = this.#socket.write(part);
      if (written < 0) {
        this.#owner.onBroken();
        return false;
      }
      this.#queuedBytes -= written;
      if (written < part.byteLength) {
        this.#queue[0] = part.subarray(written);
        this.#watch();
        return false;
      }
      this.#queue.shift();
    }
    return true;
  }

  /** Forgets what is queued; nothing may be written any more. */
  close(): void {
    this.#stopStall?.();
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #put(bytes: Uint8Array, length = bytes.byteLength): boolean {
    if (length === 0) return this.#queuedBytes === 0;
    let written = 0;
    if (this.#queuedBytes === 0) {
      written = this.#socket.write(bytes, 0, length);
      if (written === length) return true;
      if (written < 0) {
        this.#owner.onBroken();
        return false;
      }
    }
    this.#queue.push(Buffer.from(bytes.subarray(written, length)));
    this.#queuedBytes += length - written;
    this.#watch();
    return false;
  }

  #watch(): void {
    this.#stopStall ??= this.#owner.clock.after(this.#owner.stalledMs, () => this.#owner.onStalled());
  }
}
