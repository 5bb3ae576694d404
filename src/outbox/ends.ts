/**
 * When the end of a record is told. One that the relay would tell again is told at once. Any other one is known to this
 * process alone: a crash would bring the record back, so it is told once it is on disk, and nothing is sent before.
 */
import type { Outcome } from "./answers.ts";

export type EndsParts = {
  /** Answers who waits for the record. */
  tell(id: number, outcome: Outcome): void;
  /** Resolves once every end until now is on disk; rejects when the disk does not take them. */
  save(): Promise<void>;
};

/** The ends of one outbox. */
export class Ends {
  readonly #parts: EndsParts;
  readonly #untold = new Map<number, Outcome>();

  constructor(parts: EndsParts) {
    this.#parts = parts;
  }

  /** A record has ended. @param remembered the relay tells this end again to whoever sends the key again */
  ended(id: number, outcome: Outcome, remembered: boolean): void {
    if (remembered) this.#parts.tell(id, outcome);
    else this.#untold.set(id, outcome);
  }

  /** The ends of these records are on disk. */
  stored(ids: readonly number[]): void {
    for (const id of ids) {
      const outcome = this.#untold.get(id);
      if (outcome === undefined) continue;
      this.#untold.delete(id);
      this.#parts.tell(id, outcome);
    }
  }

  /** The record has ended, and only this process knows. */
  isUntold(id: number): boolean {
    return this.#untold.has(id);
  }

  /** Resolves once no end is known to this process alone; rejects when the disk does not take them. */
  async settled(): Promise<void> {
    while (this.#untold.size > 0) await this.#parts.save();
  }
}
