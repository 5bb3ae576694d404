/**
 * The HTTP/1.1 client of the data plane, on the same event loop as its caller. It exists because it knows whether a
 * byte of a request has left this process, and because it never repeats a request, follows a redirect or decompresses.
 */
import type { Limits } from "../../limits.ts";
import type { Clock } from "../clock.ts";
import { timerLines } from "../timer-lines.ts";
import { Call } from "./call.ts";
import type { Target } from "./connection.ts";
import { type HttpClient, HttpFailure, type HttpRequest } from "./exchange.ts";
import { Pool } from "./pool.ts";
import { requestFault } from "./request.ts";

export type HttpClientOptions = {
  /** `http://host:port` or `https://host[:port]`. */
  origin: string;
  clock: Clock;
  limits: Limits;
  /**
   * TLS settings of an `https` origin. `ca` (PEM) replaces the system's authorities. That certificates and names are
   * verified cannot be switched off.
   */
  tls?: { ca?: string; rejectUnauthorized?: never };
};

/**
 * A client of one origin with a pool of kept-alive connections (RFC 9112). Requests fail with `HttpFailure`; response
 * bodies throw it when they end early.
 * @throws Error when the origin is not one
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { limits } = options;
  const clock = timerLines(options.clock);
  const pool = new Pool({ target: parseOrigin(options.origin, options.tls), clock, limits });
  return {
    request: (request) =>
      new Promise((resolve, reject) => {
        const refused = refusal(request);
        if (refused !== undefined) return reject(refused);
        const call = new Call(request, { resolve, reject });
        call.arm(clock);
        pool.carry(call);
      }),
    get connections() {
      return pool.open;
    },
    close: () => pool.close(),
  };
}

function refusal(request: HttpRequest): HttpFailure | undefined {
  const fault = requestFault(request);
  if (fault !== undefined) return new HttpFailure("malformed", "no", `Send a request: ${fault}`);
  if (request.signal?.aborted !== true) return undefined;
  const { method, signal } = request;
  return new HttpFailure("aborted", "no", `Send ${method}: the caller had aborted it before`, signal.reason);
}

function parseOrigin(origin: string, tls: HttpClientOptions["tls"]): Target {
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  const secure = url?.protocol === "https:";
  const bare = url !== undefined && (origin === url.origin || url.href === `${url.origin}/`);
  if (url === undefined || !bare || !(secure || url.protocol === "http:"))
    throw new Error(`Make an HTTP client: the origin is "${origin}", http(s)://host:port was wanted`);
  return {
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    host: url.host,
    tls: secure ? { ...(tls?.ca === undefined ? {} : { ca: tls.ca }) } : undefined,
  };
}
