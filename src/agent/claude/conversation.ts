/** Which conversation a start of Claude Code begins or goes on with, and what its transcript holds already. */
import { existsSync } from "node:fs";
import type { Random } from "../../base/random.ts";
import type { Conversation, LaunchRequest } from "../launch.ts";
import type { SavedConversation } from "../session.ts";
import { tailFile } from "../tail.ts";
import { personChoosesConversation } from "./arguments.ts";
import { findInputs, transcriptEntries, transcriptPath } from "./transcript.ts";

export type ConversationKeeper = {
  /** For the next start. Undefined when the person's arguments say which it is. */
  next(request: LaunchRequest): Conversation | undefined;
  /** The provider says which conversation it is in. */
  learned(id: string, transcript: string | undefined): void;
  /** The provider does not know the conversation that was to go on. */
  forget(): void;
  readonly transcript: string | undefined;
  /** What is known of it, for the one who keeps it on disk; undefined before the provider or the start has named it. */
  readonly known: SavedConversation | undefined;
  lookFor(ids: readonly string[]): ReadonlyMap<string, "taken" | "done">;
};

export type ConversationOptions = {
  saved: SavedConversation | undefined;
  random: Random;
  limits: { transcriptPieceBytes: number; transcriptSearchBytes: number };
};

/** Keeps one conversation over the starts of a session. One that never had a turn has no transcript and is begun anew. */
export function keepConversation({ saved, random, limits }: ConversationOptions): ConversationKeeper {
  let known = saved;
  const exists = (request: LaunchRequest): boolean => {
    if (known === undefined) return false;
    const path = known.transcript ?? transcriptPath(request.environment, request.cwd, known.id);
    if (path === undefined || !existsSync(path)) return false;
    known = { id: known.id, transcript: path };
    return true;
  };
  return {
    next(request) {
      const person = [...(request.settings.args ?? []), ...request.args];
      if (personChoosesConversation(person)) return undefined;
      if (exists(request) && known !== undefined) return { id: known.id, resume: true };
      known = { id: uuidV4(random) };
      return { id: known.id, resume: false };
    },
    learned(id, transcript) {
      known = { id, transcript: transcript ?? (known?.id === id ? known.transcript : undefined) };
    },
    forget() {
      known = undefined;
    },
    get known() {
      return known;
    },
    get transcript() {
      return known?.transcript;
    },
    lookFor: (ids) => searchTranscript(known?.transcript, ids, limits),
  };
}

function searchTranscript(
  path: string | undefined,
  ids: readonly string[],
  limits: ConversationOptions["limits"],
): ReadonlyMap<string, "taken" | "done"> {
  if (path === undefined || ids.length === 0) return new Map();
  const tail = tailFile(path, limits.transcriptSearchBytes, limits.transcriptPieceBytes);
  try {
    return findInputs(
      entriesOf(tail.read, () => tail.atEnd),
      ids,
    );
  } catch {
    return new Map(); // What cannot be read says nothing: the texts are given again.
  } finally {
    tail.close();
  }
}

function* entriesOf(read: () => string[] | undefined, atEnd: () => boolean) {
  do {
    for (const line of read() ?? []) yield* transcriptEntries(line);
  } while (!atEnd());
}

/** Claude Code takes any UUID as the id of a conversation. */
function uuidV4(random: Random): string {
  const bytes = random.bytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
