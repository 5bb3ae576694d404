/** The checksum of a record's row: what is sent, and whose it is. What changes during its life is not part of it. */

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

/** SHA-256 of these columns, hex. */
export function checksumOf(row: SealedRow): string {
  const { key, message_id, tool, fingerprint, call_id, recipient, recipient_id, parent, enqueued_at } = row;
  const head = [key, message_id, tool, fingerprint, call_id, recipient, recipient_id, parent, enqueued_at];
  return Bun.SHA256.hash(JSON.stringify(head) + (row.arguments ?? ""), "hex");
}

/** The checksum of a record that is about to be stored. */
export function checksumOfNew(record: Omit<NewRecord, "checksum" | "parallel" | "attemptNow">): string {
  const { key, messageId, tool, fingerprint, argumentsJson, now } = record;
  return checksumOf({
    ...{
      key,
      message_id: messageId,
      tool,
      fingerprint,
      call_id: record.callId ?? null,
      arguments: argumentsJson,
    },
    ...{ recipient: record.to ?? null, recipient_id: record.recipientId ?? null, parent: parentJson(record) },
    enqueued_at: now,
  });
}

/** Sender and thread of the message that is answered, as a column. */
export function parentJson({ parent }: Pick<NewRecord, "parent">): string | null {
  return parent === undefined ? null : JSON.stringify(parent);
}

/** True when the row is as it was stored. Says nothing about a row whose arguments were erased at its end. */
export function isIntact(row: SealedRow & { checksum: string }): boolean {
  return row.checksum === checksumOf(row);
}
