/** The checksum of a record's row: what is sent, and whose it is. What changes during its life is not part of it. */

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

/** True when the row is as it was stored. Says nothing about a row whose arguments were erased at its end. */
export function isIntact(row: SealedRow & { checksum: string }): boolean {
  return row.checksum === checksumOf(row);
}
