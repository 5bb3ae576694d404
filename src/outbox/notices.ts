/**
 * What an agent is told later about its own writes: the words, and the board of notices that were not seen yet.
 * A notice leaves the board only when an answer carried it and a later request shows that the answer arrived.
 */
import type { Clock } from "../base/clock.ts";
import type { Limits } from "../limits.ts";
import { uuidOf } from "../wire/id.ts";
import { plainText } from "../wire/message.ts";
import type { Notice } from "../wire/receipt.ts";
import type { NoticeReason } from "./record.ts";
import type { NoticeRow } from "./rows.ts";

/** What each reason means and what to do. Pinned by a test: agents and people learn these sentences. */
export const noticeTexts: Record<NoticeReason, string> = {
  rejected:
    "The relay refused this write permanently: it has no effect and nobody got it. " +
    "Read the detail; when it still matters, correct it and make a new call.",
  expired:
    "This write was given up because it could not be delivered in time: it has no effect and nobody got it. " +
    "When it still matters, make a new call.",
  poison:
    "This write was given up because the relay failed on it again and again while it answered others: " +
    "it has no effect. Tell a person; do not send it again unchanged.",
  dropped:
    "A person took this write out of the queue before it was sent: it has no effect and nobody got it. " +
    "Ask before you send it again.",
  damaged:
    "The store on this machine was damaged and this write may be lost. " +
    "Check whether it took effect before doing it again.",
  unknown:
    "This write was given up after an attempt whose outcome was never learned: it may or may not have taken effect. " +
    "Check before doing it again.",
  delayed: "This write still waits on this machine: the relay has not taken it yet. Do not send it again.",
  restored:
    "The relay's database was restored from a copy: writes that it had confirmed before may be missing there. " +
    "Check what matters; what is missing needs a new call.",
};

/** The characters of a write that a notice shows. */
const excerptLength = 200;

/** The beginning of what was written: the body when there is one, else the arguments. */
export function excerptOf(call: Readonly<Record<string, unknown>>, argumentsJson: string): string {
  const text = typeof call.body === "string" ? call.body : argumentsJson;
  const plain = plainText(text.slice(0, 2 * excerptLength));
  // Cut by code points, so that no half of a pair is left.
  let end = 0;
  for (let count = 0; count < excerptLength && end < plain.length; count += 1)
    end += (plain.codePointAt(end) ?? 0) > 0xffff ? 2 : 1;
  return plain.slice(0, end);
}

/** The agent's form of a stored notice. Its id is the same on every reading. */
export function noticeOf(row: NoticeRow, storeId: string): Notice {
  const others =
    row.more === 0
      ? ""
      : ` ${row.more} further writes have ended without being sent: \`agent-relay outbox ls\`.`;
  return {
    id: uuidOf("notice", storeId, String(row.seq)),
    reason: row.reason,
    tool: row.tool,
    idempotencyKey: row.key,
    messageId: row.messageId,
    ...(row.to === undefined ? {} : { to: row.to }),
    excerpt: row.excerpt,
    detail: row.detail,
    enqueuedAt: new Date(row.enqueuedAt).toISOString(),
    endedAt: new Date(row.endedAt).toISOString(),
    text: noticeTexts[row.reason] + others,
  };
}

export type NoticeBoard = {
  /** Adds notices, or newer forms of those that are there; those the agent already knows of are returned. */
  add(rows: readonly NoticeRow[]): number[];
  /** A call is answered with the end of this record right now: its notice waits for what becomes of that answer. */
  hold(recordId: number, session: string): void;
  /** The answer about this record left. */
  answered(recordId: number, session: string): void;
  /** Takes notices off the board; the numbers under which they are stored. */
  take(ids: Iterable<string>): number[];
  /** Takes notices of this reason off the board, because they no longer hold; their numbers. */
  withdraw(reason: NoticeReason): number[];
  /** A later request of the session came: answers that left were seen; the numbers of notices that are off. */
  seen(session: string): number[];
  /** Oldest first. */
  pending(): readonly Notice[];
};

type Hold = { session: string; answered: boolean; until: number };

/** The board of one outbox. */
export function noticeBoard(options: {
  storeId: string;
  limits: Pick<Limits, "reissueWindowMs">;
  clock: Clock;
}): NoticeBoard {
  const { storeId, limits, clock } = options;
  const board = new Map<string, { row: NoticeRow; notice: Notice }>();
  const holds = new Map<number, Hold>();
  /** Records whose end was seen in an answer before their notice was stored. */
  const known = new Set<number>();

  const isHeld = (recordId: number) => (holds.get(recordId)?.until ?? 0) > clock.monotonic();

  return {
    add(rows) {
      const seen: number[] = [];
      for (const row of rows) {
        if (known.delete(row.recordId)) seen.push(row.seq);
        else {
          const notice = noticeOf(row, storeId);
          board.set(notice.id, { row, notice });
        }
      }
      return seen;
    },
    hold(recordId, session) {
      for (const [id, { until }] of holds) if (until <= clock.monotonic()) holds.delete(id);
      holds.set(recordId, { session, answered: false, until: clock.monotonic() + limits.reissueWindowMs });
    },
    answered(recordId, session) {
      const hold = holds.get(recordId);
      if (hold?.session === session) hold.answered = true;
    },
    take(ids) {
      const seqs: number[] = [];
      for (const id of ids) {
        const entry = board.get(id);
        if (entry === undefined) continue;
        board.delete(id);
        seqs.push(entry.row.seq);
      }
      return seqs;
    },
    withdraw(reason) {
      const stale = [...board].filter(([, { row }]) => row.reason === reason);
      for (const [id] of stale) board.delete(id);
      return stale.map(([, { row }]) => row.seq);
    },
    seen(session) {
      const seqs: number[] = [];
      for (const [recordId, hold] of holds) {
        if (hold.session !== session) continue;
        holds.delete(recordId);
        if (!hold.answered) continue;
        const entry = [...board.values()].find(({ row }) => row.recordId === recordId);
        if (entry === undefined) known.add(recordId);
        else {
          board.delete(entry.notice.id);
          seqs.push(entry.row.seq);
        }
      }
      return seqs;
    },
    pending: () => [...board.values()].filter(({ row }) => !isHeld(row.recordId)).map(({ notice }) => notice),
  };
}
