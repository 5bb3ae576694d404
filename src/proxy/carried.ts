/**
 * What an answer carries that has to be marked once it was seen, and how far the answer has got. The server tells
 * when an answer was handed over, and when it was hardly read after all.
 */
import type { AnswerWatch } from "../base/http/server-exchange.ts";

export type CarriedFacts = {
  readonly recordId?: number | undefined;
  readonly noticeIds?: readonly string[] | undefined;
  readonly inboxSeq?: number | undefined;
};

/** `pending`: not handed over yet. `sent`: it was. `unread`: the agent was gone; what it carries is told again. */
export type Carried = AnswerWatch & {
  readonly facts: CarriedFacts;
  readonly state: "pending" | "sent" | "unread";
};

/** An answer that carries these. */
export function carriedBy(facts: CarriedFacts): Carried {
  const carried = {
    facts,
    state: "pending" as Carried["state"],
    onSent() {
      carried.state = "sent";
    },
    onUnread() {
      carried.state = "unread";
    },
  };
  return carried;
}
