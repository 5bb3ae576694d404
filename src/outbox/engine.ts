/**
 * The worker's half of the store: the verbs as SQL on the one open file, and the shared transaction around calls
 * that arrive together. An error inside it undoes the whole group; a disk error other than "full" closes the file.
 */
import type { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { openSqlite, SqliteBusyError } from "../base/sqlite.ts";
import { fileOf, forgetOwner, readOwner, writeOwner } from "./files.ts";
import { type EarlierWrite, judge } from "./reissue.ts";
import {
  diskFailedName,
  diskFullName,
  type EnqueueReply,
  type InspectReply,
  type ListRequest,
  type LoadReply,
  type LoadRequest,
  type NewRecord,
  type OutboxMethods,
  type StoreLimits,
} from "./rows.ts";
import { migrate, schemaVersion, versionOf } from "./schema.ts";
import { type Counts, prepareVerbs, type Verbs } from "./verbs.ts";

type Open = { dir: string; database: Database; verbs: Verbs; limits: StoreLimits; epoch: number };

export type Engine = { methods: OutboxMethods; runTogether(runs: (() => void)[]): void };

/** One outbox file at a time. */
export function createEngine(): Engine {
  let open: Open | undefined;
  let counts: Counts = { records: 0, bytes: 0 };
  let fault: unknown;
  let closing = false;

  const current = (): Open => {
    if (open === undefined) throw named(diskFailedName, "The outbox file is not open");
    return open;
  };
  /** Remembers what went wrong, so that the group is undone although the call's own answer is caught. */
  const guarded =
    <Argument, Value>(verb: (argument: Argument) => Value) =>
    (argument: Argument): Value => {
      try {
        return verb(argument);
      } catch (error) {
        fault ??= error;
        throw error;
      }
    };

  const methods: OutboxMethods = {
    load: (request) => {
      if (open !== undefined) throw new Error(`Open ${fileOf(request.dir)}: this worker has a file open`);
      const result = loadFile(request);
      if (result.reply.status !== "opened") return result.reply;
      open = result.open;
      counts = open.verbs.count();
      return result.reply;
    },
    inspect: inspectFile,
    enqueue: guarded((record) => {
      const { verbs, limits, epoch } = current();
      const reply = enqueue({ verbs, limits, epoch, counts }, record);
      if (reply.status === "stored")
        counts = { records: counts.records + 1, bytes: counts.bytes + record.bytes };
      return reply;
    }),
    mark: guarded(({ ids }) => current().verbs.mark(ids)),
    save: guarded((request) => {
      const { verbs, limits } = current();
      const saved = verbs.save(request, limits);
      counts = { records: counts.records - saved.ended.records, bytes: counts.bytes - saved.ended.bytes };
      return { notices: saved.notices };
    }),
    payloads: guarded(({ ids }) => current().verbs.payloads(ids)),
    find: guarded(({ id }) => current().verbs.find(id)),
    list: guarded((request) => current().verbs.list(request)),
    prune: guarded(({ now }) => {
      const { verbs, limits } = current();
      return verbs.prune(now, limits);
    }),
    close: () => {
      closing = true;
    },
  };

  function runTogether(runs: (() => void)[]): void {
    const transaction = open;
    if (transaction === undefined) {
      for (const run of runs) run();
    } else {
      const before = counts;
      fault = undefined;
      try {
        transaction.database.run("BEGIN IMMEDIATE");
        for (const run of runs) run();
        if (fault !== undefined) throw fault;
        transaction.database.run("COMMIT");
      } catch (error) {
        counts = before;
        throw undo(transaction.database, error);
      }
    }
    if (closing) shut();
  }

  /** Ends the failed transaction; decides whether the file can be trusted further. */
  function undo(database: Database, error: unknown): Error {
    const full = codeOf(error).startsWith("SQLITE_FULL");
    try {
      if (database.inTransaction) database.run("ROLLBACK");
    } catch {
      abandon();
    }
    if (!full) abandon();
    return named(full ? diskFullName : diskFailedName, error instanceof Error ? error.message : `${error}`);
  }

  /** Closes a file that failed without touching it further than that takes. */
  function abandon(): void {
    const left = open;
    open = undefined;
    try {
      left?.database.close();
    } catch {
      // A file that cannot even be closed is left to the end of the process.
    }
  }

  function shut(): void {
    const left = open;
    open = undefined;
    if (left === undefined) return;
    try {
      left.database.run("PRAGMA wal_checkpoint(TRUNCATE)");
      left.database.close();
      forgetOwner(left.dir);
    } catch {
      // Everything is committed; the next opening does what was left.
    }
  }

  return { methods, runTogether };
}

function enqueue(
  store: { verbs: Verbs; limits: StoreLimits; epoch: number; counts: Counts },
  record: NewRecord,
): EnqueueReply {
  const { verbs, limits, counts } = store;
  const byKey = verbs.byKey(record.key);
  const equal: EarlierWrite[] = byKey === undefined ? verbs.unseen(record.fingerprint) : [];
  const verdict = judge(record, { byKey, equal }, limits);
  if (verdict.kind !== "new") {
    const known = verbs.find(verdict.id);
    if (known !== undefined) return { status: verdict.kind === "same" ? "known" : "reused", record: known };
  }
  if (counts.records >= limits.recordsMax || counts.bytes + record.bytes > limits.bytesMax)
    return { status: "full", ...counts };
  return { status: "stored", id: verbs.insert(record, store.epoch) };
}

function loadFile(request: LoadRequest): { reply: LoadReply; open?: Open } {
  const database = openOwned(request.dir);
  if (database === undefined) return { reply: { status: "owned", ...readOwner(request.dir) } };
  try {
    const { limits } = request;
    const pageSize = (database.query("PRAGMA page_size").get() as { page_size: number }).page_size;
    database.run(`PRAGMA max_page_count = ${Math.ceil(limits.fileBytesMax / pageSize)}`);
    database.run(`PRAGMA journal_size_limit = ${4 * 256 * pageSize}`);
    const version = versionOf(database);
    if (version > schemaVersion) return closed(database, { status: "newer", version });
    database.run("BEGIN IMMEDIATE");
    migrate(database);
    const verbs = prepareVerbs(database);
    const identity = verbs.open(request);
    if (identity.relayId !== request.relayId || identity.agentId !== request.agentId) {
      database.run("ROLLBACK");
      return closed(database, {
        status: "foreign",
        relayId: identity.relayId,
        agentId: identity.agentId,
      });
    }
    verbs.reopen(request.discard);
    database.run("COMMIT");
    writeOwner(request.dir, { pid: request.pid, startedAt: new Date(request.now).toISOString() });
    const { storeId, epoch } = identity;
    const reply: LoadReply = { status: "opened", storeId, epoch, ...verbs.contents() };
    return { reply, open: { dir: request.dir, database, verbs, limits, epoch } };
  } catch (error) {
    database.close();
    throw error;
  }
}

function closed(database: Database, reply: LoadReply): { reply: LoadReply } {
  database.close();
  return { reply };
}

/** The file, or undefined when another process owns it. */
function openOwned(dir: string): Database | undefined {
  try {
    return openSqlite({ path: fileOf(dir), exclusive: true, secureDelete: true });
  } catch (error) {
    if (error instanceof SqliteBusyError) return undefined;
    throw error;
  }
}

function inspectFile(request: ListRequest & { dir: string }): InspectReply {
  if (!existsSync(fileOf(request.dir))) return { status: "read", records: [] };
  const database = openOwned(request.dir);
  if (database === undefined) return { status: "owned", ...readOwner(request.dir) };
  try {
    const version = versionOf(database);
    if (version > schemaVersion) return { status: "newer", version };
    if (version < schemaVersion) return { status: "read", records: [] };
    return { status: "read", records: prepareVerbs(database).list(request) };
  } finally {
    database.close();
  }
}

function codeOf(error: unknown): string {
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : "";
  return typeof code === "string" ? code : "";
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}
