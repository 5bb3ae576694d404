/**
 * Reads what is appended to a file, without ever reading a part of it twice: a transcript may have 200 MB. One reading
 * takes a bounded piece; a line that is longer than that is passed over.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

export type Tail = {
  /** The complete lines that came since the last reading; undefined when nothing more is there now. */
  read(): string[] | undefined;
  /** True when the last reading has reached the end of the file. */
  readonly atEnd: boolean;
  close(): void;
};

const newline = 10;

/**
 * A tail of a file that need not exist yet.
 * @param from where to begin: `end` takes only what is appended from now on; a number is that many bytes before the end
 * @param pieceBytes at most this much is read at once
 */
export function tailFile(path: string, from: "end" | number, pieceBytes: number): Tail {
  let handle: number | undefined;
  let position: number | undefined;
  let atEnd = false;
  // The first line is cut when reading begins in the middle of a file.
  let skipping = false;

  const open = (): number | undefined => {
    if (handle !== undefined) return handle;
    try {
      handle = openSync(path, "r");
    } catch {
      // Not there yet: when it comes, all of it is new.
      position ??= 0;
      return undefined;
    }
    if (position === undefined) {
      const size = fstatSync(handle).size;
      position = from === "end" ? size : Math.max(0, size - from);
      skipping = position > 0 && from !== "end";
    }
    return handle;
  };
  return {
    get atEnd() {
      return atEnd;
    },
    read() {
      const file = open();
      if (file === undefined || position === undefined) {
        atEnd = true;
        return undefined;
      }
      const waiting = fstatSync(file).size - position;
      atEnd = waiting <= pieceBytes;
      if (waiting <= 0) return undefined;
      const buffer = Buffer.allocUnsafe(Math.min(waiting, pieceBytes));
      const count = readSync(file, buffer, 0, buffer.byteLength, position);
      const piece = buffer.subarray(0, count);
      const last = piece.lastIndexOf(newline);
      if (last === -1) {
        // A line without an end: wait for it, unless it is longer than a piece.
        if (atEnd) return undefined;
        position += count;
        skipping = true;
        return [];
      }
      position += last + 1;
      const lines = piece.subarray(0, last).toString("utf8").split("\n");
      if (skipping) lines.shift();
      skipping = false;
      return lines;
    },
    close() {
      if (handle !== undefined) closeSync(handle);
      handle = undefined;
      atEnd = true;
    },
  };
}
