/** The end of a process of the rig at one of its points: written down and synced first, then SIGKILL. */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { type Crash, crashVariable } from "./points.ts";

/** What this process is to die of, when it is. */
export function crashOf(environment: Record<string, string | undefined>): Crash | undefined {
  const text = environment[crashVariable];
  return text === undefined ? undefined : (JSON.parse(text) as Crash);
}

/** Appends one line to the file of hits; on disk when it returns. */
export function note(file: string, text: string): void {
  const handle = openSync(file, "a", 0o600);
  writeSync(handle, `${text}\n`);
  fsyncSync(handle);
  closeSync(handle);
}

/** Ends this process at once. */
export function die(crash: Crash): never {
  note(crash.hits, crash.point);
  process.kill(process.pid, "SIGKILL");
  for (;;);
}
