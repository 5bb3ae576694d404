/**
 * The connections to one origin, and the calls that wait for one. The connection used last is used first, so that
 * spare ones grow old and close; calls wait in order, a bounded number for a bounded time.
 */
import type { Limits } from "../../limits.ts";
import type { Clock } from "../clock.ts";
import type { Call, CallHolder } from "./call.ts";
import { Connection, type ConnectionOwner, type DialFault, type Target } from "./connection.ts";
import { scratchBytes } from "./request.ts";

/** An idle time after which a connection gets one turn of the event loop to report that the peer has closed it. */
const doubtMs = 1_000;

export class Pool implements CallHolder, ConnectionOwner {
  readonly #target: Target;
  readonly #clock: Clock;
  readonly #limits: Limits;
  readonly #scratch = Buffer.allocUnsafeSlow(scratchBytes);
  readonly #all = new Set<Connection>();
  /** Oldest first. */
  readonly #idle: Connection[] = [];
  /** In order of arrival, with what stops the timer of each. */
  readonly #waiting = new Map<Call, () => void>();
  readonly #dialling = new Set<Connection>();
  /** Connections that were idle for long and are being watched for one turn before they are used. */
  #doubted = 0;
  #cancelSweep: (() => void) | undefined;
  #closed = false;

  constructor(options: { target: Target; clock: Clock; limits: Limits }) {
    this.#target = options.target;
    this.#clock = options.clock;
    this.#limits = options.limits;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#all.size - this.#dialling.size;
  }

  /** Connections that will soon be free for a call that waits. */
  get #coming(): number {
    return this.#dialling.size + this.#doubted;
  }

  /** Gives the call to a connection, now or when one is free. */
  carry(call: Call): void {
    if (this.#closed) call.fail("closed", "the client was closed");
    // Those who wait came first.
    else if (this.#waiting.size > this.#coming || !this.#carryNow(call)) this.#wait(call);
  }

  /** Closes what is idle and what is not open yet; the rest closes when its exchange ends. */
  close(): void {
    this.#closed = true;
    this.#cancelSweep?.();
    for (const call of [...this.#waiting.keys()]) call.giveUp("closed", "the client was closed");
    for (const connection of [...this.#all]) if (!connection.busy) connection.close();
  }

  /** A waiting call ended early. */
  onGivenUp(call: Call): void {
    this.#waiting.get(call)?.();
    this.#waiting.delete(call);
  }

  onDrained(): void {}

  onReady(connection: Connection): void {
    this.#dialling.delete(connection);
    connection.rest();
    this.#offer(connection);
  }

  onDialFailed(connection: Connection, { why, what, cause }: DialFault): void {
    this.#dialling.delete(connection);
    this.#all.delete(connection);
    const [first] = this.#waiting.keys();
    if (first === undefined || this.#waiting.size <= this.#coming) return;
    first.giveUp(why, `connect to ${this.#target.host}: ${what}`, cause);
  }

  onIdle(connection: Connection): void {
    this.#offer(connection);
  }

  onGone(connection: Connection): void {
    this.#all.delete(connection);
    this.#dialling.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#dialMore();
  }

  /** @returns false when no idle connection could take the call at once */
  #carryNow(call: Call): boolean {
    if (this.#idle.length === 0) return false;
    const now = this.#clock.monotonic();
    const sleptUntil = this.#clock.now() - this.#limits.upstreamIdleMs;
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return false;
      // A peer forgets connections while this machine sleeps, and cannot say so.
      if (connection.idleUntil <= now || connection.idleSinceWall <= sleptUntil) connection.close();
      else if (now - connection.idleSince >= doubtMs) {
        this.#doubt(connection);
        return false;
      } else if (connection.start(call)) return true;
    }
  }

  #wait(call: Call): void {
    const { upstreamWaitersMax: waitersMax, upstreamWaitMs: waitMs } = this.#limits;
    if (this.#waiting.size >= waitersMax) {
      call.fail("overloaded", `${waitersMax} requests already wait for a connection`);
      return;
    }
    call.holder = this;
    const cancel = this.#clock.after(waitMs, () =>
      call.giveUp("overloaded", `no connection was free within ${waitMs} ms`),
    );
    this.#waiting.set(call, cancel);
    this.#dialMore();
  }

  /** Opens as many connections as calls wait for, up to the bound. */
  #dialMore(): void {
    while (
      !this.#closed &&
      this.#waiting.size > this.#coming &&
      this.#all.size < this.#limits.upstreamConnectionsMax
    ) {
      const connection = new Connection({
        target: this.#target,
        clock: this.#clock,
        limits: this.#limits,
        owner: this,
        scratch: this.#scratch,
      });
      this.#all.add(connection);
      this.#dialling.add(connection);
      connection.dial();
    }
  }

  /** Lets the event loop read from a connection that may have been closed unseen, before a call gets it. */
  #doubt(connection: Connection): void {
    this.#doubted += 1;
    afterTurn(() => {
      this.#doubted -= 1;
      if (connection.open) this.#offer(connection);
      else this.#dialMore();
    });
  }

  /** Gives a free connection to the call that has waited longest, or keeps it. */
  #offer(connection: Connection): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#keep(connection);
      return;
    }
    const [call, cancel] = next;
    const fresh = !connection.used;
    // A call whose used connection proves closed stays first in line. With a fresh one it ends: dialling again at
    // once would go on for ever against a peer that accepts and resets.
    if (fresh) this.#waiting.delete(call);
    if (connection.start(call) || fresh) {
      cancel();
      this.#waiting.delete(call);
    }
    if (fresh && !connection.used)
      call.fail("closed", "the peer closed the connection as soon as it was open");
  }

  #keep(connection: Connection): void {
    if (this.#closed) {
      connection.close();
      return;
    }
    this.#idle.push(connection);
    if (this.#cancelSweep === undefined) this.#armSweep(this.#limits.upstreamIdleMs);
  }

  /** One timer for all idle connections, set for the oldest: a timer each would cost one per request. */
  #armSweep(ms: number): void {
    this.#cancelSweep = this.#clock.after(ms, () => {
      this.#cancelSweep = undefined;
      const now = this.#clock.monotonic();
      for (const connection of [...this.#idle]) if (connection.idleUntil <= now) connection.close();
      const oldest = this.#idle[0];
      if (oldest !== undefined) this.#armSweep(Math.max(1, oldest.idleUntil - now));
    });
  }
}

/** Calls back after the event loop has polled its sockets. */
function afterTurn(callback: () => void): void {
  setImmediate(() => setImmediate(callback));
}
