/** What the relay holds, read in two independent ways: its own inbox command, and its database after it has ended. */
import { Database } from "bun:sqlite";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { StoredMessage } from "./verdict.ts";

const storedSchema = z.object({ id: z.string(), seq: z.number(), from: z.string(), body: z.string() });
const inboxSchema = z.object({ messages: z.array(storedSchema) });

/** The inbox that `agent-relay inbox NAME --json` printed. */
export function parseInbox(text: string): StoredMessage[] {
  return inboxSchema.parse(JSON.parse(text)).messages;
}

/**
 * Copies the database of a relay that has ended, with its write-ahead log, and reads every inbox from the copy.
 * @param home the relay's home
 * @param into folder for the copy
 */
export function readDatabase(home: string, into: string): Map<string, StoredMessage[]> {
  const original = join(home, "relay", "relay.sqlite");
  const copy = join(into, "copy.sqlite");
  for (const suffix of ["", "-wal"])
    if (existsSync(original + suffix)) copyFileSync(original + suffix, copy + suffix);
  using database = new Database(copy);
  const rows = database
    .query(
      `SELECT owner.name AS inbox, message.id, inbox.seq, sender.name AS "from", message.body
       FROM inbox
       JOIN messages AS message ON message.id = inbox.message_id
       JOIN agents AS owner ON owner.id = inbox.agent_id
       JOIN agents AS sender ON sender.id = message.sender_id
       ORDER BY inbox.seq`,
    )
    .all();
  const inboxes = new Map<string, StoredMessage[]>();
  for (const row of z.array(storedSchema.extend({ inbox: z.string() })).parse(rows)) {
    const { inbox, ...message } = row;
    inboxes.set(inbox, [...(inboxes.get(inbox) ?? []), message]);
  }
  return inboxes;
}

/** True when both ways show the same messages in the same order. */
export function sameInbox(a: readonly StoredMessage[], b: readonly StoredMessage[]): boolean {
  const text = (rows: readonly StoredMessage[]) =>
    JSON.stringify(rows.map(({ id, seq, from, body }) => [id, seq, from, body]));
  return text(a) === text(b);
}
