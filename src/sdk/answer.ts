/** Telling the relay's own answers from everything else that may be at an address. */
import { z } from "zod";
import { isErrorCode, RelayError } from "../wire/error.ts";

/**
 * The relay did not answer, or something that is not the relay did. `sent` tells whether the request may have taken
 * effect: `no` when the connection was never made.
 */
export class RelayUnreachable extends Error {
  override readonly name = "RelayUnreachable";
  readonly sent: "no" | "unknown";

  constructor(message: string, options: { sent: "no" | "unknown"; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.sent = options.sent;
  }
}

const problemSchema = z.object({
  type: z.string().startsWith("urn:agent-relay:error:"),
  code: z.string().refine(isErrorCode),
  detail: z.string(),
  data: z.record(z.string(), z.unknown()).optional(),
});

/** The relay's error in an answer, or undefined when the answer is not one of its problem details. */
export function problemIn(status: number, body: unknown): RelayError | undefined {
  const parsed = problemSchema.safeParse(body);
  if (status < 400 || !parsed.success) return undefined;
  const { code, detail, data } = parsed.data;
  return isErrorCode(code) ? new RelayError(code, detail, data === undefined ? {} : { data }) : undefined;
}

const neverConnected = [
  "ECONNREFUSED",
  "ConnectionRefused",
  "FailedToOpenSocket",
  "ENOTFOUND",
  "EHOSTUNREACH",
];

/** What a failed fetch says about the request. */
export function fetchError(url: string, thrown: unknown): RelayUnreachable {
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  if (neverConnected.includes(code)) {
    return new RelayUnreachable(`Reach the relay at ${url}: nothing answers there (${code})`, {
      sent: "no",
      cause: thrown,
    });
  }
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new RelayUnreachable(`Reach the relay at ${url}: the exchange failed: ${why}`, {
    sent: "unknown",
    cause: thrown,
  });
}

/** True for an address on this machine. */
export function isLoopback(url: string): boolean {
  const name = URL.canParse(url) ? new URL(url).hostname : "";
  return name === "localhost" || name === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(name);
}
