/** One request to the upstream and what can come of it: the words that everything around the upstream shares. */
import type { HttpResponse } from "../base/http/exchange.ts";
import type { StopSignal } from "../base/stop-signal.ts";
import type { JsonObject } from "../wire/jsonrpc.ts";
import type { SessionFacts } from "./session.ts";

export type HeaderList = readonly (readonly [name: string, value: string])[];

export type UpstreamCall = {
  readonly method?: "POST" | "GET" | "DELETE";
  readonly headers: HeaderList;
  readonly body?: Uint8Array | undefined;
  /** Legacy session the call belongs to; undefined for modern calls. */
  readonly session?: SessionFacts | undefined;
  readonly signal?: StopSignal | undefined;
  /** For the whole answer when it is JSON, for its head when it is a stream; ms. */
  readonly deadlineMs: number;
  /** How long a call of which certainly nothing was sent may be tried again, ms. */
  readonly retryMs: number;
  /** Doing it twice is harmless: it may be sent again after an unknown end too. */
  readonly repeatable: boolean;
  /** Asked before every attempt: false = it is no longer wanted, for example under another token. */
  readonly onlyWhile?: (() => boolean) | undefined;
  /** An answer of any size is taken, as long as it need not be looked into. */
  readonly takesLarge?: boolean;
};

/** How the upstream answered. `ran` is what the agent is told when there is no answer. */
export type UpstreamAnswer =
  | { kind: "json"; status: number; bytes: Uint8Array; sessionId: string | undefined }
  | { kind: "stream"; response: HttpResponse; sessionId: string | undefined }
  /** JSON that is too large to be held: what has come of it, and the response that goes on with the rest. */
  | { kind: "large"; status: number; parts: readonly Uint8Array[]; rest: HttpResponse }
  | { kind: "accepted" }
  | { kind: "refused"; status: number; reason: string; error: JsonObject | undefined }
  | {
      kind: "unreachable";
      cause: string;
      ran: "no" | "unknown";
      /** The answer was an error that servers give to a session they have forgotten. */
      sessionLost?: boolean;
    };
