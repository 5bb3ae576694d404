/** Asks a program for its version: what `PROGRAM --version` prints first. */
import { type Clock, sleep } from "../base/clock.ts";
import { type SpawnRequest, spawnChild } from "../base/process.ts";
import { limits } from "../limits.ts";

/** The first line it prints; undefined when it prints none in time. Throws when it cannot be started. */
export async function askVersion(
  request: Pick<SpawnRequest, "command" | "env" | "cwd">,
  clock: Clock,
): Promise<string | undefined> {
  let first: string | undefined;
  const keep = (line: string) => {
    first ??= line;
  };
  const child = spawnChild({ ...request, stdio: { stdout: keep, stderr() {} }, processGroup: true });
  const ended = child.exited.then(() => child.outputEnded);
  await Promise.race([ended, sleep(clock, limits.programVersionMs)]);
  child.signalGroup("SIGKILL");
  child.release();
  return first;
}
