/**
 * The writes of the last moments whose answers were not seen, by fingerprint: what a repeated call is compared with.
 * Held in memory, because an index over random fingerprints would dirty a page of the file for every write.
 */
import type { Limits } from "../limits.ts";
import type { EarlierWrite } from "./reissue.ts";

/** Writes that are compared at most; the oldest make room. A re-issue comes within seconds. */
const recentMax = 20_000;
const none: EarlierWrite[] = [];

export class Recent {
  readonly #windowMs: number;
  readonly #byId = new Map<number, EarlierWrite>();
  readonly #byPrint = new Map<string, EarlierWrite[]>();
  /** Of the transaction that is running. */
  #added: EarlierWrite[] = [];
  #seen: number[] = [];

  constructor(limits: Pick<Limits, "reissueWindowMs">, earlier: Iterable<EarlierWrite>) {
    this.#windowMs = limits.reissueWindowMs;
    for (const write of earlier) this.#put(write);
  }

  add(write: EarlierWrite): void {
    this.#put(write);
    this.#added.push(write);
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
    const newest = this.#added.at(-1);
    if (!committed) for (const { id } of this.#added) this.#remove(id);
    else {
      for (const id of this.#seen) this.#remove(id);
      if (newest !== undefined) this.#forget(newest.enqueuedAt);
    }
    this.#added = [];
    this.#seen = [];
  }

  #put(write: EarlierWrite): void {
    this.#byId.set(write.id, write);
    const equal = this.#byPrint.get(write.fingerprint);
    if (equal === undefined) this.#byPrint.set(write.fingerprint, [write]);
    else equal.push(write);
  }

  #remove(id: number): void {
    const write = this.#byId.get(id);
    if (write === undefined) return;
    this.#byId.delete(id);
    const equal = this.#byPrint.get(write.fingerprint) ?? none;
    if (equal.length <= 1) this.#byPrint.delete(write.fingerprint);
    else equal.splice(equal.indexOf(write), 1);
  }

  #forget(now: number): void {
    for (const { id, enqueuedAt } of this.#byId.values()) {
      const old = Math.abs(now - enqueuedAt) > this.#windowMs;
      if (!old && this.#byId.size <= recentMax) return;
      this.#remove(id);
    }
  }
}
