/**
 * The high-water mark: what was accepted and what has ended, written beside the database in every commit that accepts
 * a write and flushed a moment later. SQLite drops a damaged end of its log in silence; this file is how that is
 * noticed, and it knows the keys of what is missing. Lines of a checksum and JSON; an unreadable line says nothing.
 */
import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isMissing, writePrivate } from "../base/file.ts";
import { isMintedKey } from "../wire/id.ts";
import { isEnded, type RecordState, recordStates } from "./record.ts";

/** Whose marks they are. */
export type MarksHead = { storeId: string; relayId: string; agentId: string; lastId: number };
/** A write that was accepted. */
export type Accepted = { id: number; key: string; messageId: string; tool: string; at: number };
export type Ended = { id: number; state: RecordState };

/** What a file says. */
export type MarksFound = {
  /** Undefined when the first line cannot be read. */
  head: MarksHead | undefined;
  /** Highest id that was accepted. */
  lastId: number;
  /** Accepted, and not known to have ended. */
  open: ReadonlyMap<number, Accepted>;
  ended: ReadonlyMap<number, RecordState>;
  /** Lines that could not be read. */
  unreadable: number;
};

type OpenRow = [id: number, key: string, at: number, messageId?: string, tool?: string];
/** Writes with minted keys and following ids that were accepted in the same millisecond. */
type Run = [firstId: number, at: number, ...keys: string[]];
type Line = { a?: OpenRow[]; m?: Run[]; e?: [id: number, state: RecordState][]; head?: MarksHead };

/** Zeros are written ahead in steps of this size: a flush of them costs no change of the file's length. */
const stepBytes = 256 * 1_024;
/** The file is written anew when it is larger than this and than a few times what it has to say. */
const rewriteBytes = 512 * 1_024;
/** About what an accepted write takes in it. */
const rowBytes = 70;

/** The file in an outbox folder. */
export function marksFileOf(dir: string): string {
  return join(dir, "outbox.marks");
}

/** What the file says; undefined when there is none. */
export function readMarks(dir: string): MarksFound | undefined {
  let text: string;
  try {
    text = readFileSync(marksFileOf(dir), "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  const open = new Map<number, Accepted>();
  const ended = new Map<number, RecordState>();
  const lines = text.replaceAll("\0", "").split("\n").slice(0, -1).map(parsed);
  const head = lines.find((line) => line?.head !== undefined)?.head;
  let lastId = head?.lastId ?? 0;
  for (const line of lines) {
    for (const accepted of acceptedIn(line)) {
      lastId = Math.max(lastId, accepted.id);
      open.set(accepted.id, accepted);
    }
  }
  for (const line of lines)
    for (const [id, state] of line?.e ?? []) if (open.delete(id)) ended.set(id, state);
  return { head, lastId, open, ended, unreadable: lines.filter((line) => line === undefined).length };
}

/** The file of an open store. Every method may throw what the disk says. */
export class Marks {
  readonly #dir: string;
  readonly #open = new Map<number, Accepted>();
  #head: MarksHead;
  #handle = -1;
  /** Where the next line goes, and how far the file was written ahead. */
  #end = 0;
  #ahead = 0;

  /** Replaces the file by one that says this. */
  constructor(dir: string, head: MarksHead, open: Iterable<Accepted>) {
    this.#dir = dir;
    this.#head = head;
    for (const accepted of open) this.#open.set(accepted.id, accepted);
    this.#rewrite();
  }

  /** Called before a transaction begins: makes room while failing still has no consequence. */
  prepare(): void {
    if (this.#end > Math.max(rewriteBytes, 4 * rowBytes * this.#open.size)) this.#rewrite();
    else if (this.#ahead - this.#end < stepBytes / 2) this.#writeAhead();
  }

  /**
   * Adds what a commit has accepted and ended. An end that a power cut forgets is told as a loss too many, never as one
   * too few.
   */
  add(accepted: readonly Accepted[], ended: readonly Ended[]): void {
    for (const one of accepted) {
      this.#open.set(one.id, one);
      this.#head.lastId = Math.max(this.#head.lastId, one.id);
    }
    for (const { id } of ended) this.#open.delete(id);
    if (accepted.length + ended.length === 0) return;
    const bytes = lineOf({
      ...(accepted.length === 0 ? {} : openRows(accepted)),
      ...(ended.length === 0 ? {} : { e: ended.map(({ id, state }) => [id, state]) }),
    });
    writeSync(this.#handle, bytes, 0, bytes.length, this.#end);
    this.#end += bytes.length;
  }

  /** Everything that was added is on the disk when it returns. */
  flush(): void {
    if (this.#handle >= 0) fdatasyncSync(this.#handle);
  }

  close(): void {
    const handle = this.#handle;
    this.#handle = -1;
    if (handle < 0) return;
    try {
      fdatasyncSync(handle);
    } finally {
      closeSync(handle);
    }
  }

  #rewrite(): void {
    const lines = [lineOf({ head: this.#head })];
    const open = [...this.#open.values()];
    for (let from = 0; from < open.length; from += 200)
      lines.push(lineOf(openRows(open.slice(from, from + 200))));
    const content = Buffer.concat(lines);
    writePrivate(marksFileOf(this.#dir), content.toString());
    if (this.#handle >= 0) closeSync(this.#handle);
    this.#handle = openSync(marksFileOf(this.#dir), constants.O_RDWR);
    this.#end = content.length;
    this.#ahead = content.length;
    this.#writeAhead();
  }

  #writeAhead(): void {
    const zeros = Buffer.alloc(stepBytes);
    writeSync(this.#handle, zeros, 0, zeros.length, this.#ahead);
    fsyncSync(this.#handle);
    this.#ahead += stepBytes;
  }
}

/** A minted key has tool and id in it: they are not written twice. */
function openRows(accepted: readonly Accepted[]): Pick<Line, "a" | "m"> {
  const [a, m]: [OpenRow[], Run[]] = [[], []];
  let next = 0;
  let time = Number.NaN;
  for (const { id, key, messageId, tool, at } of accepted) {
    if (!isMintedKey(key, tool, messageId)) {
      a.push([id, key, at, messageId, tool]);
      continue;
    }
    if (id === next && at === time) m.at(-1)?.push(key);
    else m.push([id, at, key]);
    next = id + 1;
    time = at;
  }
  return { ...(a.length === 0 ? {} : { a }), ...(m.length === 0 ? {} : { m }) };
}

function acceptedIn(line: Line | undefined): Accepted[] {
  const rows = line?.a ?? [];
  const minted = (line?.m ?? []).flatMap(([firstId, at, ...keys]) =>
    keys.map((key, index): OpenRow => [firstId + index, key, at]),
  );
  return [...rows, ...minted].map(([id, key, at, messageId, tool]) => {
    const parts = /^mcp-(.*)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(key);
    return { id, key, at, messageId: messageId ?? parts?.[2] ?? "", tool: tool ?? parts?.[1] ?? "" };
  });
}

function lineOf(line: Line): Buffer {
  const json = JSON.stringify(line);
  return Buffer.from(`${checkOf(json)} ${json}\n`);
}

function checkOf(json: string): string {
  return Bun.hash.crc32(json).toString(16).padStart(8, "0");
}

function parsed(text: string): Line | undefined {
  const json = text.slice(9);
  if (text.slice(0, 8) !== checkOf(json)) return undefined;
  // The checksum says that this program wrote it.
  const line = JSON.parse(json) as Line;
  const known = line.e?.every(([, state]) => recordStates.includes(state) && isEnded(state)) ?? true;
  return known ? line : undefined;
}
