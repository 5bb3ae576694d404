/**
 * A folder for one session's short-lived files, gone when the session ends. Folders whose owner was killed are swept
 * by whoever starts next. Nothing outside the scratch folder is ever removed, and no link is followed.
 */
import { type Dirent, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isMissing, privateFolder, readPrivate, writePrivate } from "../base/file.ts";

const ownerSchema = z.object({ pid: z.number().int().min(1), startTime: z.string() });
const ownerFile = ".owner.json";
const sessionPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** The process that a folder belongs to; `startTime` tells it from a later one of the same number. */
export type ScratchOwner = z.infer<typeof ownerSchema>;

export type Scratch = {
  path: string;
  /** Removes the folder and what is in it; nothing happens the second time. */
  close(): void;
};

/** Makes the folder of a session, 0700; throws when there is one of that name. */
export function openScratch(home: string, session: string, owner: ScratchOwner): Scratch {
  if (!sessionPattern.test(session))
    throw new Error(`Make a scratch folder: the name ${JSON.stringify(session)} is not a plain file name`);
  const root = join(home, "scratch");
  privateFolder(root);
  const path = join(root, session);
  mkdirSync(path, { mode: 0o700 });
  writePrivate(join(path, ownerFile), JSON.stringify(owner));
  return { path, close: () => rmSync(path, { recursive: true, force: true }) };
}

export type SweepOptions = {
  /** When the process of a number was started; undefined when there is none (`processStart`). */
  startOf(pid: number): string | undefined;
  /** Wall clock, ms since 1970. */
  now: number;
  /** A folder without an owner may just be in the making: it is left alone for this long, ms. */
  unownedMs: number;
};

/** Removes the folders whose owner no longer runs; their names. One that cannot be removed is left for the next. */
export function sweepScratch(home: string, options: SweepOptions): string[] {
  const root = join(home, "scratch");
  return folders(root)
    .map(({ name }) => name)
    .filter((name) => isStale(join(root, name), options) && tryRemove(join(root, name)));
}

function isStale(path: string, { startOf, now, unownedMs }: SweepOptions): boolean {
  const owner = readOwner(path);
  if (owner !== undefined) return startOf(owner.pid) !== owner.startTime;
  try {
    return now - lstatSync(path).mtimeMs > unownedMs;
  } catch {
    return false; // Removed meanwhile by its owner or by another sweep.
  }
}

function readOwner(path: string): ScratchOwner | undefined {
  try {
    const text = readPrivate(join(path, ownerFile));
    return text === undefined ? undefined : ownerSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function tryRemove(path: string): boolean {
  try {
    rmSync(path, { recursive: true, force: true });
    return true;
  } catch {
    return false;
  }
}

function folders(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
