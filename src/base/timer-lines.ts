/**
 * Timers that are nearly always cancelled, such as the deadline of every call: one real timer per duration instead of
 * one per call. Timers of one duration fall due in the order in which they were set, so a queue is enough.
 */
import type { Clock } from "./clock.ts";

type Timer = {
  readonly due: number;
  readonly callback: () => void;
  before: Timer | undefined;
  after: Timer | undefined;
  set: boolean;
};

/**
 * The clock with a cheap `after`, for durations that come again and again. Nothing fires early; a real timer may
 * stay set for a while after the last cancel.
 */
export function timerLines(clock: Clock): Clock {
  const lines = new Map<number, Line>();
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after(ms, callback) {
      let line = lines.get(ms);
      if (line === undefined) {
        line = new Line(clock, ms, () => lines.delete(ms));
        lines.set(ms, line);
      }
      return line.add(callback);
    },
  };
}

/** The timers of one duration as a list, the next to fall due first. */
class Line {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #onEmpty: () => void;
  #first: Timer | undefined;
  #last: Timer | undefined;
  #armed = false;

  constructor(clock: Clock, ms: number, onEmpty: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#onEmpty = onEmpty;
  }

  /** @returns what cancels it */
  add(callback: () => void): () => void {
    const due = this.#clock.monotonic() + this.#ms;
    const timer: Timer = { due, callback, before: this.#last, after: undefined, set: true };
    if (this.#last === undefined) this.#first = timer;
    else this.#last.after = timer;
    this.#last = timer;
    if (!this.#armed) this.#arm(this.#ms);
    return () => this.#take(timer);
  }

  #take(timer: Timer): void {
    if (!timer.set) return;
    timer.set = false;
    const { before, after } = timer;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    // A dead timer that has grown old must not keep alive what came after it.
    timer.before = undefined;
    timer.after = undefined;
  }

  #arm(ms: number): void {
    this.#armed = true;
    this.#clock.after(ms, () => this.#fire());
  }

  #fire(): void {
    try {
      for (let next = this.#first; next !== undefined; next = this.#first) {
        // Real timers may be a fraction of a millisecond early by the monotonic clock.
        if (next.due - this.#clock.monotonic() > 0.5) break;
        this.#take(next);
        next.callback();
      }
    } finally {
      if (this.#first === undefined) {
        this.#armed = false;
        this.#onEmpty();
      } else this.#arm(Math.max(0, this.#first.due - this.#clock.monotonic()));
    }
  }
}
