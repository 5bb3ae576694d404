/**
 * The time of the simulated world. Nothing passes while code runs: the world takes the next timer, lets everything
 * that follows from it happen, and takes the next. Each simulated process sees it through a clock that dies with it.
 */
import type { Clock } from "../../src/base/clock.ts";

type Timer = { at: number; order: number; callback: () => void; cancelled: boolean };

/** Wall clock at the beginning of every world, ms since 1970. */
export const worldStart = 1_800_000_000_000;

export class SimClock implements Clock {
  /** Monotonic, ms. */
  #now = 0;
  #order = 0;
  readonly #heap: Timer[] = [];

  /** Whole ms, as a machine gives them. */
  now(): number {
    return worldStart + Math.floor(this.#now);
  }

  monotonic(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, callback, cancelled: false };
    this.#push(timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /** Moves to the next timer that is due by this monotonic time and runs it; false when there is none. */
  step(until: number): boolean {
    for (;;) {
      const [first] = this.#heap;
      if (first === undefined || first.at > until) {
        this.#now = Math.max(this.#now, until);
        return false;
      }
      this.#pop();
      if (first.cancelled) continue;
      this.#now = Math.max(this.#now, first.at);
      first.callback();
      return true;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || isBefore(parent, timer)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      const isRight = left !== undefined && right !== undefined && isBefore(right, left);
      const child = isRight ? right : left;
      if (child === undefined || isBefore(last, child)) break;
      heap[at] = child;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** The life of a simulated process: what belongs to a dead one never happens. */
export type Life = { alive: boolean };

/** The world's clock as a process sees it; timers of a dead process do not fire. */
export function clockOf(world: Clock, life: Life): Clock {
  return {
    now: () => world.now(),
    monotonic: () => world.monotonic(),
    after: (ms, callback) =>
      world.after(ms, () => {
        if (life.alive) callback();
      }),
  };
}

/** Lets everything run that does not wait for the clock. */
async function quiet(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Lets time pass; everything that falls due happens, one after another. */
export async function pass(clock: SimClock, ms: number): Promise<void> {
  const end = clock.monotonic() + ms;
  do await quiet();
  while (clock.step(end));
}

/** Lets time pass until it holds, at most so long; whether it holds. */
export async function passUntil(clock: SimClock, ms: number, holds: () => boolean): Promise<boolean> {
  const end = clock.monotonic() + ms;
  do {
    await quiet();
    if (holds()) return true;
  } while (clock.step(end));
  return holds();
}
