/** What can be wrong with the files of a home: who may read them, what was set aside, how much room there is. */
import { readdirSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { isMissing } from "../base/file.ts";

/** Files that are looked at; a home has a few dozen. */
const filesMax = 5_000;

export type Checkup = {
  /** Files and folders that others may read or write, with their mode in octal. */
  open: { path: string; mode: string }[];
  /** Database files that were set aside as damaged. */
  damaged: string[];
  freeBytes: number;
};

/** Looks at a home; undefined when there is none. */
export function checkHome(home: string): Checkup | undefined {
  try {
    const { bavail, bsize } = statfsSync(home);
    const found: Checkup = { open: [], damaged: [], freeBytes: bavail * bsize };
    const queue = [home];
    for (let seen = 0; queue.length > 0 && seen < filesMax; seen += 1) look(queue.pop() ?? "", found, queue);
    return found;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function look(path: string, found: Checkup, queue: string[]): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return; // It went away meanwhile.
  const mode = stat.mode & 0o777;
  if ((mode & 0o077) !== 0) found.open.push({ path, mode: mode.toString(8) });
  if (stat.isDirectory()) queue.push(...readdirSync(path).map((name) => join(path, name)));
  else if (/\.damaged-[^/]*$/.test(path) && !path.endsWith("-wal")) found.damaged.push(path);
}
