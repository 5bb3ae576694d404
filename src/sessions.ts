/**
 * What agents of this machine do and did, for the command line: from their running runner, else from what it left. A
 * wiring.
 */
import { blocksText, stepsOf, type TurnStep } from "./agent/claude/steps.ts";
import { tailFile } from "./agent/tail.ts";
import { limits } from "./limits.ts";
import { askControl } from "./runner/ask-control.ts";
import { controlPaths } from "./runner/control-paths.ts";
import { hookLogOf } from "./runner/hook.ts";
import { type LocalPlace, localPlaces } from "./runner/local.ts";
import { parseSession, readSessionFile, type SessionFile } from "./runner/session-file.ts";

export type { TurnStep } from "./agent/claude/steps.ts";
export type { SessionFile } from "./runner/session-file.ts";

/** An agent's session on this machine; `session` is undefined when it never had one here. */
export type LocalSession = { running: boolean; session: SessionFile | undefined; folder: string };

/** The session of an agent; undefined when this home has no agent of that name. */
export async function localSession(home: string, name: string): Promise<LocalSession | undefined> {
  const place = placeOf(home, name);
  if (place === undefined) return undefined;
  const signal = AbortSignal.timeout(limits.controlRequestMs);
  const answer = await askControl(place.folder, { path: controlPaths.session }, signal);
  const now = answer === undefined ? undefined : parseSession(JSON.stringify(answer));
  return { running: now !== undefined, session: now ?? readSessionFile(place.folder), folder: place.folder };
}

/** The last steps of a session's transcript, oldest first; undefined when there is none that can be read. */
export function lastSteps(session: SessionFile, count: number): TurnStep[] | undefined {
  const path = session.conversation?.transcript;
  if (session.provider !== "claude" || path === undefined) return undefined;
  return stepsOf(lastLines(path, limits.transcriptSearchBytes)).slice(-count);
}

/** The last lines that failed hooks of an agent wrote, oldest first. */
export function hookFailures(folder: string, count: number): string[] {
  return lastLines(hookLogOf(folder), limits.hookLogBytesMax).slice(-count);
}

/** A step as one paragraph for a person. */
export function stepText(step: TurnStep): string {
  return blocksText(step);
}

function placeOf(home: string, name: string): LocalPlace | undefined {
  return localPlaces(home).find((place) => place.kind === "agent" && place.name === name);
}

function lastLines(path: string, bytes: number): string[] {
  const tail = tailFile(path, bytes, limits.transcriptPieceBytes);
  const lines: string[] = [];
  do lines.push(...(tail.read() ?? []));
  while (!tail.atEnd);
  tail.close();
  return lines;
}
