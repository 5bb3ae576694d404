/**
 * The outbox file as the rest of the room uses it: verbs that resolve after their commit, and changes that may
 * wait a moment so that they share the fsync of the next write. Opening tells clearly why it cannot.
 */
import type { Clock } from "../base/clock.ts";
import { workerClient } from "../base/worker.ts";
import type { Limits } from "../limits.ts";
import { type AgentId, asId, type StoreId } from "../wire/id.ts";
import type { LaneRecord } from "../wire/lane.ts";
import type { RecordView } from "../wire/write.ts";
import { fileOf, type Owner } from "./files.ts";
import {
  diskFailedName,
  diskFullName,
  type EnqueueReply,
  type KnownRecord,
  type LifeChange,
  type LoadReply,
  type LoadRequest,
  type NewRecord,
  type NoticeRow,
  type OutboxMethods,
  type StoreLimits,
} from "./rows.ts";

/** Another process holds the outbox. */
export class OutboxOwnedError extends Error {
  override readonly name = "OutboxOwnedError";
  readonly dir: string;
  /** Process id of the owner, when it left a note. */
  readonly pid: number | undefined;

  constructor(dir: string, owner: Owner) {
    const who = owner.pid === undefined ? "another process" : `process ${owner.pid}`;
    const since = owner.startedAt === undefined ? "" : ` since ${owner.startedAt}`;
    super(`Open outbox ${fileOf(dir)}: ${who} owns it${since}, one owner at a time was wanted`);
    this.dir = dir;
    this.pid = owner.pid;
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

export type Loaded = Extract<LoadReply, { status: "opened" }> & { storeId: StoreId };

export type OutboxStore = {
  /** Opens the file, also again after a `DiskFailedError`. */
  load(discard: LoadRequest["discard"]): Promise<Loaded>;
  enqueue(record: NewRecord): Promise<EnqueueReply>;
  mark(ids: number[]): Promise<void>;
  payloads(ids: number[]): Promise<{ id: number; record: LaneRecord }[]>;
  find(id: number): Promise<KnownRecord | undefined>;
  list(limit: number): Promise<RecordView[]>;
  prune(): Promise<number>;
  /** Stores with the next commit, at the latest after `limits.saveLingerMs`. */
  saveSoon(change: LifeChange): void;
  seenSoon(seen: { records?: readonly number[]; notices?: readonly number[] }): void;
  /** Stores what waits and resolves after its commit; also when there was nothing. */
  save(): Promise<void>;
  /** An end that is not on disk yet. */
  unsaved(id: number): LifeChange | undefined;
  close(): Promise<void>;
};

export type StoreOptions = {
  dir: string;
  relayId: string;
  agentId: AgentId;
  newStoreId: string;
  limits: Limits;
  clock: Clock;
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
  };
}

/** Starts the worker; nothing is opened before `load`. */
export function createStore(options: StoreOptions): OutboxStore {
  const { dir, clock, limits } = options;
  const worker = startWorker();
  let changes = new Map<number, LifeChange>();
  let saving = new Map<number, LifeChange>();
  let seenRecords = new Set<number>();
  let seenNotices = new Set<number>();
  let cancelTimer: (() => void) | undefined;
  let lastSave: Promise<void> = Promise.resolve();

  /** Sends what waits to the worker. Called right before another verb, so that both share a commit. */
  function flush(): Promise<void> {
    cancelTimer?.();
    cancelTimer = undefined;
    if (changes.size + seenRecords.size + seenNotices.size === 0) return lastSave;
    const batch = { changes, seenRecords, seenNotices };
    changes = new Map();
    seenRecords = new Set();
    seenNotices = new Set();
    saving = new Map([...saving, ...batch.changes]);
    lastSave = worker
      .call("save", {
        changes: [...batch.changes.values()],
        seenRecords: [...batch.seenRecords],
        seenNotices: [...batch.seenNotices],
        now: clock.now(),
      })
      .then(
        ({ notices }) => {
          saved(batch.changes);
          if (notices.length > 0) options.onNotices(notices);
        },
        (error: unknown) => {
          saved(batch.changes);
          // What came later about the same record stands.
          changes = new Map([...batch.changes, ...changes]);
          seenRecords = seenRecords.union(batch.seenRecords);
          seenNotices = seenNotices.union(batch.seenNotices);
          const failure = diskError(error, dir);
          options.onFailure(failure);
          throw failure;
        },
      );
    lastSave.catch(() => {});
    return lastSave;
  }

  function saved(batch: ReadonlyMap<number, LifeChange>): void {
    for (const [id, change] of batch) if (saving.get(id) === change) saving.delete(id);
  }

  function soon(): void {
    if (changes.size >= limits.batchRecordsMax) void flush().catch(() => {});
    else
      cancelTimer ??= clock.after(limits.saveLingerMs, () => {
        void flush().catch(() => {});
      });
  }

  /** A verb behind everything that waits. Its own failure says whether it counted; the flush reports its own. */
  async function call<Name extends keyof OutboxMethods>(
    name: Name,
    argument: Parameters<OutboxMethods[Name]>[0],
  ): Promise<Awaited<ReturnType<OutboxMethods[Name]>>> {
    flush().catch(() => {});
    try {
      return await worker.call(name, argument);
    } catch (error) {
      throw diskError(error, dir);
    }
  }

  return {
    async load(discard) {
      const { relayId, agentId, newStoreId } = options;
      const request = { dir, relayId, agentId, newStoreId, pid: process.pid, now: clock.now(), discard };
      const reply = await worker
        .call("load", { ...request, limits: storeLimits(limits) })
        .catch((error: unknown) => {
          throw unusable("damaged", dir, error instanceof Error ? error.message : String(error), error);
        });
      if (reply.status === "opened") return { ...reply, storeId: asId(reply.storeId) };
      throw refusal(reply, dir, { relayId, agentId });
    },
    enqueue: (record) => call("enqueue", record),
    mark: (ids) => call("mark", { ids }),
    payloads: (ids) => call("payloads", { ids }),
    find: (id) => call("find", { id }),
    list: (limit) => call("list", { limit, expiryMs: limits.recordAgeMaxMs }),
    prune: () => call("prune", { now: clock.now() }),
    saveSoon(change) {
      changes.set(change.id, change);
      soon();
    },
    seenSoon({ records = [], notices = [] }) {
      for (const id of records) seenRecords.add(id);
      for (const seq of notices) seenNotices.add(seq);
      soon();
    },
    save: flush,
    unsaved(id) {
      const change = changes.get(id) ?? saving.get(id);
      return change?.end === undefined ? undefined : change;
    },
    async close() {
      await flush().catch(() => {});
      cancelTimer?.();
      await worker.call("close", {}).catch(() => {});
      await worker.close();
    },
  };
}

/**
 * The records of an outbox that nobody owns; none when there is no such file.
 * @throws OutboxOwnedError when a process owns it, OutboxUnusableError when it cannot be read
 */
export async function listRecords(
  dir: string,
  limits: Pick<Limits, "recordAgeMaxMs" | "outboxRecordsMax">,
): Promise<RecordView[]> {
  const worker = startWorker();
  try {
    const request = { dir, limit: limits.outboxRecordsMax, expiryMs: limits.recordAgeMaxMs };
    const reply = await worker.call("inspect", request).catch((error: unknown) => {
      throw unusable("damaged", dir, error instanceof Error ? error.message : String(error), error);
    });
    if (reply.status === "read") return reply.records;
    throw refusal(reply, dir, { relayId: "", agentId: "" });
  } finally {
    await worker.close();
  }
}

function startWorker() {
  const worker = new Worker(new URL("./store.worker.ts", import.meta.url));
  return workerClient<OutboxMethods>(worker, "outbox store");
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

function diskError(error: unknown, dir: string): Error {
  const message = `Write outbox ${fileOf(dir)}: ${error instanceof Error ? error.message : String(error)}`;
  if (error instanceof Error && error.name === diskFullName) return new DiskFullError(message);
  if (error instanceof Error && error.name === diskFailedName) return new DiskFailedError(message);
  return new DiskFailedError(message, { cause: error });
}
