/** Who may run an agent: a pure decision that every twin of the store shares. */

/** What is known of the runner that holds the agent. */
export type Holder = {
  /** Hash that names its machine and home, where it said so. */
  place: string | undefined;
  /** Token that enrolled it. */
  parentId: string | undefined;
  /** It gave a sign of life within its lease. */
  live: boolean;
};

/** What an enrolment asks. */
export type LeaseRequest = {
  place: string | undefined;
  parentId: string | undefined;
  takeover: boolean;
  mayTakeOver: boolean;
};

/**
 * free: nobody holds it. own: the asker's own earlier runner is displaced, which is no news to anybody. takeover:
 * another's runner is displaced. The others are refusals, and nothing is changed.
 */
export type LeaseDecision = "free" | "own" | "takeover" | "name_taken" | "takeover_forbidden";

/**
 * Decides on an enrolment of an agent that is there.
 * @param holder undefined when no valid runner token holds the agent
 */
export function decideLease(holder: Holder | undefined, asked: LeaseRequest): LeaseDecision {
  if (holder === undefined) return "free";
  const sameHost = holder.parentId !== undefined && holder.parentId === asked.parentId;
  // A place can be guessed: it is believed only of those that may displace the runner anyway.
  const samePlace = holder.place !== undefined && holder.place === asked.place && asked.mayTakeOver;
  if (sameHost || samePlace) return "own";
  if (!asked.takeover) return "name_taken";
  // A runner that shows no life may be displaced by any that may enrol, a live one by those who answer for it.
  return asked.mayTakeOver || !holder.live ? "takeover" : "takeover_forbidden";
}
