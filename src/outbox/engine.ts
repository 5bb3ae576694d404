/**
 * The worker's half of the store: the verbs on the one open file, and the shared transaction around calls that
 * arrive together. An error inside it undoes the whole group; a disk error other than "full" closes the file.
 */
import type { Database } from "bun:sqlite";
import { type Clock, realClock } from "../base/clock.ts";
import { type Disk, realDisk } from "./disk.ts";
import { fileOf, forgetOwner } from "./files.ts";
import type { Accepted, Ended } from "./marks.ts";
import { inspectFile, type OpenFile, openFile } from "./open-file.ts";
import { judge } from "./reissue.ts";
import {
  diskFailedName,
  diskFullName,
  type EnqueueReply,
  type LoadReply,
  type LoadRequest,
  type NewRecord,
  type OutboxMethods,
  type RetryReply,
  type RetryRequest,
  type SaveRequest,
  type Vitals,
} from "./rows.ts";
import type { Counts } from "./verbs.ts";

/** One outbox file at a time. */
export class Engine {
  readonly #disk: Disk;
  readonly #clock: Pick<Clock, "monotonic" | "after">;
  #open: OpenFile | undefined;
  #counts: Counts = { records: 0, bytes: 0 };
  #fault: unknown;
  #closing = false;
  /** What the running transaction has accepted and ended, for the marks. */
  #accepted: Accepted[] = [];
  #ended: Ended[] = [];
  /** Free bytes when they are too few, asked once for each transaction. */
  #shortage: { bytes: number | undefined } | undefined;
  #commits = 0;
  #commitMs = 0;
  #cancelFlush: (() => void) | undefined;

  /** @param disk how much room there is */
  constructor(disk: Disk = realDisk, clock: Pick<Clock, "monotonic" | "after"> = realClock) {
    this.#disk = disk;
    this.#clock = clock;
  }

  readonly methods: OutboxMethods = {
    load: (request) => this.#load(request),
    inspect: inspectFile,
    enqueue: this.#guarded((store, record) => this.#enqueue(store, record)),
    mark: this.#onRows(({ verbs }, { ids }) => verbs.mark(ids)),
    save: this.#onRows((store, request) => this.#save(store, request)),
    payloads: this.#onRows(({ verbs }, { ids }) => verbs.payloads(ids)),
    find: this.#onRows(({ verbs }, { id }) => verbs.find(id)),
    findKey: this.#onRows(({ verbs }, { key }) => verbs.findKey(key)),
    list: this.#onRows(({ verbs }, request) => verbs.list(request)),
    prune: this.#onRows(({ verbs, limits, room }, { now }) => {
      room.restore();
      return verbs.prune(now, limits);
    }),
    show: this.#onRows(({ people }, request) => people.show(request)),
    retry: this.#onRows((store, request) => this.#retry(store, request)),
    pause: this.#onRows(({ people }, { at }) => people.pause(at)),
    delayed: this.#onRows(({ people, limits }, request) => people.delayed(request, limits)),
    generation: this.#onRows(({ people, limits }, request) => people.generation(request, limits)),
    vitals: this.#onRows((store) => this.#vitals(store)),
    close: () => {
      this.#closing = true;
    },
  };

  /**
   * Runs calls that arrived together in one transaction, and calls `answer` when all of them are on disk; throws when
   * none counts.
   */
  runTogether(runs: readonly (() => void)[], answer: () => void = () => {}): void {
    this.#accepted = [];
    this.#ended = [];
    const open = this.#open;
    if (open === undefined) for (const run of runs) run();
    else this.#transact(open, runs);
    // Whoever asked for the end stops this worker when it is answered.
    if (!this.#closing) answer();
    if (open !== undefined) this.#note(open);
    if (this.#closing) this.#close();
  }

  #transact({ database, marks, recent, rows }: OpenFile, runs: readonly (() => void)[]): void {
    const before = this.#counts;
    this.#fault = undefined;
    this.#shortage = undefined;
    let committed = false;
    try {
      marks.prepare();
      database.run("BEGIN IMMEDIATE");
      for (const run of runs) run();
      if (this.#fault !== undefined) throw this.#fault;
      rows.write();
      const began = this.#clock.monotonic();
      database.run("COMMIT");
      committed = true;
      recent.settle(true);
      rows.settle(true);
      this.#commits += 1;
      this.#commitMs += this.#clock.monotonic() - began;
    } catch (error) {
      if (!committed) for (const part of [recent, rows]) part.settle(false);
      this.#counts = before;
      throw this.#undo(database, error, committed);
    }
  }

  /**
   * Notes in the marks what a commit has accepted and ended: after it, because a write that nobody was told of must not
   * be missed when the process dies in between, and after the answers, which need not wait for it.
   */
  #note({ marks, limits }: OpenFile): void {
    try {
      marks.add(this.#accepted, this.#ended);
      if (this.#accepted.length > 0) this.#flushSoon(limits.marksLingerMs);
    } catch {
      // The file is closed as one that failed: whoever asks next is told, and opens it again.
      this.#abandon();
    }
  }

  /** One flush of the marks for all commits of a short time: it would cost each of them as much as its own. */
  #flushSoon(ms: number): void {
    this.#cancelFlush ??= this.#clock.after(ms, () => {
      this.#cancelFlush = undefined;
      try {
        this.#open?.marks.flush();
      } catch {
        // The file is closed as one that failed: whoever asks next is told, and opens it again.
        this.#abandon();
      }
    });
  }

  /** Runs a verb on the open file, and remembers what went wrong so that the whole group is undone. */
  #guarded<Argument, Value>(
    verb: (store: OpenFile, argument: Argument) => Value,
  ): (argument: Argument) => Value {
    return (argument) => {
      try {
        if (this.#open === undefined) throw named(diskFailedName, "the file is not open");
        return verb(this.#open, argument);
      } catch (error) {
        this.#fault ??= error;
        throw error;
      }
    };
  }

  /** As `#guarded`, for a verb that reads or changes rows: those of the running transaction are there. */
  #onRows<Argument, Value>(
    verb: (store: OpenFile, argument: Argument) => Value,
  ): (argument: Argument) => Value {
    return this.#guarded((store, argument: Argument) => {
      store.rows.write();
      return verb(store, argument);
    });
  }

  #load(request: LoadRequest): LoadReply {
    if (this.#open !== undefined)
      throw new Error(`Open ${fileOf(request.dir)}: this worker has a file open, none was wanted`);
    const { reply, open } = openFile(request, this.#disk);
    this.#open = open;
    if (open !== undefined) this.#counts = open.verbs.count();
    return reply;
  }

  #enqueue({ verbs, limits, room, recent, rows }: OpenFile, record: NewRecord): EnqueueReply {
    // A minted key is new by its making.
    const minted = record.origin === "minted";
    if (!minted) rows.write();
    const byKey = minted ? undefined : verbs.byKey(record.key);
    const equal = byKey === undefined ? recent.equal(record.fingerprint) : [];
    const verdict = judge(record, { byKey, equal }, limits);
    if (verdict.kind !== "new") rows.write();
    const known = verdict.kind === "new" ? undefined : verbs.find(verdict.id);
    if (known !== undefined) return { status: verdict.kind === "same" ? "known" : "reused", record: known };
    const { records, bytes } = this.#counts;
    if (records >= limits.recordsMax || bytes + record.bytes > limits.bytesMax)
      return { status: "full", records, bytes };
    this.#shortage ??= { bytes: room.shortage() };
    const { bytes: freeBytes } = this.#shortage;
    if (freeBytes !== undefined)
      return { status: "noRoom", freeBytes, wantedBytes: limits.freeBytesMin + limits.reserveBytes };
    const id = rows.add(record);
    const { key, messageId, tool, fingerprint, callId, now: enqueuedAt } = record;
    recent.add({ id, fingerprint, callId, enqueuedAt, seen: false });
    this.#took({ id, key, messageId, tool, at: enqueuedAt }, record.bytes);
    return { status: "stored", id };
  }

  #took(accepted: Accepted, added: number): void {
    const { records, bytes } = this.#counts;
    this.#counts = { records: records + 1, bytes: bytes + added };
    this.#accepted.push(accepted);
  }

  #save({ verbs, limits, recent }: OpenFile, request: SaveRequest) {
    recent.seen(request.seenRecords);
    const { notices, ended } = verbs.save(request, limits);
    const { records, bytes } = this.#counts;
    this.#counts = { records: records - ended.records, bytes: bytes - ended.bytes };
    for (const { id, life, end } of request.changes)
      if (end !== undefined) this.#ended.push({ id, state: life.state });
    return { notices };
  }

  #retry({ people, limits, epoch, rows }: OpenFile, request: RetryRequest): RetryReply {
    const { records, bytes } = this.#counts;
    if (records >= limits.recordsMax || bytes >= limits.bytesMax) return { status: "full", records, bytes };
    const reply = people.retry(request, epoch);
    if (reply.status === "stored") {
      const { id, key, messageId, tool, bytes: added } = reply.record;
      rows.took(id);
      this.#took({ id, key, messageId, tool, at: request.now }, added);
    }
    return reply;
  }

  #vitals({ database, dir, epoch }: OpenFile): Vitals {
    const pages = database.query("PRAGMA page_count").get() as { page_count: number };
    const size = database.query("PRAGMA page_size").get() as { page_size: number };
    return {
      epoch,
      dbBytes: pages.page_count * size.page_size,
      freeBytes: this.#disk.freeBytes(dir),
      commits: this.#commits,
      commitMs: this.#commitMs,
    };
  }

  /** Ends the failed transaction; only a full disk leaves a file that can be trusted further. */
  #undo(database: Database, error: unknown, committed: boolean): Error {
    const full = !committed && /^(?:SQLITE_FULL|ENOSPC)/.test(codeOf(error));
    if (full) this.#open?.room.spend();
    try {
      if (database.inTransaction) database.run("ROLLBACK");
      if (!full) this.#abandon();
    } catch {
      this.#abandon();
    }
    return named(full ? diskFullName : diskFailedName, error instanceof Error ? error.message : `${error}`);
  }

  /** Closes a file that failed, touching it no further than that takes. */
  #abandon(): void {
    const left = this.#open;
    this.#open = undefined;
    try {
      left?.marks.close();
      left?.database.close();
    } catch {
      // A file that cannot even be closed is left to the end of the process.
    }
  }

  #close(): void {
    const left = this.#open;
    this.#open = undefined;
    try {
      left?.marks.close();
      left?.database.run("PRAGMA wal_checkpoint(TRUNCATE)");
      left?.database.close();
      if (left !== undefined) forgetOwner(left.dir);
    } catch {
      // Everything is committed; the next opening does what was left.
    }
  }
}

function codeOf(error: unknown): string {
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : "";
  return typeof code === "string" ? code : "";
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}
