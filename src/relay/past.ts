/** Looking back: threads, the search, and how far a message has got, as tools and operations give them. */
import { limits } from "../limits.ts";
import type { MessageStatus, PastPage } from "../store/store.ts";
import { RelayError } from "../wire/error.ts";
import { type AgentId, asId, type MessageId } from "../wire/id.ts";
import type { PastMessage } from "../wire/message.ts";
import { type MessageStatusFacts, type Stage, stageOf, stages } from "../wire/receipt.ts";
import type { Principal } from "./access.ts";
import { type Relay, timeText } from "./relay.ts";

/** What a look back asks for; ids as they arrived. */
export type PastAsked = { before?: string | undefined; limit?: number | undefined };

/** Whose messages somebody may look back at: its own agent's, or everybody's. */
export type Viewer = { agentId: AgentId | undefined };

/** @throws RelayError forbidden */
export function viewerOf(by: Principal, action: string): Viewer {
  if (by.scopes.includes("inbox:read-any")) return { agentId: undefined };
  const own = by.scopes.includes("message:read") || by.scopes.includes("inbox:read");
  if (own && by.agentId !== undefined) return { agentId: by.agentId };
  throw new RelayError(
    "forbidden",
    `${action}: the token has ${by.scopes.join(", ") || "no scope"}; message:read or inbox:read or inbox:read-any was wanted`,
  );
}

/** The newest messages of a thread, oldest of them first. */
export function readThread(
  { store }: Relay,
  { agentId }: Viewer,
  asked: PastAsked & { threadId: string },
): Promise<PastPage> {
  return store.readThread(asId(asked.threadId), {
    asker: agentId,
    before: beforeOf(asked),
    limit: asked.limit ?? limits.inboxPageDefault,
  });
}

/**
 * Messages with all words of the query, newest first, long texts cut; without a query the newest.
 * @throws RelayError bad_request for a query without a word or with too many
 */
export async function searchMessages(
  { store }: Relay,
  { agentId }: Viewer,
  asked: PastAsked & { query?: string | undefined },
): Promise<PastPage> {
  const page = await store.searchMessages({
    asker: agentId,
    before: beforeOf(asked),
    limit: asked.limit ?? limits.searchPageDefault,
    words: wordsOf(asked.query ?? ""),
  });
  return { ...page, messages: page.messages.map(beginningOf) };
}

/**
 * How far a message has got.
 * @param sender who asks, when only the sender may know
 * @throws RelayError not_found, also for the message of somebody else
 */
export async function messageStatus(
  { store }: Relay,
  id: string,
  sender: AgentId | undefined,
): Promise<MessageStatusFacts> {
  const status = await store.messageStatus({ id: asId<MessageId>(id), sender });
  if (status !== undefined) return statusFacts(status);
  throw new RelayError(
    "not_found",
    `Find message ${id}: the relay has no such message ${sender === undefined ? "" : "of yours "}(one that still waits on its machine is not here yet)`,
  );
}

function statusFacts({ id, from, to, threadId, recipients }: MessageStatus): MessageStatusFacts {
  const reached = recipients.map(({ name, times }) => ({
    name,
    stage: stageOf(times),
    times: Object.fromEntries(Object.entries(times).map(([stage, at]) => [stage, timeText(at)])),
  }));
  const count = (stage: Stage) => reached.filter((recipient) => recipient.stage === stage).length;
  const counts = Object.fromEntries(stages.map((stage) => [stage, count(stage)])) as Record<Stage, number>;
  return { messageId: id, from, to, threadId, counts, recipients: reached };
}

function beforeOf({ before }: PastAsked): MessageId | undefined {
  return before === undefined ? undefined : asId<MessageId>(before);
}

/** The words of a query: what has a letter or a digit, each once. */
function wordsOf(query: string): string[] {
  const words = [...new Set(query.split(/\s+/u).filter((word) => /[\p{L}\p{N}]/u.test(word)))];
  if (words.length === 0 && query.trim() !== "") {
    throw new RelayError(
      "bad_request",
      `Search for '${query}': it has no word, letters or digits were wanted`,
    );
  }
  if (words.length > limits.searchWordsMax) {
    throw new RelayError(
      "bad_request",
      `Search for ${words.length} words: at most ${limits.searchWordsMax} were wanted`,
    );
  }
  return words;
}

/** A message with no more of its texts than a list should show. */
function beginningOf(message: PastMessage): PastMessage {
  const body = beginning(message.body);
  const { forwarded } = message;
  const original = forwarded === undefined ? undefined : { ...forwarded, body: beginning(forwarded.body) };
  const isCut = body !== message.body || original?.body !== forwarded?.body;
  return {
    ...message,
    body,
    ...(original === undefined ? {} : { forwarded: original }),
    ...(isCut ? { cut: true } : {}),
  };
}

/** Cut between code points, so that no half of a pair is left. */
function beginning(text: string): string {
  const end = limits.searchBodyCharactersMax;
  if (text.length <= end) return text;
  const first = text.slice(0, end);
  return first.isWellFormed() ? first : text.slice(0, end - 1);
}
