/** Errors as HTTP answers: problem details (RFC 9457), never a JSON-RPC error without the id of its request. */
import { problemOf, type RelayError } from "../wire/error.ts";

/** The response of an error. A 401 names the scheme that is wanted (RFC 9110 §11.6.1). */
export function problemResponse(error: RelayError, headers: Record<string, string> = {}): Response {
  return Response.json(problemOf(error), {
    status: error.status,
    headers: {
      "Content-Type": "application/problem+json",
      "Cache-Control": "no-store",
      ...(error.status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
      ...headers,
    },
  });
}
