/**
 * The outbox file as the rest of the room uses it: verbs that resolve after their commit, and changes that may
 * wait a moment so that they share the fsync of the next write. Opening tells clearly why it cannot.
 */
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { workerClient } from "../base/worker.ts";
import type { Limits } from "../limits.ts";
import { type AgentId, asId, mintedKey, type StoreId, uuidV7 } from "../wire/id.ts";
import type { LaneRecord } from "../wire/lane.ts";
import type { RecordDetail, RecordView } from "../wire/write.ts";
import { fileOf, type Owner } from "./files.ts";
import {
  type DelayedRequest,
  diskFullName,
  type EnqueueReply,
  type GenerationRequest,
  type KnownRecord,
  type LifeChange,
  type LoadReply,
  type LoadRequest,
  type NewRecord,
  type NoticeRow,
  type OutboxMethods,
  type RetryReply,
  type RetryRequest,
  type StoreLimits,
  type Vitals,
} from "./rows.ts";

/** Another process holds the outbox. */
export class OutboxOwnedError extends Error {
  override readonly name = "OutboxOwnedError";
  readonly dir: string;
  /** Process id of the owner, when it left a note. */
  readonly pid: number | undefined;
  /** It only delivers what was left, and lets go within `limits.drainerWaitMs`. */
  readonly drains: boolean;

  constructor(dir: string, owner: Owner) {
    const who = owner.pid === undefined ? "another process" : `process ${owner.pid}`;
    const since = owner.startedAt === undefined ? "" : ` since ${owner.startedAt}`;
    super(`Open outbox ${fileOf(dir)}: ${who} owns it${since}, one owner at a time was wanted`);
    this.dir = dir;
    this.pid = owner.pid;
    this.drains = owner.purpose === "drain";
  }
}

/** The outbox cannot be used: it belongs to another agent or relay, to a newer program, or is damaged. */
export class OutboxUnusableError extends Error {
  override readonly name = "OutboxUnusableError";
  readonly why: "foreign" | "newer" | "damaged";

  constructor(why: "foreign" | "newer" | "damaged", message: string, cause?: unknown) {
    super(message, { cause });
    this.why = why;
  }
}

/** Nothing was stored: the disk has no room. The store goes on. */
export class DiskFullError extends Error {
  override readonly name = "DiskFullError";
}

/** The file failed and is closed. Nothing of the call counts until `load` has opened it again. */
export class DiskFailedError extends Error {
  override readonly name = "DiskFailedError";
}

/** Why a write was not stored, as its receipt says it. */
export function failureReason(error: unknown): string {
  const failed = error instanceof DiskFailedError ? "outbox_damaged" : "internal";
  const code = error instanceof DiskFullError ? "disk_full" : failed;
  return `${code}: ${error instanceof Error ? error.message : String(error)}`;
}

/** Makes a new write, with a key and an id of its own, of a record that ended without effect. */
export async function retryRecord(
  { store, clock, random }: { store: OutboxStore; clock: Clock; random: Random },
  id: number,
): Promise<RetryReply> {
  const uuid = uuidV7(clock.now(), random.bytes(10));
  const tool = (await store.find(id))?.tool;
  if (tool === undefined) return { status: "unknown" };
  return store.retry({ id, key: mintedKey(tool, uuid), messageId: asId(uuid), now: clock.now() });
}

export type Loaded = Extract<LoadReply, { status: "opened" }> & { storeId: StoreId };

export type StoreOptions = {
  dir: string;
  relayId: string;
  agentId: AgentId;
  newStoreId: string;
  /** Noted for whoever wants the store meanwhile. */
  purpose?: "drain" | undefined;
  limits: Limits;
  clock: Clock;
  /** Ends that are on disk now; called before `onNotices`. */
  onEnds(ids: readonly number[]): void;
  /** Notices that were written with the ends of their records. */
  onNotices(notices: readonly NoticeRow[]): void;
  /** A commit in the background failed; what it carried is kept and tried again by the next `save`. */
  onFailure(error: Error): void;
};

/** The worker's bounds, from the product's. */
export function storeLimits(limits: Limits): StoreLimits {
  return {
    recordsMax: limits.outboxRecordsMax,
    bytesMax: limits.outboxBytesMax,
    reissueWindowMs: limits.reissueWindowMs,
    noticesMax: limits.noticesMax,
    tombstoneMs: limits.recordTombstoneMs,
    tombstonesMax: limits.tombstonesMax,
    resultBytesMax: limits.recordBytesMax,
    fileBytesMax: limits.outboxFileBytesMax,
    freeBytesMin: limits.outboxFreeBytesMin,
    reserveBytes: limits.outboxReserveBytes,
    marksLingerMs: limits.marksLingerMs,
  };
}

/** The open file of one outbox; nothing is opened before `load`. */
export class OutboxStore {
  readonly #options: StoreOptions;
  readonly #worker = startWorker();
  #changes = new Map<number, LifeChange>();
  #saving = new Map<number, LifeChange>();
  #seenRecords = new Set<number>();
  #seenNotices = new Set<number>();
  #cancelTimer: (() => void) | undefined;
  #lastSave: Promise<void> = Promise.resolve();
  /** The file is closed because it failed; only `load` may be asked. */
  #failed: DiskFailedError | undefined;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** Opens the file, also again after a `DiskFailedError`. */
  async load(discard: LoadRequest["discard"]): Promise<Loaded> {
    const { dir, relayId, agentId, newStoreId, purpose, limits, clock } = this.#options;
    const now = clock.now();
    const request = { dir, relayId, agentId, newStoreId, purpose, pid: process.pid, now, discard };
    const reply = await this.#worker
      .call("load", { ...request, limits: storeLimits(limits) })
      .catch((error: unknown) => {
        throw damaged(dir, error);
      });
    if (reply.status !== "opened") throw refusal(reply, dir, { relayId, agentId });
    this.#failed = undefined;
    return { ...reply, storeId: asId(reply.storeId) };
  }

  enqueue(record: NewRecord): Promise<EnqueueReply> {
    return this.#call("enqueue", record);
  }

  mark(ids: number[]): Promise<void> {
    return this.#call("mark", { ids });
  }

  payloads(ids: number[]): Promise<{ id: number; record: LaneRecord }[]> {
    return this.#call("payloads", { ids });
  }

  find(id: number): Promise<KnownRecord | undefined> {
    return this.#call("find", { id });
  }

  findKey(key: string): Promise<KnownRecord | undefined> {
    return this.#call("findKey", { key });
  }

  show(id: number, body: boolean): Promise<RecordDetail | undefined> {
    return this.#call("show", { id, body, expiryMs: this.#options.limits.recordAgeMaxMs });
  }

  retry(request: RetryRequest): Promise<RetryReply> {
    return this.#call("retry", request);
  }

  /** Notes that a person has paused it now, or lets it go on. */
  pause(paused: boolean): Promise<void> {
    return this.#call("pause", { at: paused ? this.#options.clock.now() : undefined });
  }

  /** Writes the notice that a record waits, unless that was told; `onNotices` hears of it. */
  async delayed(request: DelayedRequest): Promise<void> {
    this.#told(await this.#call("delayed", request));
  }

  /** Notes the relay's generation; when it has changed, a notice names what may be missing. */
  async generation(request: GenerationRequest): Promise<void> {
    this.#told(await this.#call("generation", request));
  }

  vitals(): Promise<Vitals> {
    return this.#call("vitals", {});
  }

  list(limit: number): Promise<RecordView[]> {
    return this.#call("list", { limit, expiryMs: this.#options.limits.recordAgeMaxMs });
  }

  /** Removes ended records whose time is over; how many rows went. */
  prune(): Promise<number> {
    return this.#call("prune", { now: this.#options.clock.now() });
  }

  /** Stored with the next commit, at the latest after `limits.saveLingerMs`. */
  saveSoon(change: LifeChange): void {
    this.#changes.set(change.id, change);
    this.#soon();
  }

  seenSoon(seen: { records?: readonly number[]; notices?: readonly number[] }): void {
    for (const id of seen.records ?? []) this.#seenRecords.add(id);
    for (const seq of seen.notices ?? []) this.#seenNotices.add(seq);
    this.#soon();
  }

  /** An end that is not on disk yet. */
  unsaved(id: number): LifeChange | undefined {
    const change = this.#changes.get(id) ?? this.#saving.get(id);
    return change?.end === undefined ? undefined : change;
  }

  /**
   * Sends what waits to the worker, and resolves after its commit. Called right before another verb, so that both
   * share a transaction.
   */
  save(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const [changes, seenRecords, seenNotices] = [this.#changes, this.#seenRecords, this.#seenNotices];
    if (this.#waits === 0) return this.#lastSave;
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    this.#changes = new Map();
    this.#seenRecords = new Set();
    this.#seenNotices = new Set();
    for (const [id, change] of changes) this.#saving.set(id, change);
    const request = {
      changes: [...changes.values()],
      seenRecords: [...seenRecords],
      seenNotices: [...seenNotices],
      now: this.#options.clock.now(),
    };
    const saved = this.#worker.call("save", request).then(
      ({ notices }) => {
        this.#settled(changes);
        this.#options.onEnds([...changes.values()].filter(({ end }) => end).map(({ id }) => id));
        if (notices.length > 0) this.#options.onNotices(notices);
      },
      (error: unknown) => {
        this.#settled(changes);
        // What came later about the same record stands.
        this.#changes = new Map([...changes, ...this.#changes]);
        this.#seenRecords = this.#seenRecords.union(seenRecords);
        this.#seenNotices = this.#seenNotices.union(seenNotices);
        const failure = this.#failure(error);
        this.#options.onFailure(failure);
        throw failure;
      },
    );
    this.#lastSave = saved.catch(() => {});
    return saved;
  }

  async close(): Promise<void> {
    await this.save().catch(() => {});
    this.#cancelTimer?.();
    await this.#worker.call("close", {}).catch(() => {});
    await this.#worker.close();
  }

  /** How much waits for the next commit. */
  get #waits(): number {
    return this.#changes.size + this.#seenRecords.size + this.#seenNotices.size;
  }

  #told({ notices }: { notices: NoticeRow[] }): void {
    if (notices.length > 0) this.#options.onNotices(notices);
  }

  #settled(changes: ReadonlyMap<number, LifeChange>): void {
    for (const [id, change] of changes) if (this.#saving.get(id) === change) this.#saving.delete(id);
  }

  #soon(): void {
    const { clock, limits } = this.#options;
    // A failure is reported to `onFailure` and what it carried is kept.
    const save = () => void this.save().catch(() => {});
    if (this.#changes.size >= limits.batchRecordsMax) save();
    else this.#cancelTimer ??= clock.after(limits.saveLingerMs, save);
  }

  async #call<Name extends keyof OutboxMethods>(
    name: Name,
    argument: Parameters<OutboxMethods[Name]>[0],
  ): Promise<Awaited<ReturnType<OutboxMethods[Name]>>> {
    if (this.#waits > 0) this.save().catch(() => {});
    if (this.#failed !== undefined) throw this.#failed;
    try {
      return await this.#worker.call(name, argument);
    } catch (error) {
      const failure = this.#failure(error);
      // Also when it was only read: the file is opened anew, and what is damaged of it is set aside.
      if (failure instanceof DiskFailedError) this.#options.onFailure(failure);
      throw failure;
    }
  }

  #failure(error: unknown): DiskFullError | DiskFailedError {
    const words = error instanceof Error ? error.message : String(error);
    const message = `Write outbox ${fileOf(this.#options.dir)}: ${words}`;
    if (error instanceof Error && error.name === diskFullName) return new DiskFullError(message);
    this.#failed = new DiskFailedError(message, { cause: error });
    return this.#failed;
  }
}

/** What is in a store that nobody owns. */
export type Inspected = {
  records: RecordView[];
  /** Whose it is; undefined when there is no such file, or an empty one. */
  identity: { relayId: string; agentId: string } | undefined;
};

/**
 * Reads a store that nobody owns; no records when there is no such file. Makes and changes nothing.
 * @throws OutboxOwnedError when a process owns it, OutboxUnusableError when it cannot be read
 */
export async function inspectOutbox(
  dir: string,
  limits: Pick<Limits, "recordAgeMaxMs" | "outboxRecordsMax">,
): Promise<Inspected> {
  const worker = startWorker();
  try {
    const request = { dir, limit: limits.outboxRecordsMax, expiryMs: limits.recordAgeMaxMs };
    const reply = await worker.call("inspect", request).catch((error: unknown) => {
      throw damaged(dir, error);
    });
    if (reply.status === "read") return { records: reply.records, identity: reply.identity };
    throw refusal(reply, dir, { relayId: "", agentId: "" });
  } finally {
    await worker.close();
  }
}

/** The records of an outbox that nobody owns, as `inspectOutbox` reads them. */
export async function listRecords(
  dir: string,
  limits: Pick<Limits, "recordAgeMaxMs" | "outboxRecordsMax">,
): Promise<RecordView[]> {
  return (await inspectOutbox(dir, limits)).records;
}

/** Half of what keeps the worker busy for the time of a flush: it then works on one bundle while the next is made. */
const bundleMax = 16;

function startWorker() {
  const worker = new Worker(new URL("./store.worker.ts", import.meta.url));
  return workerClient<OutboxMethods>(worker, "outbox store", { bundle: bundleMax, beside: "argumentsJson" });
}

type Refusal = Exclude<LoadReply, { status: "opened" }>;

function refusal(reply: Refusal, dir: string, wanted: { relayId: string; agentId: string }): Error {
  if (reply.status === "owned") return new OutboxOwnedError(dir, reply);
  if (reply.status === "newer")
    return unusable("newer", dir, `its format ${reply.version} was made by a newer version of this program`);
  return unusable(
    "foreign",
    dir,
    `it belongs to agent ${reply.agentId} at relay ${reply.relayId}, ` +
      `agent ${wanted.agentId} at relay ${wanted.relayId} was wanted`,
  );
}

function unusable(
  why: OutboxUnusableError["why"],
  dir: string,
  words: string,
  cause?: unknown,
): OutboxUnusableError {
  return new OutboxUnusableError(why, `Open outbox ${fileOf(dir)}: ${words}`, cause);
}

function damaged(dir: string, error: unknown): OutboxUnusableError {
  return unusable("damaged", dir, error instanceof Error ? error.message : String(error), error);
}
