/**
 * Whether a row is as it was stored. A record's: what is sent, and whose it is; the fingerprint seals tool and
 * arguments, the checksum the fingerprint and the other columns. The store's: whose it is, and its format. What changes
 * during a row's life is not part of its checksum.
 */
import { callFingerprint } from "../wire/id.ts";
import type { NewRecord } from "./rows.ts";

/** The columns that never change while a record can be sent. */
export type SealedRow = {
  key: string;
  message_id: string;
  tool: string;
  fingerprint: string;
  call_id: string | null;
  arguments: string | null;
  recipient: string | null;
  recipient_id: string | null;
  parent: string | null;
  enqueued_at: number;
};

type Head = Omit<SealedRow, "arguments">;

/** Hex digits of a checksum of formats 2 to 4: SHA-256 of all columns. */
const wholeLength = 64;

/** Of the columns besides the arguments, hex. */
export function checksumOf(row: Head): string {
  return hashOf(headOf(row));
}

/** As it was made in formats 2 to 4. */
export function wholeChecksumOf(row: SealedRow): string {
  return Bun.SHA256.hash(headOf(row) + (row.arguments ?? ""), "hex");
}

function headOf(row: Head): string {
  const { key, message_id, tool, fingerprint, call_id, recipient, recipient_id, parent, enqueued_at } = row;
  const columns = [key, message_id, tool, fingerprint, call_id, recipient, recipient_id, parent, enqueued_at];
  return JSON.stringify(columns);
}

/** The checksum of a record that is about to be stored. */
export function checksumOfNew(record: Omit<NewRecord, "checksum" | "parallel" | "attemptNow">): string {
  const { key, messageId, tool, fingerprint, now } = record;
  return checksumOf({
    ...{ key, message_id: messageId, tool, fingerprint, call_id: record.callId ?? null },
    ...{ recipient: record.to ?? null, recipient_id: record.recipientId ?? null, parent: parentJson(record) },
    enqueued_at: now,
  });
}

/** Sender and thread of the message that is answered, as a column. */
export function parentJson({ parent }: Pick<NewRecord, "parent">): string | null {
  return parent === undefined ? null : JSON.stringify(parent);
}

/** True when the row is as it was stored. False for one whose arguments were erased at its end. */
export function isIntact(row: SealedRow & { checksum: string }): boolean {
  if (row.arguments === null) return false;
  if (row.checksum.length === wholeLength) return row.checksum === wholeChecksumOf(row);
  return row.checksum === checksumOf(row) && row.fingerprint === callFingerprint(row.tool, row.arguments);
}

/** The columns of the store's row that only a change of the format changes. */
export type SealedStore = { store_id: string; relay_id: string; agent_id: string; format: number };

/** Of whose store it is, and the format of its file. */
export function storeChecksumOf({ store_id, relay_id, agent_id, format }: SealedStore): string {
  return hashOf(JSON.stringify([store_id, relay_id, agent_id, format]));
}

/** True when what the row says of the store is what was stored. */
export function isStoreIntact(row: SealedStore & { checksum: string }): boolean {
  return row.checksum === storeChecksumOf(row);
}

function hashOf(text: string): string {
  return Bun.hash.xxHash64(text).toString(16).padStart(16, "0");
}
