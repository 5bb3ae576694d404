/**
 * The worker's half of the store: the verbs as SQL on the one open file, and the shared transaction around calls
 * that arrive together. An error inside it undoes the whole group; a disk error other than "full" closes the file.
 */
import type { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { openSqlite, SqliteBusyError } from "../base/sqlite.ts";
import { fileOf, forgetOwner, readOwner, writeOwner } from "./files.ts";
import { judge } from "./reissue.ts";
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

/** One outbox file at a time. */
export class Engine {
  #open: Open | undefined;
  #counts: Counts = { records: 0, bytes: 0 };
  #fault: unknown;
  #closing = false;

  readonly methods: OutboxMethods = {
    load: (request) => this.#load(request),
    inspect: inspectFile,
    enqueue: this.#guarded((store, record) => this.#enqueue(store, record)),
    mark: this.#guarded(({ verbs }, { ids }) => verbs.mark(ids)),
    save: this.#guarded(({ verbs, limits }, request) => {
      const { notices, ended } = verbs.save(request, limits);
      const { records, bytes } = this.#counts;
      this.#counts = { records: records - ended.records, bytes: bytes - ended.bytes };
      return { notices };
    }),
    payloads: this.#guarded(({ verbs }, { ids }) => verbs.payloads(ids)),
    find: this.#guarded(({ verbs }, { id }) => verbs.find(id)),
    list: this.#guarded(({ verbs }, request) => verbs.list(request)),
    prune: this.#guarded(({ verbs, limits }, { now }) => verbs.prune(now, limits)),
    close: () => {
      this.#closing = true;
    },
  };

  /** Runs calls that arrived together in one transaction; throws when none of them counts. */
  runTogether(runs: readonly (() => void)[]): void {
    const { database } = this.#open ?? {};
    if (database === undefined) {
      for (const run of runs) run();
    } else {
      const before = this.#counts;
      this.#fault = undefined;
      try {
        database.run("BEGIN IMMEDIATE");
        for (const run of runs) run();
        if (this.#fault !== undefined) throw this.#fault;
        database.run("COMMIT");
      } catch (error) {
        this.#counts = before;
        throw this.#undo(database, error);
      }
    }
    if (this.#closing) this.#close();
  }

  /** Runs a verb on the open file, and remembers what went wrong so that the whole group is undone. */
  #guarded<Argument, Value>(verb: (store: Open, argument: Argument) => Value): (argument: Argument) => Value {
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

  #load(request: LoadRequest): LoadReply {
    if (this.#open !== undefined)
      throw new Error(`Open ${fileOf(request.dir)}: this worker has a file open, none was wanted`);
    const { reply, open } = loadFile(request);
    this.#open = open;
    if (open !== undefined) this.#counts = open.verbs.count();
    return reply;
  }

  #enqueue({ verbs, limits, epoch }: Open, record: NewRecord): EnqueueReply {
    const byKey = verbs.byKey(record.key);
    const equal = byKey === undefined ? verbs.unseen(record.fingerprint) : [];
    const verdict = judge(record, { byKey, equal }, limits);
    const known = verdict.kind === "new" ? undefined : verbs.find(verdict.id);
    if (known !== undefined) return { status: verdict.kind === "same" ? "known" : "reused", record: known };
    const { records, bytes } = this.#counts;
    if (records >= limits.recordsMax || bytes + record.bytes > limits.bytesMax)
      return { status: "full", records, bytes };
    const id = verbs.insert(record, epoch);
    this.#counts = { records: records + 1, bytes: bytes + record.bytes };
    return { status: "stored", id };
  }

  /** Ends the failed transaction; only a full disk leaves a file that can be trusted further. */
  #undo(database: Database, error: unknown): Error {
    const full = codeOf(error).startsWith("SQLITE_FULL");
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
      left?.database.close();
    } catch {
      // A file that cannot even be closed is left to the end of the process.
    }
  }

  #close(): void {
    const left = this.#open;
    this.#open = undefined;
    try {
      left?.database.run("PRAGMA wal_checkpoint(TRUNCATE)");
      left?.database.close();
      if (left !== undefined) forgetOwner(left.dir);
    } catch {
      // Everything is committed; the next opening does what was left.
    }
  }
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
