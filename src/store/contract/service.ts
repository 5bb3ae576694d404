/** The database as a whole. The rules of all verbs are in store.ts. */
import type { AuditEntry, AuditKind, AuditRecord } from "../../wire/audit.ts";
import type { RelayId } from "../../wire/id.ts";

/** What stays the same for the life of the database, and the number that a restore changes. */
export type StoreIdentity = { relayId: RelayId; generation: number; schemaVersion: number };

export type StoreCounts = { agents: number; messages: number; unread: number; obligationsOpen: number };

/** Which entries: upwards after a number, or the newest first, of one kind or all. */
export type AuditQuery =
  | { afterSeq: number; limit: number }
  | { beforeSeq?: number; kind?: AuditKind | undefined; limit: number };

export interface ServiceVerbs {
  /** Appends entries to the audit log, each chained to the one before it. */
  appendAudit(records: readonly AuditRecord[]): Promise<void>;
  readAudit(query: AuditQuery): Promise<AuditEntry[]>;
  counts(): Promise<StoreCounts>;
  /** Forgets outcomes older than the window and expired agent tokens, in bounded steps; how many rows went. */
  prune(now: number, keyWindowMs: number): Promise<number>;
  /**
   * Writes a compact copy of everything into a new private file, complete or not at all. Other verbs wait meanwhile.
   * Its size, bytes.
   */
  backup(file: string): Promise<number>;
  /** Ends after the running transactions; later calls throw. */
  close(): Promise<void>;
}
