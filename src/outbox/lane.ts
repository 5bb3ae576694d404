/** The pump's hold on its lane at the relay: opened when it is needed, forgotten when an attempt's outcome is not known. */
import type { Log } from "../base/log.ts";
import type { LaneOpening } from "../wire/write.ts";

export type LaneParts = {
  log: Log;
  /** Asks the relay; rejects with DeliveryError only. */
  ask(): Promise<LaneOpening>;
  /** It was opened. */
  opened(opening: LaneOpening): void;
};

export class Lane {
  readonly #parts: LaneParts;
  #opening: LaneOpening | undefined;
  #generation: number | undefined;

  constructor(parts: LaneParts) {
    this.#parts = parts;
  }

  /** Undefined while it is not open. */
  get opening(): LaneOpening | undefined {
    return this.#opening;
  }

  /** The next use opens it anew, which fences whatever of this session is still on its way. */
  forget(): void {
    this.#opening = undefined;
  }

  /** The opening that holds, or a new one. @throws DeliveryError when the relay does not give one */
  async open(): Promise<LaneOpening> {
    if (this.#opening !== undefined) return this.#opening;
    const opening = await this.#parts.ask();
    if (this.#generation !== undefined && this.#generation !== opening.generation)
      this.#parts.log.warn("The relay's database was restored: what it had confirmed before may be missing", {
        before: this.#generation,
        now: opening.generation,
      });
    this.#generation = opening.generation;
    this.#opening = opening;
    this.#parts.opened(opening);
    return opening;
  }
}
