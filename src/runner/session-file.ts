/**
 * What is kept of an agent's session in its folder: which conversation goes on after a crash, and what the last turn
 * said. It holds the agent's own last words, so only its owner may read it.
 */
import { join } from "node:path";
import { z } from "zod";
import { readPrivate, writePrivate } from "../base/file.ts";

const figures = z.object({
  starts: z.number(),
  turns: z.number(),
  turnsFailed: z.number(),
  turnsInterrupted: z.number(),
  toolCalls: z.number(),
  toolsFailed: z.number(),
  approvals: z.number(),
  troubles: z.number(),
  busyMs: z.number(),
  tools: z.record(z.string(), z.number()),
});

const sessionSchema = z.object({
  provider: z.string(),
  cwd: z.string(),
  conversation: z.object({ id: z.string(), transcript: z.string().optional() }).optional(),
  startedAt: z.iso.datetime(),
  /** The task of a headless session, without its words. */
  task: z
    .object({ digest: z.string(), id: z.string(), stage: z.enum(["given", "taken", "done"]) })
    .optional(),
  /** Set when the runner ended in order: then nothing is to go on. */
  endedAt: z.iso.datetime().optional(),
  cause: z.string().optional(),
  /** What it does, for who asks while it runs. */
  state: z.string().optional(),
  approval: z.string().optional(),
  lastTurn: z.object({ text: z.string(), how: z.string(), reason: z.string().optional() }).optional(),
  figures: figures.optional(),
});
/** One session of an agent, as its runner and the command line see it. */
export type SessionFile = z.infer<typeof sessionSchema>;

const fileName = "session.json";

export function writeSessionFile(folder: string, session: SessionFile): void {
  writePrivate(join(folder, fileName), `${JSON.stringify(session)}\n`);
}

/** The newest session of the agent; undefined when there was none, or the file is damaged. */
export function readSessionFile(folder: string): SessionFile | undefined {
  const text = readPrivate(join(folder, fileName));
  return text === undefined ? undefined : parseSession(text);
}

/** A session from JSON text; undefined when it is not one. */
export function parseSession(text: string): SessionFile | undefined {
  try {
    return sessionSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The conversation to go on with: of a session of the same provider in the same folder that did not end in order. */
export function conversationToResume(
  session: SessionFile | undefined,
  now: { provider: string; cwd: string },
): SessionFile["conversation"] {
  if (session === undefined || session.endedAt !== undefined) return undefined;
  return session.provider === now.provider && session.cwd === now.cwd ? session.conversation : undefined;
}
