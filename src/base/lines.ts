/** Splits a byte stream into lines of bounded length, so that a program that never ends a line cannot fill memory. */

/** Appended to a line that was cut. */
export const truncationMark = " …[truncated]";

export type LineSplitter = {
  /** Takes the next bytes; calls back for every line they complete. */
  push(bytes: Uint8Array): void;
  /** The stream has ended: a last line without a newline is a line too. */
  end(): void;
};

/**
 * A splitter at `\n` and `\r\n`. Bytes that are not UTF-8 become U+FFFD.
 * @param lineBytesMax longer lines are cut there and marked with `truncationMark`
 */
export function lineSplitter(lineBytesMax: number, onLine: (line: string) => void): LineSplitter {
  let parts: Uint8Array[] = [];
  let size = 0;
  let cut = false;

  const keep = (bytes: Uint8Array) => {
    const room = lineBytesMax - size;
    if (bytes.byteLength > room) cut = true;
    if (room <= 0 || bytes.byteLength === 0) return;
    // A copy: the source may reuse its buffer for the next read.
    const kept = new Uint8Array(bytes.subarray(0, room));
    parts.push(kept);
    size += kept.byteLength;
  };
  const emit = () => {
    const text = new TextDecoder().decode(Buffer.concat(parts)).replace(/\r$/, "");
    const mark = cut ? truncationMark : "";
    parts = [];
    size = 0;
    cut = false;
    onLine(text + mark);
  };

  return {
    push(bytes) {
      let start = 0;
      for (;;) {
        const newline = bytes.indexOf(10, start);
        if (newline === -1) break;
        keep(bytes.subarray(start, newline));
        emit();
        start = newline + 1;
      }
      keep(bytes.subarray(start));
    },
    end() {
      if (size > 0 || cut) emit();
    },
  };
}
