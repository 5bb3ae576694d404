/**
 * The outbox of one agent on one machine: takes writes, commits them, lets the pump deliver them, answers what
 * became of them. A write is answered in every case; nothing here throws for a full, damaged or closed store.
 */
import { type IdempotencyKey, type StoreId, uuidV7 } from "../wire/id.ts";
import type { NeutralResult, Notice } from "../wire/receipt.ts";
import type {
  LocalOutcome,
  OutboxStatus,
  RecordDetail,
  RecordView,
  WriteAnswer,
  WriteCall,
} from "../wire/write.ts";
import { type Outcome, outcomeOfEnd } from "./answers.ts";
import { claim } from "./claim.ts";
import { type DelayWatch, delayWatch } from "./delay.ts";
import { Ends } from "./ends.ts";
import type { OutboxHandle, OutboxOptions } from "./handle.ts";
import { Intake } from "./intake.ts";
import { type Counts, countOne, newCounts, type OutboxMetrics } from "./metrics.ts";
import { type NoticeBoard, noticeBoard } from "./notices.ts";
import { Pump } from "./pump.ts";
import { createQueue, type Entry } from "./queue.ts";
import { isRemembered, type RecordEvent, step } from "./record.ts";
import { Recovery } from "./recovery.ts";
import type { Damage, NoticeRow, RetryReply } from "./rows.ts";
import { sessions } from "./seen.ts";
import { type Loaded, OutboxStore, retryRecord } from "./store.ts";
import { noteGeneration, pruneAgain, tellDelay } from "./upkeep.ts";
import { Drains, Waiters } from "./waiters.ts";

export type { OutboxHandle, OutboxOptions } from "./handle.ts";
export { metricsText, type OutboxMetrics } from "./metrics.ts";
export type { RetryReply } from "./rows.ts";
export { inspectOutbox, listRecords, OutboxOwnedError, OutboxUnusableError } from "./store.ts";

/**
 * Opens the outbox of an agent and begins to deliver what is queued.
 * @throws OutboxOwnedError when another process owns it, OutboxUnusableError when it belongs to another agent or
 * relay, was made by a newer program, or is damaged
 */
export async function openOutbox(options: OutboxOptions): Promise<OutboxHandle> {
  const { dir, relayId, agentId, purpose, limits, clock, random } = options;
  const newStoreId = uuidV7(clock.now(), random.bytes(10));
  let open: OpenOutbox | undefined;
  const store = new OutboxStore({
    ...{ dir, relayId, agentId, purpose, limits, clock, newStoreId },
    onEnds: (ids) => open?.endsStored(ids),
    onNotices: (rows) => open?.noticesStored(rows),
    onFailure: (error) => open?.storeFailed(error),
  });
  try {
    const loaded = await claim(() => store.load({ afterId: 0, keys: [] }), options);
    open = new OpenOutbox(options, store, loaded);
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
  readonly #drains: Drains;
  readonly #stop = new AbortController();
  readonly #recovery: Recovery;
  readonly #intake: Intake;
  readonly #delay: DelayWatch;
  readonly #counts: Counts = newCounts();
  readonly #ends: Ends;
  readonly damage: Damage | undefined;
  #closed: Promise<void> | undefined;
  readonly #cancelPrune: () => void;

  constructor(options: OutboxOptions, store: OutboxStore, loaded: Loaded) {
    const { limits, clock, deliverer } = options;
    this.storeId = loaded.storeId;
    this.#options = options;
    this.#store = store;
    this.damage = loaded.damage;
    if (loaded.damage !== undefined) options.log.error("A damaged outbox file was replaced", loaded.damage);
    this.#queue = createQueue(limits);
    this.#waiters = new Waiters(clock);
    this.#drains = new Drains(clock, () => this.#queue.size === 0);
    this.#board = noticeBoard({ storeId: loaded.storeId, limits, clock });
    this.#sessions = sessions(limits);
    this.#board.add(loaded.notices);
    for (const record of loaded.records)
      this.#queue.add({ ...record, marked: record.life.ambiguous, payload: undefined });
    this.#ends = new Ends({ tell: (id, outcome) => this.#tell(id, outcome), save: () => store.save() });
    this.#pump = new Pump({
      ...options,
      queue: this.#queue,
      suspended: loaded.paused,
      deliverer: typeof deliverer === "function" ? deliverer(loaded.storeId) : deliverer,
      mark: (ids) => store.mark(ids),
      payloads: (ids) => store.payloads(ids),
      settled: () => this.#ends.settled(),
      apply: (entry, event, result) => this.#apply(entry, event, result),
      waiting: () => this.#unmark(),
      stalled: () => this.#waiters.release(),
      opened: ({ generation }) => noteGeneration({ ...options, store }, generation),
      counted: (what) => countOne(this.#counts.attempts, what),
    });
    this.#recovery = new Recovery(
      {
        ...options,
        ...{ store, queue: this.#queue, board: this.#board, stop: this.#stop.signal },
        hold: (held) => this.#pump.hold(held),
        release: () => this.#waiters.release(),
      },
      loaded.lastId,
    );
    this.#intake = new Intake({
      ...options,
      ...{ store, queue: this.#queue, pump: this.#pump, recovery: this.#recovery, waiters: this.#waiters },
      ...{ ends: this.#ends, counts: this.#counts },
      isClosed: () => this.#closed !== undefined,
      added: (entry) => this.#add(entry),
    });
    this.#delay = delayWatch({
      ...{ clock, limits, oldest: () => this.#queue.oldest },
      tell: (oldest, step) => {
        const facts = { oldest, step, waiting: this.#queue.size, lastError: this.#pump.lastError };
        tellDelay({ ...options, store }, facts);
      },
    });
    this.#delay.look();
    this.#cancelPrune = pruneAgain({ ...options, store });
  }

  write(call: WriteCall, waitMs: number): Promise<WriteAnswer> {
    return this.#intake.write(call, waitMs);
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
    return this.#drains.wait(waitMs);
  }

  notices(): readonly Notice[] {
    return this.#board.pending();
  }

  noticesAnswered(ids: readonly string[], session: string): void {
    this.#sessions.answered(session, { notices: ids });
  }

  status(): OutboxStatus {
    const { oldest, size, bytes } = this.#queue;
    const { phase, lastError, suspended } = this.#pump;
    const { damaged } = this.#recovery;
    const works = suspended ? "paused" : phase;
    const own = damaged === undefined ? works : "damaged";
    return {
      depth: size,
      oldestAgeMs: oldest === undefined ? 0 : Math.max(0, this.#options.clock.now() - oldest.enqueuedAt),
      bytes,
      state: this.#closed === undefined ? own : "closed",
      lastError: damaged ?? lastError,
    };
  }

  records(options: { limit?: number } = {}): Promise<RecordView[]> {
    return this.#store.list(options.limit ?? this.#options.limits.outboxRecordsMax);
  }

  async drop(ids: readonly number[]): Promise<number> {
    const entries = ids.map((id) => this.#queue.get(id)).filter((entry) => entry !== undefined);
    await this.#pump.drop(entries, "a person took it out of the queue");
    await this.#store.save();
    return entries.length;
  }

  show(id: number, options: { body?: boolean } = {}): Promise<RecordDetail | undefined> {
    return this.#store.show(id, options.body === true);
  }

  async retry(id: number): Promise<RetryReply> {
    const reply = await retryRecord({ ...this.#options, store: this.#store }, id);
    if (reply.status === "stored") this.#add({ ...reply.record, marked: false, payload: undefined });
    return reply;
  }

  async pause(paused: boolean): Promise<void> {
    await this.#store.pause(paused);
    this.#pump.suspend(paused);
  }

  async outcomeOf(key: IdempotencyKey): Promise<LocalOutcome | undefined> {
    const known = await this.#store.findKey(key);
    if (known === undefined) return undefined;
    const unsaved = this.#ends.isUntold(known.id) ? undefined : this.#store.unsaved(known.id)?.life;
    const { state, detail } = unsaved ?? known;
    return { key, messageId: known.messageId, tool: known.tool, state, detail };
  }

  async metrics(): Promise<OutboxMetrics> {
    const vitals = await this.#store.vitals().catch(() => undefined);
    const noticesPending = this.#board.pending().length;
    return { status: this.status(), counts: structuredClone(this.#counts), vitals, noticesPending };
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
      this.#cancelPrune();
      this.#delay.stop();
      this.#waiters.release();
      this.#drains.release();
      await this.#pump.close();
      await this.#recovery.close();
      await this.#store.close();
    })();
    return this.#closed;
  }

  /** These records have ended, and that is on disk. */
  endsStored(ids: readonly number[]): void {
    this.#ends.stored(ids);
  }

  /** Notices came to disk with the ends of their records. */
  noticesStored(rows: readonly NoticeRow[]): void {
    const known = this.#board.add(rows);
    if (known.length > 0) this.#store.seenSoon({ notices: known });
    const added = new Set(rows.map(({ messageId }) => messageId));
    for (const notice of this.#board.pending())
      if (added.has(notice.messageId)) for (const listener of [...this.#listeners]) listener(notice);
  }

  /** A commit failed. */
  storeFailed(error: Error): void {
    if (this.#closed === undefined) this.#recovery.failed(error);
  }

  #add(entry: Entry): void {
    this.#counts.accepted += 1;
    this.#recovery.stored(entry.id);
    this.#queue.add(entry);
    if (this.#queue.size === 1) this.#delay.look();
    this.#pump.added();
  }

  /** Takes a record through its machine, stores what follows, answers who waits. */
  #apply(entry: Entry, event: RecordEvent, result?: NeutralResult): void {
    const { life, effects } = step(entry.life, event, this.#options.limits);
    this.#options.observe?.({ before: entry.life, event, after: life });
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
    if (notice !== undefined) countOne(this.#counts.bounced, notice);
    if (life.state === "sent") this.#counts.sent += 1;
    this.#queue.remove(id);
    this.#store.saveSoon({ id, life, end: { at: this.#options.clock.now(), result, notice } });
    const outcome = outcomeOfEnd(life.state, { detail: life.detail, result });
    this.#ends.ended(id, outcome, isRemembered(event));
    if (this.#queue.size === 0) this.#emptied();
  }

  #tell(id: number, outcome: Outcome): void {
    const session = this.#waiters.finish(id, outcome);
    if (session !== undefined && outcome.delivery !== "sent") this.#board.hold(id, session);
  }

  #emptied(): void {
    this.#delay.look();
    const stale = this.#board.withdraw("delayed");
    if (stale.length > 0) this.#store.seenSoon({ notices: stale });
    this.#drains.look();
  }

  /** Records that were stored as `sending` because the pump was about to send them, and were not sent. */
  #unmark(): void {
    for (const entry of this.#queue.entries()) {
      if (!entry.marked || entry.life.ambiguous || entry.life.state !== "queued") continue;
      entry.marked = false;
      this.#store.saveSoon({ id: entry.id, life: entry.life });
    }
  }
}
