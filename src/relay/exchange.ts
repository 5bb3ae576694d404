/**
 * One request from its arrival to the head of its answer: its id and trace, what it is called in figures and logs,
 * and who asked. Bodies, arguments and tokens are no part of it.
 */
import type { Serve } from "../base/http/listen.ts";
import type { LogFields } from "../base/log.ts";
import { isTraceparent, traceHeader } from "../wire/trace.ts";
import type { Principal } from "./access.ts";
import type { Relay } from "./relay.ts";

export type Exchange = {
  /** Unique for this run of the relay; the caller gets it as `X-Request-Id`. */
  readonly id: string;
  /** W3C trace context that came with it. */
  readonly trace: string | undefined;
  readonly request: Request;
  readonly url: URL;
  /** Called before an answer that stays open. */
  readonly streaming: () => void;
  /** The address it came from. */
  readonly peer: string;
  /** Monotonic, ms. */
  readonly startedAt: number;
  /** Name of the operation or page: from a table, never from the request. */
  name: string;
  by: Principal | undefined;
};

const nowhere = new URL("http://nowhere.invalid/");

/** Numbers the requests of one run. */
export function exchanges(relay: Relay): (...asked: Parameters<Serve>) => Exchange {
  const run = relay.startedAt.toString(36);
  let count = 0;
  return (request, streaming, peer) => {
    count += 1;
    const trace = request.headers.get(traceHeader);
    return {
      id: `${run}-${count.toString(36)}`,
      trace: isTraceparent(trace) ? trace : undefined,
      request,
      // The door refuses a Host that makes no address; until then the request has a number and nothing else.
      url: URL.parse(request.url) ?? nowhere,
      streaming,
      peer,
      startedAt: relay.clock.monotonic(),
      name: "unknown",
      by: undefined,
    };
  };
}

/** What a log line says about a request. */
export function exchangeFields({ id, trace, name, by }: Exchange): LogFields {
  return {
    requestId: id,
    ...(trace === undefined ? {} : { trace }),
    operation: name,
    ...(by === undefined ? {} : { principal: by.kind, tokenId: by.tokenId, agent: by.agentName }),
  };
}

/** The answer with the request's id, counted and logged. */
export function finished(relay: Relay, exchange: Exchange, response: Response): Response {
  const ms = relay.clock.monotonic() - exchange.startedAt;
  const status = String(response.status);
  relay.metrics.took("agent_relay_request_seconds", { operation: exchange.name, status }, ms);
  relay.log.debug("Request", () => ({
    ...exchangeFields(exchange),
    status: response.status,
    ms: Math.round(ms * 10) / 10,
  }));
  response.headers.set("X-Request-Id", exchange.id);
  return response;
}
