/**
 * One error of the relay, with a code from a closed table. The table decides the HTTP status and what a sender
 * may do next. Messages name the action, quote the value, and say what is and what was wanted.
 */

/** What a sender may do after this error: send again with the same key, refresh the token, or stop. */
export type Retry = "same-key" | "refresh-token" | "never";

type ErrorRow = { readonly status: number; readonly retry: Retry; readonly title: string };

export const errorTable = {
  bad_request: { status: 400, retry: "never", title: "The request does not have the wanted form" },
  unauthorized: {
    status: 401,
    retry: "refresh-token",
    title: "No token, or one this relay does not know or no longer takes",
  },
  token_revoked: { status: 401, retry: "never", title: "The token was revoked" },
  forbidden: { status: 403, retry: "never", title: "The token lacks the scope" },
  not_found: { status: 404, retry: "never", title: "There is no such thing" },
  recipient_unknown: { status: 404, retry: "never", title: "There is no agent of that name" },
  recipient_replaced: { status: 409, retry: "never", title: "The name now belongs to another agent" },
  too_many_recipients: { status: 422, retry: "never", title: "More recipients than one message may have" },
  parent_unknown: { status: 404, retry: "never", title: "The message replied to is not known" },
  agent_removed: { status: 410, retry: "never", title: "The sending agent was removed" },
  name_taken: { status: 409, retry: "never", title: "The name is held by another runner" },
  displaced: { status: 409, retry: "never", title: "Another runner runs the agent now" },
  profile_in_use: { status: 409, retry: "never", title: "The profile cannot be removed" },
  lane_fenced: { status: 409, retry: "never", title: "A newer owner of this outbox has connected" },
  key_reused: { status: 422, retry: "never", title: "The idempotency key was used with other arguments" },
  key_expired: { status: 410, retry: "never", title: "The record is older than the remembered keys" },
  id_taken: { status: 409, retry: "never", title: "The message id belongs to another write" },
  hops_exceeded: { status: 409, retry: "never", title: "The message was forwarded too often" },
  quarantined: { status: 403, retry: "never", title: "The writes of this agent were stopped" },
  not_owed: { status: 409, retry: "never", title: "No reply is owed for this message" },
  feature_disabled: { status: 409, retry: "never", title: "The relay has this feature switched off" },
  too_large: { status: 413, retry: "never", title: "The body is too large" },
  head_too_large: { status: 431, retry: "never", title: "The head of the request is too large" },
  too_slow: { status: 408, retry: "same-key", title: "The request did not arrive in time" },
  unsupported_media_type: { status: 415, retry: "never", title: "The body must be JSON" },
  method_not_allowed: { status: 405, retry: "never", title: "The method is not allowed here" },
  rate_limited: { status: 429, retry: "same-key", title: "Too many requests" },
  internal: { status: 500, retry: "same-key", title: "The relay failed" },
  unavailable: { status: 503, retry: "same-key", title: "The relay cannot answer now" },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

/** True when the text is a code of the table. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === "string" && Object.hasOwn(errorTable, text);
}

/** The only error that crosses a border of the relay. `cause` stays on this machine. */
export class RelayError extends Error {
  override readonly name = "RelayError";
  readonly code: ErrorCode;
  /** Facts the caller needs to act, for example the holder of a name. */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; data?: Record<string, unknown> } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.data = options.data ?? {};
  }

  get status(): number {
    return errorTable[this.code].status;
  }

  get retry(): Retry {
    return errorTable[this.code].retry;
  }
}

/** Turns anything thrown into a RelayError; what is not one becomes `fallback` without leaking its text. */
export function toRelayError(thrown: unknown, fallback: ErrorCode = "internal"): RelayError {
  if (thrown instanceof RelayError) return thrown;
  return new RelayError(fallback, errorTable[fallback].title, { cause: thrown });
}

/** Problem details (RFC 9457) as the HTTP API sends them. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  /** Names the request; the relay's log has the same id. */
  instance?: string;
  data?: Readonly<Record<string, unknown>>;
};

/**
 * The body of an error response.
 * @param requestId names the request in the log of the relay
 */
export function problemOf(error: RelayError, requestId?: string): Problem {
  const row = errorTable[error.code];
  return {
    type: `urn:agent-relay:error:${error.code}`,
    title: row.title,
    status: row.status,
    detail: error.message,
    code: error.code,
    ...(requestId === undefined ? {} : { instance: `urn:agent-relay:request:${requestId}` }),
    ...(Object.keys(error.data).length > 0 ? { data: error.data } : {}),
  };
}
