/** What people did to the outboxes of this machine: one line of JSON each, appended and flushed before it is done. */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { privateFolder } from "../base/file.ts";

/** One thing that is about to be done. */
export type AuditEntry = {
  /** ISO 8601. */
  at: string;
  /** Login name of the person. */
  by: string;
  pid: number;
  action: string;
  /** Name of the agent or proxy. */
  outbox: string;
  /** Keys of the records; empty for what is about the whole. */
  keys: readonly string[];
};

/** The audit file of a home, 0600, never shortened by us. */
export function auditFileOf(home: string): string {
  return join(home, "audit.log");
}

/** Appends one line; it is on disk when this returns. */
export function appendAudit(home: string, entry: AuditEntry): void {
  privateFolder(home);
  const handle = openSync(auditFileOf(home), "a", 0o600);
  try {
    writeSync(handle, `${JSON.stringify(entry)}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
