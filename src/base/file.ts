/** Small private files: written whole or not at all, flushed before the name changes, readable by their owner only. */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  type Stats,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

/** The folder or file is not safe to keep secrets in. */
export class UnsafePathError extends Error {
  override readonly name = "UnsafePathError";
}

/**
 * Makes a folder that only its owner can enter, or checks that an existing one is ours and not open to others'
 * writes. Group or world *read* permission is taken away.
 */
export function privateFolder(path: string): void {
  makeFolder(path);
  const stat = requireOwnFolder(path);
  if ((stat.mode & 0o077) !== 0) chmodSync(path, 0o700);
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "EEXIST") throw new UnsafePathError(`Use ${path}: it is not a folder`, { cause });
    if (code === "ENOTDIR")
      throw new UnsafePathError(`Use ${path}: a part of the path is not a folder`, { cause });
    throw new UnsafePathError(`Use ${path}: the folder cannot be made (${code})`, { cause });
  }
}

/** Checks an existing folder without changing anything: it is ours, and others may not write to it. */
export function requireOwnFolder(path: string): Stats {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) throw new UnsafePathError(`Use ${path}: it is not a folder`);
  const uid = process.getuid?.();
  if (uid !== undefined && stat.uid !== uid) {
    throw new UnsafePathError(`Use ${path}: it belongs to user ${stat.uid}, this is user ${uid}`);
  }
  if ((stat.mode & 0o022) !== 0) {
    throw new UnsafePathError(
      `Use ${path}: others may write to it (mode ${mode(stat.mode)}), 700 was wanted`,
    );
  }
  return stat;
}

/** Replaces a file: temporary file 0600, fsync, rename, fsync of the folder. */
export function writePrivate(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.new`;
  const handle = openSync(temporary, "w", 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(temporary, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** The text of a file, or undefined when there is none. A link or a file that others may read is refused. */
export function readPrivate(path: string): string | undefined {
  let stat: ReturnType<typeof lstatSync>;
  try {
    stat = lstatSync(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  if (!stat.isFile()) throw new UnsafePathError(`Read ${path}: it is not a regular file`);
  if ((stat.mode & 0o077) !== 0) {
    throw new UnsafePathError(`Read ${path}: others may read it (mode ${mode(stat.mode)}), 600 was wanted`);
  }
  return readFileSync(path, "utf8");
}

/** True for ENOENT and ENOTDIR. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

function mode(bits: number): string {
  return (bits & 0o777).toString(8);
}
