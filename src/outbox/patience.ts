/**
 * How the pump waits after a failure: full-jitter back-off, and in an outage a cheap probe that ends the wait as
 * soon as the relay answers. A new write asks for a probe at once.
 */
import { type Backoff, backoff } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { deadline, orAbort } from "../base/signals.ts";
import type { Limits } from "../limits.ts";
import type { Deliverer } from "../wire/write.ts";
import type { Gate } from "./gate.ts";

export type PatienceParts = {
  deliverer: Deliverer;
  limits: Limits;
  clock: Clock;
  random: Random;
  gate: Gate;
  stop: AbortSignal;
  /** The relay was found not to answer: who waits for an outcome is told `queued`. */
  stalled(): void;
};

/** How long to wait and what ends it early. */
export type Rest = {
  ms: number;
  /** The relay does not answer: probe it. */
  outage: boolean;
  /** A kick ends the wait. */
  kickable: boolean;
};

/** Attempts after which a relay that answers but takes nothing keeps no caller waiting. */
const patientAttempts = 2;

export class Patience {
  readonly delays: Backoff;
  readonly #parts: PatienceParts;
  #outageSince: number | undefined;
  #probedAt = Number.NEGATIVE_INFINITY;
  #askedMs = 0;

  constructor(parts: PatienceParts) {
    const { limits, random } = parts;
    this.#parts = parts;
    this.delays = backoff({
      baseMs: limits.deliveryBackoffBaseMs,
      capMs: limits.deliveryBackoffCapMs,
      random,
    });
  }

  /** The relay asked for at least this pause before it gets what it put off again. */
  asked(ms: number): void {
    this.#askedMs = Math.max(this.#askedMs, ms);
  }

  /** The next pause after the relay put something off, ms: what it asked for, within the longest back-off. */
  pause(): number {
    const asked = Math.min(this.#askedMs, this.#parts.limits.deliveryBackoffCapMs);
    this.#askedMs = 0;
    return Math.max(asked, this.delays.next());
  }

  /** The relay does not answer; the first one to say so starts the time in which it is probed. */
  outageBegan(): void {
    this.#outageSince ??= this.#parts.clock.monotonic();
    this.#parts.stalled();
  }

  outageEnded(): void {
    this.#outageSince = undefined;
  }

  /** Whether the receiver answers now; never rejects, never takes longer than `limits.probeAttemptMs`. */
  async probe(): Promise<boolean> {
    const { deliverer, clock, limits, stop } = this.#parts;
    if (stop.aborted) return false;
    this.#probedAt = clock.monotonic();
    using limit = deadline(clock, limits.probeAttemptMs, { action: "Probe the relay", parent: stop });
    return (await orAbort(deliverer.probe(limit.signal), limit.signal).catch(() => false)) === true;
  }

  /** Waits until the time is over, someone ends it, or the outage does. */
  async rest({ ms, outage, kickable }: Rest): Promise<void> {
    const { clock, stop, gate, limits } = this.#parts;
    const end = clock.monotonic() + ms;
    while (!stop.aborted) {
      const left = end - clock.monotonic();
      if (left <= 0) return;
      const why = await gate.wait(outage && this.#probing ? Math.min(left, limits.probeIntervalMs) : left);
      if (stop.aborted || (why === "kick" && kickable)) return;
      if (outage && clock.monotonic() < end && (await this.#isOver(why === "write"))) return;
      if (!outage && why === "write" && this.delays.attempts > patientAttempts) this.#parts.stalled();
    }
  }

  get #probing(): boolean {
    const { clock, limits } = this.#parts;
    return clock.monotonic() - (this.#outageSince ?? clock.monotonic()) < limits.probeDurationMs;
  }

  /** A write does not probe again what was probed a moment ago. */
  async #isOver(byWrite: boolean): Promise<boolean> {
    const { clock, limits } = this.#parts;
    const fresh = clock.monotonic() - this.#probedAt < limits.probeIntervalMs;
    if (!(byWrite && fresh) && (await this.probe())) return true;
    this.#parts.stalled();
    return false;
  }
}
