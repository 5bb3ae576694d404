/** Errors as HTTP answers: problem details (RFC 9457), never a JSON-RPC error without the id of its request. */
import { problemOf, type RelayError } from "../wire/error.ts";

/**
 * The response of an error. A 401 names the scheme that is wanted (RFC 9110 §11.6.1), a 405 the methods that are
 * allowed, a 429 how long to wait.
 * @param requestId names the request in the relay's log
 */
export function problemResponse(error: RelayError, requestId?: string): Response {
  const { allow, retryAfterMs } = error.data;
  return Response.json(problemOf(error, requestId), {
    status: error.status,
    headers: {
      "Content-Type": "application/problem+json",
      "Cache-Control": "no-store",
      ...(error.status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
      ...(typeof allow === "string" ? { Allow: allow } : {}),
      // What is still on its way is not wanted.
      ...(error.status === 408 || error.status === 413 ? { Connection: "close" } : {}),
      ...(error.status === 429 ? { "Retry-After": String(seconds(retryAfterMs)) } : {}),
    },
  });
}

function seconds(ms: unknown): number {
  return typeof ms === "number" ? Math.max(1, Math.ceil(ms / 1_000)) : 1;
}
