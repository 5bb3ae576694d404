/**
 * One connection to the origin: dialled with a deadline, verified, then one exchange at a time. It knows exactly
 * whether a byte of a request was accepted by the operating system; it never sends anything twice.
 */

import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { Socket, SocketHandler, TCPSocketConnectOptions } from "bun";
import type { Limits } from "../../limits.ts";
import type { Clock } from "../clock.ts";
import type { Call, CallHolder } from "./call.ts";
import type { HttpFailureCause } from "./exchange.ts";
import type { Head } from "./head.ts";
import { ResponseParser, type ResponseSink } from "./parser.ts";
import { encodeRequest } from "./request.ts";

/** Where to connect to. */
export type Target = {
  hostname: string;
  port: number;
  /** Value of the `Host` field. */
  host: string;
  tls: { ca?: string } | undefined;
};

/** Why a connection could not be made. */
export type DialFault = { why: HttpFailureCause; what: string; cause?: unknown };

/** The pool. */
export type ConnectionOwner = {
  onReady(connection: Connection): void;
  onDialFailed(connection: Connection, fault: DialFault): void;
  /** The response was read to its end and another request may follow. */
  onIdle(connection: Connection): void;
  /** Closed, for whatever reason; told once, also for a connection that was never ready. */
  onGone(connection: Connection): void;
};

export type ConnectionOptions = {
  target: Target;
  clock: Clock;
  limits: Limits;
  owner: ConnectionOwner;
  /** Room in which requests are put together, for all connections: used within one call only. */
  scratch: Buffer;
};

type State = "dialling" | "open" | "gone";

export class Connection implements CallHolder, ResponseSink {
  /** Monotonic ms until which an idle connection may be used again, and since when it is idle. */
  idleUntil = 0;
  idleSince = 0;
  /** Wall clock at the begin of the idle time, ms: the monotonic clock stands still while the machine sleeps. */
  idleSinceWall = 0;
  /** It has carried a request. */
  used = false;
  readonly #options: ConnectionOptions;
  readonly #parser: ResponseParser;
  #state: State = "dialling";
  #socket: Socket<Connection> | undefined;
  #cancelTimer: (() => void) | undefined;
  #call: Call | undefined;
  #head: Head | undefined;
  /** What is left to write of the request. */
  #unsent: Uint8Array[] = [];
  /** A write failed; what the peer had answered before that may still arrive. */
  #broken = false;
  #paused = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#parser = new ResponseParser(this, options.limits.upstreamHeadBytesMax);
  }

  get open(): boolean {
    return this.#state === "open";
  }

  /** A request is on its way, or its response. */
  get busy(): boolean {
    return this.#call !== undefined;
  }

  /** Begins an idle time. @param hint the idle time the peer has announced, ms */
  rest(hint?: number): void {
    const ours = this.#options.limits.upstreamIdleMs;
    // Less a second or half of the hint: the peer's clock started before ours.
    const ms = hint === undefined ? ours : Math.min(ours, Math.max(hint / 2, hint - 1_000));
    this.idleSince = this.#options.clock.monotonic();
    this.idleUntil = this.idleSince + ms;
    this.idleSinceWall = this.#options.clock.now();
  }

  /** Connects; the owner is told how it ended. Call once. */
  dial(): void {
    const { target, clock, limits } = this.#options;
    this.#cancelTimer = clock.after(limits.upstreamConnectMs, () => {
      const step = this.#socket === undefined ? "the connection was not open" : "TLS was not agreed";
      this.#dialFailed({
        why: this.#socket === undefined ? "connect" : "tls",
        what: `${step} within ${limits.upstreamConnectMs} ms`,
      });
    });
    const { hostname, port } = target;
    const common = { hostname, port, data: this as Connection, socket: handlers };
    // The default of `rejectUnauthorized` depends on the environment, so it is given.
    const tls = target.tls && { ...target.tls, rejectUnauthorized: true };
    void connect(tls === undefined ? common : { ...common, tls }).then((error) => {
      if (error !== undefined) this.refused(error);
    });
  }

  /**
   * Sends a request.
   * @returns false when the connection proved to be closed and certainly nothing was written
   */
  start(call: Call): boolean {
    const socket = this.#socket;
    if (this.#state !== "open" || socket === undefined || socket.readyState !== 1) {
      this.close();
      return false;
    }
    const secure = this.#options.target.tls !== undefined;
    const { scratch, target } = this.#options;
    const { size, rest } = encodeRequest(call.request, target.host, scratch);
    // A TLS record may have left in part whatever `write` says, so the answer does not matter there.
    if (secure) call.sent = "unknown";
    const written = socket.write(scratch, 0, size);
    if (written < 0 && !secure) {
      // One system call that failed: the system has taken none of these bytes.
      this.close();
      return false;
    }
    if (written > 0) call.sent = "unknown";
    this.used = true;
    this.#call = call;
    this.#head = undefined;
    this.#parser.begin(call.request.method);
    call.start(this);
    if (written === size && rest === undefined) return true;
    if (written < 0) {
      this.closed(undefined);
      return true;
    }
    this.#unsent = [Buffer.from(scratch.subarray(Math.max(0, written), size))];
    if (rest !== undefined) this.#unsent.push(rest);
    if (written === size) this.drain();
    return true;
  }

  /** Closes; an unfinished exchange must have been failed before. */
  close(): void {
    if (this.#state === "gone") return;
    const reset = this.#call !== undefined || this.#state === "dialling";
    this.#state = "gone";
    this.#cancelTimer?.();
    this.#call = undefined;
    this.#unsent = [];
    // An exchange that is given up is cut off, so that the peer notices; otherwise the stream ends properly.
    if (reset) this.#socket?.terminate();
    else this.#socket?.end();
    this.#options.owner.onGone(this);
  }

  onGivenUp(): void {
    this.close();
  }

  onDrained(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket?.resume();
  }

  onHead(head: Head): void {
    this.#head = head;
    this.#call?.head(head);
  }

  onBody(data: Uint8Array): void {
    const held = this.#call?.data(data) ?? 0;
    if (held <= this.#options.limits.upstreamBufferBytesMax || this.#paused) return;
    this.#paused = true;
    this.#socket?.pause();
  }

  onWhole(head: Head, body: Uint8Array, extra: boolean): void {
    const call = this.#call;
    this.#call = undefined;
    call?.whole(head, body);
    this.#done(head, extra);
  }

  onEnd(extra: boolean): void {
    const call = this.#call;
    this.#call = undefined;
    this.onDrained();
    call?.complete();
    this.#done(this.#head, extra);
  }

  /** A response was read to its end. */
  #done(head: Head | undefined, extra: boolean): void {
    const whole = this.#unsent.length === 0 && !this.#broken && !extra;
    if (head !== undefined && whole && head.keepAlive && head.framing.kind !== "close") {
      this.rest(head.idleMs);
      this.#options.owner.onIdle(this);
    } else this.close();
  }

  /** Socket event: TCP is open. */
  opened(socket: Socket<Connection>): void {
    if (this.#state === "gone") {
      socket.terminate();
      return;
    }
    this.#socket = socket;
    socket.setNoDelay(true);
    // Finds a peer that vanished without a word within half a minute: streams may be silent for hours.
    socket.setKeepAlive(true, this.#options.limits.upstreamKeepaliveMs);
    if (this.#options.target.tls === undefined) this.#ready();
  }

  /** Socket event: the handshake ended, well or not. */
  agreed(socket: Socket<Connection>, success: boolean, error: Error | null): void {
    if (this.#state !== "dialling") return;
    const { hostname } = this.#options.target;
    // The chain and the name are checked by the runtime; asking again costs nothing and trusts no flag.
    const fault =
      error ??
      socket.getAuthorizationError() ??
      checkServerIdentity(hostname, socket.getPeerCertificate() as PeerCertificate);
    if (success && socket.authorized && !fault) this.#ready();
    else
      this.#dialFailed({
        why: "tls",
        what: `TLS was refused: ${fault?.message ?? "not authorized"}`,
        cause: fault,
      });
  }

  /** Socket event: bytes came. */
  receive(bytes: Buffer): void {
    const call = this.#call;
    // Bytes that nobody asked for: an early farewell such as 408, or a peer that is out of step.
    if (call === undefined) {
      this.close();
      return;
    }
    const fault = this.#parser.push(bytes);
    if (fault === undefined || this.#call !== call) return;
    call.fail(fault.fault, fault.message);
    this.close();
  }

  /** Socket event: the system takes bytes again. */
  drain(): void {
    const socket = this.#socket;
    for (;;) {
      const part = this.#unsent[0];
      if (part === undefined || socket === undefined || this.#call === undefined) return;
      const written = socket.write(part);
      if (written < 0) {
        // The peer has closed; its answer may have come before that. The close event follows.
        this.#broken = true;
        this.#unsent = [];
        return;
      }
      if (written > 0) this.#call.sent = "unknown";
      if (written < part.byteLength) {
        this.#unsent[0] = part.subarray(written);
        return;
      }
      this.#unsent.shift();
    }
  }

  /** Socket event: the peer ended its side (no error) or the connection broke. */
  closed(error: Error | undefined): void {
    // Does nothing unless this is still being dialled.
    this.#dialFailed({
      why: this.#options.target.tls === undefined ? "connect" : "tls",
      what: "the peer closed the connection before it could be used",
      cause: error,
    });
    if (!this.open) return;
    const call = this.#call;
    const broken = error !== undefined || this.#broken;
    if (call === undefined || broken || !this.#parser.finish()) {
      const what = broken ? "the connection was reset" : "the peer closed the connection";
      call?.fail(broken ? "reset" : "closed", `${what} before the end of the response`, error);
      this.close();
    }
  }

  /** Socket event: no connection could be made. */
  refused(error: Error): void {
    const secure =
      this.#options.target.tls !== undefined && "code" in error && error.code === "ERR_BORINGSSL";
    this.#dialFailed({ why: secure ? "tls" : "connect", what: reason(error), cause: error });
  }

  #ready(): void {
    this.#cancelTimer?.();
    this.#state = "open";
    this.#options.owner.onReady(this);
  }

  #dialFailed(fault: DialFault): void {
    if (this.#state !== "dialling") return;
    this.#options.owner.onDialFailed(this, fault);
    this.close();
  }
}

/** Events of all sockets; each belongs to the connection in its `data`. */
const handlers: SocketHandler<Connection> = {
  open: (socket) => socket.data.opened(socket),
  handshake: (socket, success, error) => socket.data.agreed(socket, success, error),
  data: (socket, bytes) => socket.data.receive(bytes),
  drain: (socket) => socket.data.drain(),
  end: (socket) => socket.data.closed(undefined),
  close: (socket, error) => socket.data.closed(error),
  error: (socket, error) => socket.data.closed(error),
  // The promise tells the same; without this handler it would count as unhandled.
  connectError: () => {},
};

/** @returns the error, if no connection could be made */
async function connect(options: TCPSocketConnectOptions<Connection>): Promise<Error | undefined> {
  try {
    await Bun.connect(options);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function reason(error: Error): string {
  const code = "code" in error && typeof error.code === "string" ? ` (${error.code})` : "";
  return `no connection could be made: ${error.message}${code}`;
}
