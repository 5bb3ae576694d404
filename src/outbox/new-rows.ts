/**
 * The new records of one transaction: each has its id at once, and they go into the file together, several rows to a
 * statement. A row by itself costs the engine nearly twice as much.
 */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import { parentJson } from "./checksum.ts";
import type { NewRecord } from "./rows.ts";

type Value = string | number | null;
type Insert = { rows: number; run(values: SQLQueryBindings[]): void };

/** Bound anew for each row; besides them a row has the epoch of the store's opening and no excerpt yet. */
const columns = [
  ...["id", "key", "message_id", "tool", "fingerprint", "call_id", "arguments", "recipient", "recipient_id"],
  ...["parent", "bytes", "enqueued_at", "state", "checksum", "trace"],
];
/** Rows of a statement, largest first. */
const sizes = [16, 4, 1];

export class NewRows {
  readonly #inserts: readonly Insert[];
  #waiting: Value[] = [];
  #lastId: number;
  /** As of the last commit. */
  #settledId: number;

  /** @param lastId the highest id that was ever given in this file */
  constructor(database: Database, { epoch, lastId }: { epoch: number; lastId: number }) {
    this.#inserts = sizes.map((rows) => insertOf(database, rows, epoch));
    this.#lastId = lastId;
    this.#settledId = lastId;
  }

  /** The record's id. It is in the file after `write`. */
  add(record: NewRecord): number {
    this.#lastId += 1;
    const { key, messageId, tool, fingerprint, argumentsJson, bytes, now, checksum } = record;
    const state = record.attemptNow ? "sending" : "queued";
    this.#waiting.push(
      ...[this.#lastId, key, messageId, tool, fingerprint, record.callId ?? null, argumentsJson],
      ...[record.to ?? null, record.recipientId ?? null, parentJson(record), bytes, now, state, checksum],
      record.trace ?? null,
    );
    return this.#lastId;
  }

  /** A record came into the file by another way. */
  took(id: number): void {
    this.#lastId = id;
  }

  /** Everything that was added is in the running transaction when it returns. */
  write(): void {
    const values = this.#waiting;
    if (values.length === 0) return;
    this.#waiting = [];
    let from = 0;
    for (const { rows, run } of this.#inserts) {
      const width = rows * columns.length;
      for (; values.length - from >= width; from += width) run(values.slice(from, from + width));
    }
  }

  /** The transaction was committed, or undone. */
  settle(committed: boolean): void {
    this.#waiting = [];
    if (committed) this.#settledId = this.#lastId;
    else this.#lastId = this.#settledId;
  }
}

function insertOf(database: Database, rows: number, epoch: number): Insert {
  const row = `(${columns.map(() => "?").join(", ")}, ${epoch}, '')`;
  const all = Array.from({ length: rows }, () => row).join(", ");
  const statement = database.query(
    `INSERT INTO records (${columns.join(", ")}, epoch, excerpt) VALUES ${all}`,
  );
  return { rows, run: (values) => void statement.run(...values) };
}
