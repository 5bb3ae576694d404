/** Who waits: calls for the outcome of their record, others for an empty queue; each for its own time. */
import type { Clock } from "../base/clock.ts";
import type { Outcome } from "./answers.ts";

/** `undefined` stands for: not known yet. */
type Done = (outcome: Outcome | undefined) => void;

export class Waiters {
  readonly #clock: Clock;
  readonly #byRecord = new Map<number, Map<Done, string>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The outcome of the record, or undefined when `waitMs` are over or `release` was called before it came. */
  outcome(recordId: number, session: string, waitMs: number): Promise<Outcome | undefined> {
    return new Promise((resolve) => {
      const done: Done = (outcome) => {
        cancel();
        const waiting = this.#byRecord.get(recordId);
        waiting?.delete(done);
        if (waiting?.size === 0) this.#byRecord.delete(recordId);
        resolve(outcome);
      };
      const cancel = this.#clock.after(waitMs, () => done(undefined));
      const waiting = this.#byRecord.get(recordId) ?? new Map<Done, string>();
      this.#byRecord.set(recordId, waiting.set(done, session));
    });
  }

  /** Answers all who wait for this record; the session of the first of them, undefined when there is none. */
  finish(recordId: number, outcome: Outcome): string | undefined {
    const waiting = [...(this.#byRecord.get(recordId) ?? [])];
    for (const [done] of waiting) done(outcome);
    return waiting[0]?.[1];
  }

  /** Lets everyone go without an outcome. */
  release(): void {
    for (const waiting of [...this.#byRecord.values()])
      for (const done of [...waiting.keys()]) done(undefined);
  }
}

export class Drains {
  readonly #clock: Clock;
  readonly #isEmpty: () => boolean;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock, isEmpty: () => boolean) {
    this.#clock = clock;
    this.#isEmpty = isEmpty;
  }

  /** True once nothing is queued, false when that is not so after `waitMs`, or after `release`. */
  wait(waitMs: number): Promise<boolean> {
    if (this.#isEmpty()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#waiting.delete(done);
        resolve(this.#isEmpty());
      };
      const cancel = this.#clock.after(waitMs, done);
      this.#waiting.add(done);
    });
  }

  /** The queue may be empty now. */
  look(): void {
    if (this.#isEmpty()) this.release();
  }

  /** Lets everyone go. */
  release(): void {
    for (const done of [...this.#waiting]) done();
  }
}
