/**
 * The files of an outbox folder: the database and a note of who owns it. The lock is SQLite's; the note is only
 * read to tell a second owner whom to ask.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The database of an outbox folder. */
export function fileOf(dir: string): string {
  return join(dir, "outbox.sqlite");
}

export type Owner = {
  pid: number | undefined;
  startedAt: string | undefined;
  /** It only delivers what an earlier owner has left, and soon lets go. */
  purpose?: "drain" | undefined;
};

const ownerFile = (dir: string) => join(dir, "owner.json");

/** Notes who holds the lock. Called only by its holder. */
export function writeOwner(dir: string, owner: { pid: number; startedAt: string; purpose?: "drain" }): void {
  const path = ownerFile(dir);
  writeFileSync(`${path}.new`, `${JSON.stringify(owner)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Who noted themselves last; members are undefined when that cannot be read. */
export function readOwner(dir: string): Owner {
  try {
    const value: unknown = JSON.parse(readFileSync(ownerFile(dir), "utf8"));
    const { pid, startedAt, purpose } = (value ?? {}) as Record<string, unknown>;
    return {
      pid: typeof pid === "number" ? pid : undefined,
      startedAt: typeof startedAt === "string" ? startedAt : undefined,
      ...(purpose === "drain" ? { purpose } : {}),
    };
  } catch {
    return { pid: undefined, startedAt: undefined };
  }
}

/** Removes the note at an orderly end. */
export function forgetOwner(dir: string): void {
  rmSync(ownerFile(dir), { force: true });
}
