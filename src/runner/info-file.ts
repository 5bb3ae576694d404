/**
 * What the machine's other programs may know about a running agent, and what a restarted runner needs to end what an
 * earlier one left behind: one file in the agent's folder, readable by its owner only. It holds no secret: those of
 * the proxy and of the control server stand in files of their own.
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isMissing, privateFolder, readPrivate, UnsafePathError, writePrivate } from "../base/file.ts";

const processNumber = z.number().int().min(2);
const childSchema = z
  .object({ pid: processNumber, group: processNumber.optional(), startTime: z.string().min(1) })
  .transform(({ pid, group, startTime }) => ({ pid, group, startTime }));

const infoSchema = z.object({
  /** The runner's own process. */
  pid: processNumber,
  /** When that process was started, as the system tells it; tells it from a later one of the same number. */
  startTime: z.string().min(1),
  startedAt: z.iso.datetime(),
  agentName: z.string(),
  agentId: z.string(),
  relayUrl: z.string(),
  relayId: z.string(),
  provider: z.string(),
  cwd: z.string(),
  /** The endpoint that the agent speaks to: the proxy's, in direct mode the relay's. */
  mode: z.enum(["proxy", "direct"]),
  mcpUrl: z.string(),
  controlUrl: z.string(),
  /** The agent's process; absent before its start. */
  child: childSchema.optional(),
});

export type RunnerInfo = z.infer<typeof infoSchema>;

const fileName = "runner.json";

/** Writes the file as a whole, flushed to disk before it replaces the old one. */
export function writeInfoFile(folder: string, info: RunnerInfo): void {
  privateFolder(folder);
  writePrivate(join(folder, fileName), `${JSON.stringify(info)}\n`);
}

/** The file's content; undefined when there is none, or none that can be understood: it is written at every start. */
export function readInfoFile(folder: string): RunnerInfo | undefined {
  const text = readPrivate(join(folder, fileName));
  if (text === undefined) return undefined;
  try {
    return infoSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Removes the file; nothing happens when there is none. */
export function removeInfoFile(folder: string): void {
  rmSync(join(folder, fileName), { force: true });
}

/**
 * True while the runner of that file runs.
 * @param startOf when the process of a number was started; undefined when there is none (`processStart`)
 */
export function isRunnerAlive(info: RunnerInfo, startOf: (pid: number) => string | undefined): boolean {
  return startOf(info.pid) === info.startTime;
}

/** The files of all agents under a home, those of killed runners too. One that is not safe to read is left out. */
export function listInfoFiles(home: string): RunnerInfo[] {
  const runners = join(home, "runners");
  return subfolders(runners)
    .flatMap((relay) => subfolders(join(runners, relay)).map((agent) => join(runners, relay, agent)))
    .flatMap(readIfSafe);
}

function readIfSafe(folder: string): RunnerInfo[] {
  try {
    const info = readInfoFile(folder);
    return info === undefined ? [] : [info];
  } catch (error) {
    if (error instanceof UnsafePathError) return [];
    throw error;
  }
}

function subfolders(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
