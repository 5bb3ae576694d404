/**
 * The contract of a session: one conversation of a provider's program, from its first start over its restarts to its
 * end. Everything that a provider's file tells about it goes through one stream of events; state and last turn follow
 * from them (`status.ts`). Text goes in by `inject`, never by typing into a terminal.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { Conversation, LaunchMode, LaunchPlan, LaunchRequest } from "./launch.ts";
import type { SessionEvent } from "./session-event.ts";
import type { SessionStatus } from "./status.ts";

/** One text for the model. The id is the same on every attempt, also after a crash, and is inside the text. */
export type Injection = { id: string; text: string };

/**
 * injected: the provider has taken the text; it will be in the conversation. refused: it certainly has not; `final`
 * when asking again cannot help. unknown: it may have; the same id may be given again, and `taken` may still come.
 */
export type InjectOutcome =
  | { status: "injected" }
  | { status: "refused"; reason: string; final: boolean }
  | { status: "unknown"; reason: string };

/** The running program, as far as a session may use it. */
export type SessionChild = {
  pid: number;
  /** Writes to the program's standard input; false when there is none or it is closed. */
  write(text: string): boolean;
  closeInput(): void;
};

/** What a hook of the provider reports: the fields of its input that are known here, and variables of its environment. */
export type HookReport = {
  event: string;
  input: Readonly<Record<string, unknown>>;
  env: Readonly<Record<string, string>>;
};

/** What the hook is to print for the provider; undefined for nothing. */
export type HookReply = Readonly<Record<string, unknown>> | undefined;

export type SessionOptions = {
  mode: LaunchMode;
  /** What the start is made from, with the conversation to begin or to resume; asked before every start. */
  request(conversation: Conversation | undefined): LaunchRequest;
  /** The conversation of an earlier run of this agent that is to go on. */
  saved: SavedConversation | undefined;
  /** Its program gets our tools from this runner, so that `toolsListed` is told. */
  ownEndpoint: boolean;
  /** Folder for short-lived files of the session; gone after it. */
  scratch: string;
  /** Every event, after it was applied to the status. */
  onEvent(event: SessionEvent, status: SessionStatus): void;
  /** What waits for the agent when its turn ends, for providers that can only be told then (hook feedback). */
  takeWaiting?(): Injection | undefined;
  clock: Clock;
  random: Random;
  log: Log;
  limits: Limits;
};

/** What is kept of a conversation on disk. */
export type SavedConversation = { id: string; transcript?: string | undefined };

export interface Session {
  readonly status: SessionStatus;
  /** False for a program that nobody can inject into: `inject` then always refuses for good. */
  readonly canInject: boolean;
  /**
   * Before every start of the program: what to start. May start services of its own first (Codex: the app-server, when
   * the program is a person's terminal). Never rejects.
   */
  prepare(): Promise<LaunchPlan>;
  /** The program runs. */
  started(child: SessionChild): void;
  /** A line of its output; only in `headless` mode. */
  output(line: string, stream: "stdout" | "stderr"): void;
  /** The program has got the list of our tools. */
  toolsListed?(): void;
  /** It has ended; `prepare` is asked again when it is started anew. */
  exited(): void;
  /** A hook reports; what it is to print. */
  hook(report: HookReport): HookReply;
  /**
   * Gives a text to the model. Idle: a turn begins. Busy and `urgent`: at the next safe point of the running turn; busy
   * and not `urgent`: a turn of its own afterwards (the caller normally waits for the end of the turn). Never rejects;
   * answers within `limits.injectMs`.
   */
  inject(injection: Injection, options: { urgent: boolean }): Promise<InjectOutcome>;
  /**
   * Which texts are in the conversation already, by an id that stands in them (a message's), as far as it can be told:
   * asked after a restart, before they are given again. `done` when the turn that had it completed, or it was answered
   * in it. Never rejects.
   */
  lookFor(ids: readonly string[]): Promise<ReadonlyMap<string, "taken" | "done">>;
  /** Ends the running turn, not the session; false when that was not possible. Never rejects. */
  interrupt(): Promise<boolean>;
  /** The supervisor is about to ask the program to end: close inputs and connections, end services. Never rejects. */
  close(): Promise<void>;
}
