/**
 * A response body on its way from a connection to its one reader: holds what was not read yet, and tells the
 * connection when to pause and when to go on. Knows nothing of sockets.
 */
import type { HttpFailure } from "./exchange.ts";

type Result = IteratorResult<Uint8Array, undefined>;
type Waiting = { resolve: (result: Result) => void; reject: (error: HttpFailure) => void };

const finished: Result = { done: true, value: undefined };

export type BodyOwner = {
  /** Everything held was read: more may come. */
  onDrained(): void;
  /** The reader gave up before the end. */
  onGivenUp(): void;
};

/** Read once, from one place at a time; parts come as they arrived. */
export class Body implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #owner: BodyOwner;
  #parts: Uint8Array[] = [];
  #heldBytes = 0;
  #ended = false;
  #failure: HttpFailure | undefined;
  #waiting: Waiting | undefined;

  constructor(owner: BodyOwner) {
    this.#owner = owner;
  }

  /** Adds a part. @returns the bytes that now wait for the reader */
  push(part: Uint8Array): number {
    if (this.#ended || part.byteLength === 0) return this.#heldBytes;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting.resolve({ done: false, value: part });
      return 0;
    }
    this.#parts.push(part);
    this.#heldBytes += part.byteLength;
    return this.#heldBytes;
  }

  /** No more parts. With a failure the reader gets what is held, then the failure. */
  end(failure?: HttpFailure): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (failure === undefined) waiting?.resolve(finished);
    else if (waiting !== undefined) this.#fail(waiting);
  }

  next(): Promise<Result> {
    const value = this.#parts.shift();
    if (value !== undefined) {
      this.#heldBytes -= value.byteLength;
      if (this.#heldBytes === 0 && !this.#ended) this.#owner.onDrained();
      return Promise.resolve({ done: false, value });
    }
    return new Promise((resolve, reject) => {
      if (this.#ended && this.#failure !== undefined) this.#fail({ resolve, reject });
      else if (this.#ended) resolve(finished);
      else if (this.#waiting === undefined) this.#waiting = { resolve, reject };
      else reject(new Error("Read the response body: it is read twice at once, one reader was wanted"));
    });
  }

  /** Gives the rest up; called by `for await` when its loop is left early. */
  return(): Promise<Result> {
    this.discard();
    return Promise.resolve(finished);
  }

  /** Gives the rest up: nothing more is read, a pending read ends. */
  discard(): void {
    this.#parts = [];
    this.#heldBytes = 0;
    this.#failure = undefined;
    if (this.#ended) return;
    this.end();
    this.#owner.onGivenUp();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** A failure is told once; the iterator is at its end afterwards. */
  #fail(waiting: Waiting): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) waiting.reject(failure);
  }
}
