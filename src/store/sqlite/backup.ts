/** Writing the whole database into a file of its own. Runs outside a transaction; writes wait for it meanwhile. */
import type { Database } from "bun:sqlite";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Writes a compact copy: private from the first byte, flushed, and there under its name only when it is complete.
 * @param file must not exist; its folder must
 * @returns its size, bytes
 */
export function writeBackup(database: Database, file: string): number {
  const temporary = `${file}.new`;
  rmSync(temporary, { force: true });
  // The copy goes into an empty file that nobody else may read.
  closeSync(openSync(temporary, "wx", 0o600));
  try {
    database.query("VACUUM INTO ?1").run(temporary);
    flush(temporary);
    renameSync(temporary, file);
    flush(dirname(file));
    return statSync(file).size;
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function flush(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
