/**
 * The outbox of one agent on one machine: takes writes, commits them, lets the pump deliver them, answers what
 * became of them. A write is answered in every case; nothing here throws for a full, damaged or closed store.
 */
import { backoff } from "../base/backoff.ts";
import { sleep } from "../base/clock.ts";
import { messageIdOf, type StoreId, uuidV7 } from "../wire/id.ts";
import type { NeutralResult, Notice } from "../wire/receipt.ts";
import type { OutboxStatus, RecordView, WriteAnswer, WriteCall } from "../wire/write.ts";
import { type AnsweredWrite, answerOf, type Outcome, outcomeOfEnd, refused } from "./answers.ts";
import { draftOf, keyOf, refusalOf } from "./draft.ts";
import type { OutboxHandle, OutboxOptions } from "./handle.ts";
import { InFlight } from "./in-flight.ts";
import { type NoticeBoard, noticeBoard } from "./notices.ts";
import { type PauseReason, Pump } from "./pump.ts";
import { createQueue, type Entry } from "./queue.ts";
import { newLife, type RecordEvent, type RecordLife, step } from "./record.ts";
import type { KnownRecord, NoticeRow } from "./rows.ts";
import { sessions } from "./seen.ts";
import { DiskFailedError, DiskFullError, type Loaded, OutboxStore } from "./store.ts";
import { Waiters } from "./waiters.ts";

export type { OutboxHandle, OutboxOptions } from "./handle.ts";
export { listRecords, OutboxOwnedError, OutboxUnusableError } from "./store.ts";

/** Words for writes that are refused while nothing can be delivered for good. */
const pauseWords: Record<PauseReason, string> = {
  revoked: "token_revoked: the relay has revoked this agent's credential; a person has to enrol it again",
  fenced: "lane_fenced: another outbox of this agent has taken over; a person has to look",
  removed: "agent_removed: the relay has removed this agent",
};

/**
 * Opens the outbox of an agent and begins to deliver what is queued.
 * @throws OutboxOwnedError when another process owns it, OutboxUnusableError when it belongs to another agent or
 * relay, was made by a newer program, or is damaged
 */
export async function openOutbox(options: OutboxOptions): Promise<OutboxHandle> {
  const { dir, relayId, agentId, limits, clock, random } = options;
  const newStoreId = uuidV7(clock.now(), random.bytes(10));
  let open: OpenOutbox | undefined;
  const store = new OutboxStore({
    ...{ dir, relayId, agentId, limits, clock, newStoreId },
    onNotices: (rows) => open?.noticesStored(rows),
    onFailure: (error) => open?.storeFailed(error),
  });
  try {
    open = new OpenOutbox(options, store, await store.load({ afterId: 0, keys: [] }));
    return open;
  } catch (error) {
    await store.close();
    throw error;
  }
}

class OpenOutbox implements OutboxHandle {
  readonly storeId: StoreId;
  readonly #options: OutboxOptions;
  readonly #store: OutboxStore;
  readonly #queue;
  readonly #pump: Pump;
  readonly #waiters: Waiters;
  readonly #board: NoticeBoard;
  readonly #sessions;
  readonly #listeners = new Set<(notice: Notice) => void>();
  readonly #drains = new Set<() => void>();
  readonly #inFlight = new InFlight();
  readonly #stop = new AbortController();
  /** Refused because the disk failed under them: they must not come to life when the file is opened again. */
  #discard: string[] = [];
  #lastId: number;
  #damaged: string | undefined;
  #closed: Promise<void> | undefined;
  #cancelPrune: (() => void) | undefined;

  constructor(options: OutboxOptions, store: OutboxStore, loaded: Loaded) {
    const { limits, clock, deliverer } = options;
    this.storeId = loaded.storeId;
    this.#options = options;
    this.#store = store;
    this.#lastId = loaded.lastId;
    this.#queue = createQueue(limits);
    this.#waiters = new Waiters(clock);
    this.#board = noticeBoard({ storeId: loaded.storeId, limits, clock });
    this.#sessions = sessions(limits);
    this.#board.add(loaded.notices);
    for (const record of loaded.records)
      this.#queue.add({ ...record, marked: record.life.ambiguous, payload: undefined });
    this.#pump = new Pump({
      ...options,
      queue: this.#queue,
      deliverer: typeof deliverer === "function" ? deliverer(loaded.storeId) : deliverer,
      mark: (ids) => store.mark(ids),
      payloads: (ids) => store.payloads(ids),
      apply: (entry, event, result) => this.#apply(entry, event, result),
      waiting: () => this.#unmark(),
      stalled: () => this.#waiters.release(),
    });
    this.#pruneSoon(0);
  }

  async write(call: WriteCall, waitMs: number): Promise<WriteAnswer> {
    const { clock, random } = this.#options;
    const freshUuid = uuidV7(clock.now(), random.bytes(10));
    const parallel = this.#inFlight.begin(call);
    try {
      return await this.#take(call, { freshUuid, parallel, waitMs });
    } catch (error) {
      return this.#failed(call, { error, freshUuid });
    } finally {
      this.#inFlight.end(call);
    }
  }

  answered(recordId: number, session: string): void {
    this.#sessions.answered(session, { record: recordId });
    this.#board.answered(recordId, session);
  }

  seen(session: string): void {
    const { records, notices } = this.#sessions.seen(session);
    const seqs = [...this.#board.take(notices), ...this.#board.seen(session)];
    if (records.length + seqs.length > 0) this.#store.seenSoon({ records, notices: seqs });
  }

  drained(waitMs: number): Promise<boolean> {
    if (this.#queue.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#drains.delete(done);
        resolve(this.#queue.size === 0);
      };
      const cancel = this.#options.clock.after(waitMs, done);
      this.#drains.add(done);
    });
  }

  notices(): readonly Notice[] {
    return this.#board.pending();
  }

  noticesAnswered(ids: readonly string[], session: string): void {
    this.#sessions.answered(session, { notices: ids });
  }

  status(): OutboxStatus {
    const { oldest, size, bytes } = this.#queue;
    const { phase, lastError } = this.#pump;
    const own = this.#damaged === undefined ? phase : "damaged";
    return {
      depth: size,
      oldestAgeMs: oldest === undefined ? 0 : Math.max(0, this.#options.clock.now() - oldest.enqueuedAt),
      bytes,
      state: this.#closed === undefined ? own : "closed",
      lastError: this.#damaged ?? lastError,
    };
  }

  records(options: { limit?: number } = {}): Promise<RecordView[]> {
    return this.#store.list(options.limit ?? this.#options.limits.outboxRecordsMax);
  }

  async drop(ids: readonly number[]): Promise<number> {
    const entries = ids.map((id) => this.#queue.get(id)).filter((entry) => entry !== undefined);
    for (const entry of entries)
      this.#apply(entry, { type: "dropped", detail: "a person took it out of the queue" });
    await this.#store.save();
    return entries.length;
  }

  flush(waitMs: number): Promise<boolean> {
    this.kick();
    return this.drained(waitMs);
  }

  kick(): void {
    this.#pump.kick();
  }

  onNotice(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#stop.abort();
      this.#cancelPrune?.();
      this.#waiters.release();
      for (const done of [...this.#drains]) done();
      await this.#pump.close();
      await this.#store.close();
    })();
    return this.#closed;
  }

  /** Notices came to disk with the ends of their records. */
  noticesStored(rows: readonly NoticeRow[]): void {
    const known = this.#board.add(rows);
    if (known.length > 0) this.#store.seenSoon({ notices: known });
    const added = new Set(rows.map(({ messageId }) => messageId));
    for (const notice of this.#board.pending())
      if (added.has(notice.messageId)) for (const listener of [...this.#listeners]) listener(notice);
  }

  /** A commit failed. A full disk is tried again; a failed one is closed, opened again and read anew. */
  storeFailed(error: Error): void {
    const { clock, limits, log } = this.#options;
    if (this.#closed !== undefined || this.#damaged !== undefined) return;
    if (error instanceof DiskFullError) {
      log.warn("The disk has no room for the outbox", { error });
      clock.after(limits.deliveryBackoffBaseMs, () => void this.#store.save().catch(() => {}));
      return;
    }
    log.error("The outbox file failed", { error });
    this.#damaged = error.message;
    this.#pump.hold(true);
    this.#waiters.release();
    void this.#reopen();
  }

  async #reopen(): Promise<void> {
    const { clock, limits, random, log } = this.#options;
    const { deliveryBackoffBaseMs: baseMs, deliveryBackoffCapMs: capMs } = limits;
    const delays = backoff({ baseMs, capMs, random });
    while (this.#damaged !== undefined) {
      await sleep(clock, delays.next(), this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      const keys = this.#discard;
      try {
        this.#reconcile(await this.#store.load({ afterId: this.#lastId, keys }));
        this.#discard = this.#discard.slice(keys.length);
        this.#damaged = undefined;
        this.#pump.hold(false);
        await this.#store.save();
      } catch (error) {
        this.#damaged ??= error instanceof Error ? error.message : String(error);
        log.error("The outbox file cannot be opened again", { error });
      }
    }
  }

  /** After the file was read again: what is in memory must be what is on disk. */
  #reconcile(loaded: Loaded): void {
    const onDisk = new Set(loaded.records.map(({ id }) => id));
    for (const { id, key } of [...this.#queue.entries()]) {
      if (onDisk.has(id)) continue;
      this.#options.log.error("A stored write is missing after the outbox file failed", { key });
      this.#queue.remove(id);
    }
    for (const record of loaded.records)
      if (this.#queue.get(record.id) === undefined && this.#store.unsaved(record.id) === undefined)
        this.#queue.add({ ...record, marked: record.life.ambiguous, payload: undefined });
    this.#board.add(loaded.notices);
    this.#lastId = Math.max(this.#lastId, loaded.lastId);
  }

  /** Why nothing can be stored now. */
  #refusal(call: WriteCall): string | undefined {
    if (this.#closed !== undefined) return "shutting_down: the outbox is closing";
    if (this.#damaged !== undefined) return `outbox_damaged: ${this.#damaged}`;
    if (this.#pump.pausedBy !== undefined) return pauseWords[this.#pump.pausedBy];
    return this.#options.validate?.(call);
  }

  async #take(
    call: WriteCall,
    { freshUuid, parallel, waitMs }: { freshUuid: string; parallel: string[]; waitMs: number },
  ): Promise<WriteAnswer> {
    const { agentId, clock, limits } = this.#options;
    const draft = draftOf(call, { agentId, now: clock.now(), freshUuid, directory: this.#options });
    const reason = this.#refusal(call) ?? refusalOf(draft, limits);
    if (reason !== undefined) return refused(draft.record, reason);
    const record = { ...draft.record, parallel, attemptNow: this.#pump.live };
    const reply = await this.#store.enqueue(record);
    const { tool, key, messageId, now: enqueuedAt, bytes, attemptNow: marked } = record;
    if (reply.status === "known") return this.#again(reply.record, call.session, waitMs);
    if (reply.status === "full")
      return refused(
        draft.record,
        `outbox_full: ${reply.records} writes with ${reply.bytes} bytes wait already`,
      );
    if (reply.status === "reused")
      return refused(
        draft.record,
        `key_reused: the key ${key} names an earlier write of ${reply.record.tool} with other arguments`,
      );
    const { id } = reply;
    this.#lastId = Math.max(this.#lastId, id);
    const base = { id, tool, key, messageId, enqueuedAt, bytes, life: newLife };
    const entry: Entry = { ...base, marked, payload: draft.payload };
    this.#queue.add(entry);
    this.#pump.added();
    const outcome = await this.#outcome(entry, call.session, waitMs);
    return answerOf({ tool, key, messageId, recordId: id, replayed: false }, outcome);
  }

  /** The store did not take it, or this program failed on the way: nothing will be sent. */
  #failed(call: WriteCall, { error, freshUuid }: { error: unknown; freshUuid: string }): WriteAnswer {
    const { tool } = call;
    const { agentId, log } = this.#options;
    const [key, origin] = keyOf(call, freshUuid);
    log.error("A write was refused", { tool, error });
    if (error instanceof DiskFailedError) this.#discard.push(key);
    if (error instanceof DiskFullError || error instanceof DiskFailedError) this.storeFailed(error);
    const failed = error instanceof DiskFailedError ? "outbox_damaged" : "internal";
    const code = error instanceof DiskFullError ? "disk_full" : failed;
    const words = error instanceof Error ? error.message : String(error);
    const write = { tool, key, messageId: messageIdOf(agentId, key, origin === "minted") };
    return refused(write, `${code}: ${words}`);
  }

  /** The answer to a call that was made before: how its write stands now, in time. */
  async #again(record: KnownRecord, session: string, waitMs: number): Promise<WriteAnswer> {
    const { id, tool, key, messageId } = record;
    const write: AnsweredWrite = { tool, key, messageId, recordId: id, replayed: true };
    const entry = this.#queue.get(id);
    if (entry !== undefined) return answerOf(write, await this.#outcome(entry, session, waitMs));
    const unsaved = this.#store.unsaved(id);
    if (unsaved?.end !== undefined)
      return answerOf(write, this.#endOf(unsaved.life, unsaved.end.result, record.enqueuedAt));
    // It may have ended while the question was on its way.
    const known = (await this.#store.find(id)) ?? record;
    return answerOf(write, this.#endOf(known, known.result, known.enqueuedAt));
  }

  #endOf(
    facts: Pick<RecordLife, "state" | "detail">,
    result: NeutralResult | undefined,
    enqueuedAt: number,
  ): Outcome {
    const { state, detail } = facts;
    if (state !== "queued" && state !== "sending") return outcomeOfEnd(state, { detail, result });
    return { delivery: "queued", lanePosition: 1, expiresAt: this.#expiry(enqueuedAt) };
  }

  async #outcome(entry: Entry, session: string, waitMs: number): Promise<Outcome> {
    const known =
      this.#closed === undefined ? await this.#waiters.outcome(entry.id, session, waitMs) : undefined;
    return (
      known ?? {
        delivery: "queued",
        lanePosition: this.#queue.position(entry.id),
        expiresAt: this.#expiry(entry.enqueuedAt),
      }
    );
  }

  #expiry(enqueuedAt: number): string {
    return new Date(enqueuedAt + this.#options.limits.recordAgeMaxMs).toISOString();
  }

  /** Takes a record through its machine, stores what follows, answers who waits. */
  #apply(entry: Entry, event: RecordEvent, result?: NeutralResult): void {
    const { life, effects } = step(entry.life, event, this.#options.limits);
    entry.life = life;
    const { id } = entry;
    if (life.state === "queued" || life.state === "sending") {
      if (effects.length === 0) return;
      entry.marked = life.ambiguous;
      this.#store.saveSoon({ id, life });
      return;
    }
    if (effects.length === 0) return;
    const notice = effects.find((effect) => effect.do === "notice")?.reason;
    this.#queue.remove(id);
    this.#store.saveSoon({ id, life, end: { at: this.#options.clock.now(), result, notice } });
    const session = this.#waiters.finish(id, outcomeOfEnd(life.state, { detail: life.detail, result }));
    if (session !== undefined && notice !== undefined) this.#board.hold(id, session);
    if (this.#queue.size === 0) for (const done of [...this.#drains]) done();
  }

  /** Records that were stored as `sending` because the pump was about to send them, and were not sent. */
  #unmark(): void {
    for (const entry of this.#queue.entries()) {
      if (!entry.marked || entry.life.ambiguous || entry.life.state !== "queued") continue;
      entry.marked = false;
      this.#store.saveSoon({ id: entry.id, life: entry.life });
    }
  }

  #pruneSoon(ms: number): void {
    const { clock, limits } = this.#options;
    this.#cancelPrune = clock.after(ms, () => {
      this.#store.prune().then(
        (rows) => this.#pruneSoon(rows > 0 ? limits.deliveryBackoffBaseMs : limits.outboxPruneMs),
        () => this.#pruneSoon(limits.outboxPruneMs),
      );
    });
    if (this.#closed !== undefined) this.#cancelPrune();
  }
}
