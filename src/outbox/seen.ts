/**
 * Which answers an agent has seen: an answer that left without an abort was seen once a later request of the same
 * session comes in. What is forgotten here counts as not seen, which repeats a notice or a receipt, never a write.
 */
import type { Limits } from "../limits.ts";

type Answers = { records: Set<number>; notices: Set<string> };
export type SeenAnswers = { records: readonly number[]; notices: readonly string[] };

export type Sessions = {
  answered(session: string, answer: { record?: number; notices?: readonly string[] }): void;
  /** Everything answered in the session so far. */
  seen(session: string): SeenAnswers;
};

/** Answers by session; the sessions that answered longest ago make room. */
export function sessions(limits: Pick<Limits, "sessionsMax">): Sessions {
  const bySession = new Map<string, Answers>();
  return {
    answered(session, { record, notices = [] }) {
      const answers = bySession.get(session) ?? { records: new Set(), notices: new Set() };
      bySession.delete(session);
      bySession.set(session, answers);
      if (record !== undefined) answers.records.add(record);
      for (const id of notices) answers.notices.add(id);
      const [oldest] = bySession.keys();
      if (bySession.size > limits.sessionsMax && oldest !== undefined) bySession.delete(oldest);
    },
    seen(session) {
      const answers = bySession.get(session);
      bySession.delete(session);
      return { records: [...(answers?.records ?? [])], notices: [...(answers?.notices ?? [])] };
    },
  };
}
