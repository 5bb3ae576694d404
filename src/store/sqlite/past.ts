/**
 * Looking back in SQLite: threads and full-text search. Words are taken into the search behind the writes, in steps,
 * so that a message costs its sender nothing for it; a search first takes in what is missing.
 */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { AgentId, MessageId, ThreadId } from "../../wire/id.ts";
import type { PastPage, PastQuery, SearchQuery } from "../store.ts";
import { fitting, messageColumns, messageJoins, type PastRow, pastMessageOf } from "./message-rows.ts";

type Bind = string | number | null;

const pastColumns = `${messageColumns}, m.number, i.seq, m.sender_id = ?1 AS self`;
const ownInbox = "LEFT JOIN inbox i ON i.message_id = m.id AND i.agent_id = ?1";
const mayBeSeen = "(?1 IS NULL OR m.sender_id = ?1 OR i.seq IS NOT NULL)";

/** Who sent and who got a message, each as one word of the search. */
export const whoOf = `replace(m.sender_id, '-', '') || coalesce((SELECT ' ' ||
  group_concat(replace(w.agent_id, '-', ''), ' ') FROM inbox w WHERE w.message_id = m.id), '')`;

function pastStatements(database: Database) {
  const query = (from: string, condition: string, order: string) =>
    database.prepare<PastRow, [Bind, Bind, Bind, Bind]>(
      `SELECT ${pastColumns} FROM ${from} ${messageJoins} ${ownInbox}
       WHERE ${condition} AND ${mayBeSeen} ORDER BY ${order} DESC LIMIT ?4`,
    );
  return {
    numberOf: database.prepare<{ number: number }, [string]>("SELECT number FROM messages WHERE id = ?1"),
    // The first message of a thread has the thread's id and is in no index of threads.
    thread: query("messages m", "m.thread_id = ?2 AND m.thread_id <> m.id AND m.number < ?3", "m.number"),
    first: query("messages m", "m.id = ?2 AND m.thread_id = m.id AND m.number < ?3", "m.number"),
    found: query(
      "search x CROSS JOIN messages m ON m.number = x.rowid",
      "search MATCH ?2 AND x.rowid < ?3",
      "x.rowid",
    ),
    everything: query("messages m", "?2 = '' AND m.number < ?3", "m.number"),
    got: database.prepare<PastRow, [Bind, Bind, Bind, Bind]>(
      `SELECT ${pastColumns} FROM inbox i CROSS JOIN messages m ON m.id = i.message_id ${messageJoins}
       WHERE i.agent_id = ?1 AND ?2 = '' AND i.seq < ?3 ORDER BY i.seq DESC LIMIT ?4`,
    ),
    seqOf: database.prepare<{ seq: number }, [string, string]>(
      "SELECT seq FROM inbox WHERE message_id = ?1 AND agent_id = ?2",
    ),
  };
}

/** The verbs about threads and the search. Every call belongs inside a transaction. */
export function pastVerbs(database: Database) {
  const statements = pastStatements(database);
  const beforeNumber = (before: MessageId | undefined) =>
    (before === undefined ? undefined : statements.numberOf.get(before)?.number) ?? Number.MAX_SAFE_INTEGER;
  const beforeSeq = (asker: AgentId, before: MessageId | undefined) =>
    (before === undefined ? undefined : statements.seqOf.get(before, asker)?.seq) ?? Number.MAX_SAFE_INTEGER;

  function readThread(threadId: ThreadId, { asker, before, limit }: PastQuery): PastPage {
    const number = beforeNumber(before);
    const later = statements.thread.all(asker ?? null, threadId, number, limit + 1);
    const first = statements.first.all(asker ?? null, threadId, number, 1);
    // A sender may name a thread before its first message arrives: their numbers tell the order.
    const page = pageOf(
      [...later, ...first].toSorted((a, b) => b.number - a.number).slice(0, limit + 1),
      limit,
    );
    return { ...page, messages: page.messages.toReversed() };
  }

  function searchMessages({ asker, before, limit, words }: SearchQuery): PastPage {
    const page = (statement: typeof statements.found, text: string, from: number) =>
      pageOf(statement.iterate(asker ?? null, text, from, limit + 1), limit);
    if (words.length > 0) return page(statements.found, matchOf(asker, words), beforeNumber(before));
    if (asker === undefined) return page(statements.everything, "", beforeNumber(before));
    return page(statements.got, "", beforeSeq(asker, before));
  }

  return { readThread, searchMessages, indexMessages: indexer(database) };
}

/** A function that takes the next messages into the search; how many it took. */
function indexer(database: Database): () => number {
  const progress = database.prepare<{ number: number }, []>(
    "SELECT number FROM search_progress WHERE one = 1",
  );
  const next = database.prepare<{ number: number }, [number, number]>(
    "SELECT number FROM messages WHERE number > ?1 ORDER BY number LIMIT ?2",
  );
  const take = database.prepare(
    `INSERT INTO search (rowid, body, who) SELECT m.number, m.body, ${whoOf} FROM messages m
     WHERE m.number > ?1 AND m.number <= ?2`,
  );
  const note = database.prepare("UPDATE search_progress SET number = ?1 WHERE one = 1");
  return () => {
    const from = progress.get()?.number ?? 0;
    const numbers = next.all(from, limits.searchStepRows);
    const last = numbers.at(-1)?.number;
    if (last === undefined) return 0;
    take.run(from, last);
    note.run(last);
    return numbers.length;
  };
}

/**
 * All words in the body, and the asker among those who sent or got it. A quoted word is never an operator; a NUL, which
 * would end the query within the quotes, parts words as every other sign does.
 */
function matchOf(asker: AgentId | undefined, words: readonly string[]): string {
  const wanted = words.map((word) => `body : "${word.replaceAll("\0", " ").replaceAll('"', '""')}"`);
  const who = asker === undefined ? [] : [`who : "${asker.replaceAll("-", "")}"`];
  return [...who, ...wanted].join(" AND ");
}

function pageOf(rows: Iterable<PastRow>, limit: number): PastPage {
  const { rows: taken, cut } = fitting(rows);
  return { messages: taken.slice(0, limit).map(pastMessageOf), more: cut || taken.length > limit };
}
