/**
 * One request from the call to the last byte of its response: settles the caller's promise once, then its body once,
 * and keeps what may still end it early (deadline, abort signal) hooked up no longer than needed.
 */
import type { Clock } from "../clock.ts";
import { Body } from "./body.ts";
import { HttpFailure, type HttpFailureCause, type HttpRequest, type HttpResponse } from "./exchange.ts";
import type { Head } from "./head.ts";

/** Whoever has the call now, the waiting line or a connection. */
export type CallHolder = {
  /** The call ended early: drop it; a connection that carries it cannot be used again. */
  onGivenUp(call: Call): void;
  /** The reader has caught up. */
  onDrained(): void;
};

type State = "waiting" | "head" | "body" | "done";

export class Call {
  readonly request: HttpRequest;
  /** `unknown` from the moment a byte may have left this process. */
  sent: "no" | "unknown" = "no";
  holder: CallHolder | undefined;
  readonly #settle: { resolve: (response: HttpResponse) => void; reject: (failure: HttpFailure) => void };
  #state: State = "waiting";
  #body: Body | undefined;
  #cancelTimer: (() => void) | undefined;
  #onAbort: (() => void) | undefined;

  constructor(
    request: HttpRequest,
    settle: { resolve: (response: HttpResponse) => void; reject: (failure: HttpFailure) => void },
  ) {
    this.request = request;
    this.#settle = settle;
  }

  get done(): boolean {
    return this.#state === "done";
  }

  /** Hooks up the deadline and the signal. */
  arm(clock: Clock): void {
    const { headDeadlineMs: ms, signal } = this.request;
    if (ms !== undefined)
      this.#cancelTimer = clock.after(ms, () =>
        this.giveUp("timeout", `no response within ${ms} ms, its head was wanted by then`),
      );
    if (signal === undefined) return;
    this.#onAbort = () => this.giveUp("aborted", "the caller aborted it", signal.reason);
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** A connection has it: from here on a response is expected. */
  start(holder: CallHolder): void {
    this.#state = "head";
    this.holder = holder;
  }

  head(head: Head): void {
    if (this.#state !== "head") return;
    this.#state = "body";
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const body = new Body({
      onDrained: () => this.holder?.onDrained(),
      onGivenUp: () => this.giveUp("aborted", "the reader gave the body up"),
    });
    this.#body = body;
    this.#settle.resolve(new Response(head, body));
  }

  /** The response came as one piece. */
  whole(head: Head, body: Uint8Array): void {
    if (this.#state !== "head") return;
    this.#finish();
    this.#settle.resolve(new WholeResponse(head, body));
  }

  /** @returns the bytes that wait for the reader */
  data(bytes: Uint8Array): number {
    return this.#body?.push(bytes) ?? 0;
  }

  /** The response is complete. */
  complete(): void {
    this.#finish();
    this.#body?.end();
  }

  /** Ends the call with a failure and tells the holder. */
  giveUp(why: HttpFailureCause, what: string, cause?: unknown): void {
    const { holder } = this;
    if (this.done) return;
    this.fail(why, what, cause);
    holder?.onGivenUp(this);
  }

  /** Ends the call with a failure: before the head the promise is rejected, after it the body throws. */
  fail(why: HttpFailureCause, what: string, cause?: unknown): void {
    if (this.done) return;
    this.#finish();
    const { method, path } = this.request;
    const failure = new HttpFailure(why, this.sent, `Send ${method} ${withoutQuery(path)}: ${what}`, cause);
    if (this.#body === undefined) this.#settle.reject(failure);
    else this.#body.end(failure);
  }

  #finish(): void {
    this.#state = "done";
    this.holder = undefined;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#onAbort !== undefined) this.request.signal?.removeEventListener("abort", this.#onAbort);
    this.#onAbort = undefined;
  }
}

/** A query may carry secrets, and messages end up in logs. */
function withoutQuery(path: string): string {
  const query = path.indexOf("?");
  return query < 0 ? path : path.slice(0, query);
}

class Response implements HttpResponse {
  readonly status: number;
  readonly body: Body;
  readonly #fields: Head["fields"];

  constructor(head: Head, body: Body) {
    this.status = head.status;
    this.#fields = head.fields;
    this.body = body;
  }

  get headers(): HttpResponse["headers"] {
    return this.#fields.list;
  }

  header(name: string): string | undefined {
    return this.#fields.first(name);
  }

  cancel(): void {
    this.body.discard();
  }
}

/** A response that is already complete; its body is made into a stream only for a reader who wants one. */
class WholeResponse implements HttpResponse {
  readonly status: number;
  readonly whole: Uint8Array;
  readonly #fields: Head["fields"];
  #body: Body | undefined;

  constructor(head: Head, whole: Uint8Array) {
    this.status = head.status;
    this.whole = whole;
    this.#fields = head.fields;
  }

  get headers(): HttpResponse["headers"] {
    return this.#fields.list;
  }

  header(name: string): string | undefined {
    return this.#fields.first(name);
  }

  get body(): Body {
    if (this.#body === undefined) {
      this.#body = new Body({ onDrained() {}, onGivenUp() {} });
      this.#body.push(this.whole);
      this.#body.end();
    }
    return this.#body;
  }

  cancel(): void {
    this.body.discard();
  }
}
