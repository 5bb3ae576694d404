/**
 * The writes of the last moments whose answers were not seen, by fingerprint: what a repeated call is compared with.
 * Held in memory, because an index over random fingerprints would dirty a page of the file for every write.
 */
import type { Limits } from "../limits.ts";
import type { EarlierWrite } from "./reissue.ts";
import { placeOf } from "./sorted.ts";

/** Writes that are compared at most; the oldest make room. A re-issue comes within seconds. */
const recentMax = 20_000;
const none: EarlierWrite[] = [];

export class Recent {
  readonly #windowMs: number;
  /**
   * By id, ascending; those before `head` are forgotten. An array, because going over a map that has lost its first
   * entries passes all of them again.
   */
  #order: EarlierWrite[] = [];
  #head = 0;
  readonly #byPrint = new Map<string, EarlierWrite[]>();
  /** How many of them the running transaction has added, and what it has seen. */
  #added = 0;
  #seen: number[] = [];

  /** @param earlier ascending by id */
  constructor(limits: Pick<Limits, "reissueWindowMs">, earlier: Iterable<EarlierWrite>) {
    this.#windowMs = limits.reissueWindowMs;
    for (const write of earlier) this.#put(write);
  }

  /** A write that is stored now; its id is higher than all before. */
  add(write: EarlierWrite): void {
    this.#put(write);
    this.#added += 1;
  }

  seen(ids: readonly number[]): void {
    this.#seen.push(...ids);
  }

  /** Writes with this fingerprint, those of the running transaction too; newest first. */
  equal(fingerprint: string): readonly EarlierWrite[] {
    const equal = this.#byPrint.get(fingerprint);
    if (equal === undefined) return none;
    return equal.toReversed().filter(({ id }) => !this.#seen.includes(id));
  }

  /** The transaction was committed, or undone. */
  settle(committed: boolean): void {
    if (!committed)
      for (const write of this.#order.splice(this.#order.length - this.#added)) this.#drop(write);
    else {
      for (const id of this.#seen) this.#drop(this.#find(id));
      if (this.#added > 0) this.#forget(this.#order.at(-1)?.enqueuedAt ?? 0);
    }
    this.#added = 0;
    this.#seen = [];
  }

  #put(write: EarlierWrite): void {
    this.#order.push(write);
    const equal = this.#byPrint.get(write.fingerprint);
    if (equal === undefined) this.#byPrint.set(write.fingerprint, [write]);
    else equal.push(write);
  }

  #find(id: number): EarlierWrite | undefined {
    const write = this.#order[placeOf(this.#order, id, (one) => one.id)];
    return write?.id === id ? write : undefined;
  }

  /** It is no longer compared with. */
  #drop(write: EarlierWrite | undefined): void {
    const equal = write === undefined ? undefined : this.#byPrint.get(write.fingerprint);
    if (write === undefined || equal === undefined) return;
    const left = equal.filter((one) => one !== write);
    if (left.length === 0) this.#byPrint.delete(write.fingerprint);
    else this.#byPrint.set(write.fingerprint, left);
  }

  #forget(now: number): void {
    for (; this.#head < this.#order.length; this.#head += 1) {
      const write = this.#order[this.#head];
      const old = Math.abs(now - (write?.enqueuedAt ?? now)) > this.#windowMs;
      if (!old && this.#order.length - this.#head <= recentMax) break;
      this.#drop(write);
    }
    if (this.#head < recentMax || this.#head < this.#order.length / 2) return;
    this.#order = this.#order.slice(this.#head);
    this.#head = 0;
  }
}
