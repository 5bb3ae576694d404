/**
 * The endpoint: an HTTP server on loopback whose requests go through the door, and everything that lives as long as it.
 */
import { ListenError } from "../base/http/listen.ts";
import { createHttpServer, type HttpServer } from "../base/http/server.ts";
import type { ServerExchange } from "../base/http/server-exchange.ts";
import { timerLines } from "../base/timer-lines.ts";
import { startCanary } from "./canary.ts";
import { createCore } from "./core.ts";
import { openDoor } from "./door.ts";
import { closeStreams, streamCount } from "./listen.ts";
import { type Endpoint, type EndpointOptions, PortTaken } from "./options.ts";
import { watchUpstream } from "./watch.ts";

export type {
  Authorization,
  Endpoint,
  EndpointOptions,
  EndpointStatus,
  Memory,
  UpstreamState,
} from "./options.ts";
export { PortTaken } from "./options.ts";

/** How long connections have to take their last bytes at the end, ms. */
const closeGraceMs = 250;

/** Starts the endpoint. Throws PortTaken when the port cannot be had; never waits for the upstream. */
export async function startEndpoint(given: EndpointOptions): Promise<Endpoint> {
  // The timers of a call are nearly always cancelled.
  const options = { ...given, clock: timerLines(given.clock) };
  const core = createCore(options);
  await core.load();
  let handler = (_: ServerExchange): void | Promise<void> => {};
  const server = listen(given, (exchange) => handler(exchange));
  handler = openDoor(core, server.port);
  const url = `http://127.0.0.1:${server.port}/mcp`;
  const watch = watchUpstream(core);
  const canary = startCanary(core);
  core.lists.follow();
  return {
    url,
    port: server.port,
    status: () => {
      const queue = options.outbox?.status();
      return {
        url,
        upstream: core.upstream.state(),
        streams: streamCount(core),
        sessions: core.sessions.count,
        visibleTools: core.shown().tools.map(({ name }) => name),
        queued: queue?.depth ?? 0,
        oldestQueuedAgeMs: queue?.oldestAgeMs ?? 0,
      };
    },
    authorizationChanged() {
      core.recheck();
      core.lists.load().then(
        () => core.recheck(),
        (error: unknown) => options.log.warn("remembered lists could not be read", { error }),
      );
      core.lists.follow();
    },
    contextChanged: () => core.recheck(),
    upstreamListChanged: () => core.lists.follow(),
    async close() {
      watch.close();
      canary.close();
      core.lists.close();
      core.failedLogins.close();
      core.waiting.endAll();
      closeStreams(core);
      // What the streams end with is given a moment to leave; connections that stay open are cut after it.
      await server.close(closeGraceMs);
    },
  };
}

function listen(
  options: EndpointOptions,
  handler: (exchange: ServerExchange) => void | Promise<void>,
): HttpServer {
  const { limits, log, clock, port } = options;
  try {
    return createHttpServer({ hostname: "127.0.0.1", port, limits, clock, log, handler });
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    throw new PortTaken(port, error);
  }
}
