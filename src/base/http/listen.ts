/** A thin listener on `Bun.serve`: what a server needs to know about its port, its silence and its end. */
import { limits } from "../../limits.ts";
import { type Clock, sleep } from "../clock.ts";

/** Answers a request of a peer (its address). `streaming` says that the answer stays open and may be silent. */
export type Serve = (request: Request, streaming: () => void, peer: string) => Promise<Response>;

export type Listener = {
  readonly port: number;
  /** Accepts nothing more, lets requests in flight end for at most `waitMs`, then closes every connection. */
  close(waitMs: number): Promise<void>;
};

/** The address cannot be listened on. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

export type ListenOptions = {
  hostname: string;
  port: number;
  serve: Serve;
  clock: Clock;
  /** How long a kept connection may take for its next request, ms, in steps of 4 s; the product's bound without it. */
  readMs?: number;
  /** Certificate and key (PEM): TLS 1.2 or newer is spoken then, and nothing else. */
  tls?: { cert: string; key: string };
};

/**
 * Listens on an address.
 * @param options.port 0 takes any free port
 * @throws ListenError when the port is taken or may not be used
 */
export function listen(options: ListenOptions): Listener {
  const { port, clock } = options;
  const server = start(options);
  return {
    port: server.port ?? port,
    async close(waitMs) {
      // Resolves only when every connection is gone, also idle ones: not waited for.
      const stopped = server.stop();
      const end = clock.monotonic() + waitMs;
      while (server.pendingRequests > 0 && clock.monotonic() < end) await sleep(clock, 10);
      await server.stop(true);
      await stopped;
    },
  };
}

function start({
  hostname,
  port,
  serve,
  readMs = limits.requestReadMs,
  tls,
}: ListenOptions): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname,
      port,
      ...(tls === undefined ? {} : { tls }),
      // Also the time a handler may be silent; a stream switches it off for itself. Bytes of a head do not begin it
      // anew, and a connection's first head has 12 s whatever stands here, so a head that drips in is bounded, too.
      idleTimeout: readMs / 1_000,
      // Above our own limit, so that ours is the one that answers, with a body.
      maxRequestBodySize: 2 * limits.requestBodyBytesMax,
      fetch: (request, bun) =>
        serve(request, () => bun.timeout(request, 0), bun.requestIP(request)?.address ?? ""),
    });
  } catch (cause) {
    throw listenError(hostname, port, cause);
  }
}

/** What the failure of a listen is told as. */
export function listenError(hostname: string, port: number, cause: unknown): ListenError {
  return new ListenError(`Listen on ${hostname}:${port}: ${why(cause)}`, { cause });
}

function why(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EADDRINUSE") return "the port is taken; give another one, or 0 for any";
  if (code === "EACCES") return "the port may not be used by this user; ports from 1024 on may";
  return cause instanceof Error ? cause.message : String(cause);
}
