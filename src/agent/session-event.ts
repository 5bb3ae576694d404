/** What a provider's file tells about a session: one stream of events, from which state and last turn follow. */

/** One turn that is over. */
export type Turn = {
  /** The provider's own id of the turn, where it has one. */
  id?: string | undefined;
  /** The last text of the model in this turn; empty when there was none. */
  text: string;
  /** completed: the model ended it. interrupted: a person or the watchdog did. failed: an error did. */
  how: "completed" | "interrupted" | "failed";
  /** Why it failed. */
  reason?: string | undefined;
  /**
   * Injections that the provider says were part of this turn; undefined when it does not say, then all that were
   * taken before its end count.
   */
  injections?: readonly string[] | undefined;
};

/** What a provider's file tells. Every event counts as a sign of life. */
export type SessionEvent =
  /** The program of this start runs. */
  | { type: "started" }
  /** Input is taken from now on, and no turn runs. */
  | { type: "ready" }
  /** The provider's own id of the conversation; kept, so that it can be resumed. */
  | { type: "conversation"; id: string; transcript?: string | undefined }
  | { type: "turn-began" }
  | { type: "turn-ended"; turn: Turn }
  /** A person has to allow something; and then has answered. */
  | { type: "approval-wanted"; what: string }
  | { type: "approval-given" }
  | { type: "tool-began"; name: string }
  | { type: "tool-ended"; name: string; failed: boolean }
  /** This injection is in the conversation now: tells what became of an `unknown` one. */
  | { type: "taken"; injection: string }
  /** A text that the provider had taken will not reach the model after all: it has to be given again. */
  | { type: "dropped"; injection: string }
  /** Nothing but a sign of life. */
  | { type: "alive" }
  /** The provider does not know the conversation that was to go on: the next start begins another. */
  | { type: "forgotten" }
  /** Something of the provider went wrong, but the session goes on. */
  | { type: "trouble"; what: string }
  /** The program of this start has ended; the supervisor may start it again. */
  | { type: "exited" };
