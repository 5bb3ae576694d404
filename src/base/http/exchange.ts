/**
 * An HTTP request and response in general, and what a failure says about the request: the seam between whoever
 * sends (proxy, pump) and the connection that carries it.
 */

import type { StopSignal } from "../stop-signal.ts";

export type HttpRequest = {
  method: string;
  /** Path and query as they go on the request line. */
  path: string;
  /** Sent as given; `Host`, `Content-Length` and `Connection` are added by the client. */
  headers: readonly (readonly [name: string, value: string])[];
  body?: Uint8Array | undefined;
  /** Aborting closes the connection unless the response has been read to its end. */
  signal?: StopSignal | undefined;
  /** From the call to the end of the response head, ms; the body has no deadline of its own. */
  headDeadlineMs?: number | undefined;
};

export type HttpResponse = {
  status: number;
  /** First value of a header, by lower-case name. */
  header(name: string): string | undefined;
  /** All headers in order, names in lower case. */
  headers: readonly (readonly [name: string, value: string])[];
  /** Decoded body (transfer coding removed, content coding not). Read it to the end or call `cancel`. */
  body: AsyncIterable<Uint8Array>;
  /** The whole body, when it came together with the head: the same that `body` would give. */
  readonly whole?: Uint8Array | undefined;
  /** Gives the rest of the body up; closes the connection. */
  cancel(): void;
};

/** Why an exchange ended without a response, or in the middle of one. */
export type HttpFailureCause =
  | "connect"
  | "tls"
  | "timeout"
  | "reset"
  | "closed"
  | "malformed"
  | "too-large"
  | "aborted"
  | "overloaded";

/**
 * The exchange failed. `sent` is what P2 and P5 rest on: `no` means that certainly no byte of the request has left
 * this process; `unknown` means that the peer may have acted on it.
 */
export class HttpFailure extends Error {
  override readonly name = "HttpFailure";
  readonly sent: "no" | "unknown";
  readonly why: HttpFailureCause;

  constructor(why: HttpFailureCause, sent: "no" | "unknown", message: string, cause?: unknown) {
    super(message, { cause });
    this.why = why;
    this.sent = sent;
  }
}

/** Sends requests to one origin. Never repeats a request, never follows a redirect. */
export interface HttpClient {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Connections open now. */
  readonly connections: number;
  /** Closes idle connections at once, busy ones when their exchange ends. */
  close(): void;
}

/** The whole body, at most `bytesMax`; throws HttpFailure `too-large` beyond. */
export async function readBody(response: HttpResponse, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = response.whole?.byteLength ?? 0;
  if (response.whole !== undefined && size <= bytesMax) return response.whole;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > bytesMax) {
      response.cancel();
      throw new HttpFailure("too-large", "unknown", `The response body is larger than ${bytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}
