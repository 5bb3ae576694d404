/**
 * After the file has failed: a full disk is tried again, a failed file is closed, opened again and read anew, so that
 * what is in memory is what is on disk. Until then nothing is taken and nothing is sent.
 */
import { backoff } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { NoticeBoard } from "./notices.ts";
import type { Queue } from "./queue.ts";
import type { LoadRequest } from "./rows.ts";
import { DiskFullError, type Loaded } from "./store.ts";

export type RecoveryParts = {
  clock: Clock;
  limits: Limits;
  random: Random;
  log: Log;
  store: {
    load(discard: LoadRequest["discard"]): Promise<Loaded>;
    save(): Promise<void>;
    unsaved(id: number): unknown;
  };
  queue: Queue;
  board: NoticeBoard;
  stop: AbortSignal;
  /** Deliveries begin only while false. */
  hold(held: boolean): void;
  /** Who waits for an outcome is let go. */
  release(): void;
};

export class Recovery {
  readonly #parts: RecoveryParts;
  /** Refused because the disk failed under them: they must not come to life when the file is opened again. */
  #discard: string[] = [];
  #lastId: number;
  #damaged: string | undefined;
  #reopening: Promise<void> = Promise.resolve();

  constructor(parts: RecoveryParts, lastId: number) {
    this.#parts = parts;
    this.#lastId = lastId;
  }

  /** What is wrong with the file; undefined when it is good. */
  get damaged(): string | undefined {
    return this.#damaged;
  }

  /** A record was stored under this id. */
  stored(id: number): void {
    this.#lastId = Math.max(this.#lastId, id);
  }

  /** The write with this key was refused because the file failed. */
  discard(key: string): void {
    this.#discard.push(key);
  }

  /** A commit failed. */
  failed(error: Error): void {
    const { clock, limits, log, store, hold, release } = this.#parts;
    if (this.#damaged !== undefined) return;
    if (error instanceof DiskFullError) {
      log.warn("The disk has no room for the outbox", { error });
      clock.after(limits.deliveryBackoffBaseMs, () => void store.save().catch(() => {}));
      return;
    }
    log.error("The outbox file failed", { error });
    this.#damaged = error.message;
    hold(true);
    release();
    this.#reopening = this.#reopen();
  }

  /**
   * Before the store is closed: what was refused may be in a file that failed, and leaves it now, so that the next
   * process does not send it. A file that cannot be opened keeps it.
   */
  async close(): Promise<void> {
    await this.#reopening;
    if (this.#discard.length === 0 || this.#damaged === undefined) return;
    const { log, store } = this.#parts;
    await store
      .load({ afterId: this.#lastId, keys: this.#discard })
      .catch((error: unknown) => log.error("Refused writes stay in the outbox file", { error }));
  }

  async #reopen(): Promise<void> {
    const { clock, limits, random, log, store, stop, hold } = this.#parts;
    const { deliveryBackoffBaseMs: baseMs, deliveryBackoffCapMs: capMs } = limits;
    const delays = backoff({ baseMs, capMs, random });
    while (this.#damaged !== undefined) {
      await sleep(clock, delays.next(), stop);
      if (stop.aborted) return;
      const keys = [...this.#discard];
      try {
        this.#reconcile(await store.load({ afterId: this.#lastId, keys }));
        this.#discard = this.#discard.slice(keys.length);
        this.#damaged = undefined;
        hold(false);
        await store.save();
      } catch (error) {
        this.#damaged ??= error instanceof Error ? error.message : String(error);
        log.error("The outbox file cannot be opened again", { error });
      }
    }
  }

  #reconcile(loaded: Loaded): void {
    const { queue, board, log, store } = this.#parts;
    if (loaded.damage !== undefined) log.error("A damaged outbox file was replaced", loaded.damage);
    const onDisk = new Set(loaded.records.map(({ id }) => id));
    for (const { id, key } of [...queue.entries()]) {
      if (onDisk.has(id)) continue;
      log.error("A stored write is missing after the outbox file failed", { key });
      queue.remove(id);
    }
    for (const record of loaded.records)
      if (queue.get(record.id) === undefined && store.unsaved(record.id) === undefined)
        queue.add({ ...record, marked: record.life.ambiguous, payload: undefined });
    board.add(loaded.notices);
    this.#lastId = Math.max(this.#lastId, loaded.lastId);
  }
}
