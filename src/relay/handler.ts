/**
 * The relay's front: from a request to a response. The door is checked first, then the path, then the token, its
 * rate and its scope, and only then a body is read. Whatever is thrown leaves as problem details.
 */
import type { Serve } from "../base/http/listen.ts";
import { limits } from "../limits.ts";
import { type OperationName, type OperationRow, operationTable } from "../wire/api.ts";
import { type ErrorCode, RelayError, toRelayError } from "../wire/error.ts";
import { argumentFault } from "../wire/tools.ts";
import { type Principal, requireScope } from "./access.ts";
import { readJson } from "./body.ts";
import type { Door } from "./door.ts";
import { type Exchange, exchangeFields, exchanges, finished } from "./exchange.ts";
import type { McpEndpoint } from "./mcp.ts";
import type { Operation } from "./operations/operation.ts";
import { operations } from "./operations.ts";
import { type PageParts, pagesOf } from "./pages.ts";
import { problemResponse } from "./problem.ts";
import { createRates, type RequestRate } from "./rates.ts";
import type { Relay } from "./relay.ts";
import { type Match, route } from "./router.ts";
import { inTime } from "./time.ts";

/** Serves a request. `streaming` is called before an answer that stays open: silence is not a fault from then on. */
export type Handler = Serve;

export type HandlerOptions = {
  door: Door;
  /** How often one token may ask; the product's bounds without it. */
  rate?: RequestRate;
  /** True when everybody who can reach it is on this machine: its figures need no token then. */
  local?: boolean;
};

const usualRate: RequestRate = { perSecond: limits.requestsPerSecondMax, burst: limits.requestsBurstMax };

/** The relay as a function from request to response. */
export function createHandler(relay: Relay, mcp: McpEndpoint, options: HandlerOptions): Handler {
  const { door, rate = usualRate, local = false } = options;
  const rates = createRates({ clock: relay.clock, rate, tokensMax: limits.tokenCacheMax });
  const begin = exchanges(relay);
  const parts: PageParts = {
    relay,
    mcp,
    local,
    async principal(exchange) {
      const { request, name } = exchange;
      exchange.by = await relay.access.authenticate(request.headers.get("authorization"));
      const waitMs = rates.take(exchange.by.tokenId);
      if (waitMs === 0) return exchange.by;
      relay.refusals.note("rate_limited", exchange.by, name);
      // An outbox keeps to what it is told; whoever asks again at once waits here instead of costing the others.
      if (!isDelivery(name)) await relay.rateHolds.hold(exchange.by.tokenId);
      const often = `at most ${rate.perSecond} a second were wanted`;
      throw new RelayError("rate_limited", `${name}: the token asks too often, ${often}`, {
        data: { retryAfterMs: waitMs },
      });
    },
  };
  const pages = pagesOf(parts);

  const serve = async (exchange: Exchange): Promise<Response> => {
    const { request, url } = exchange;
    const refusal = door(request.headers);
    if (refusal !== undefined) throw refusal;
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined;
    if (page === undefined) return serveOperation(parts, exchange, route(request.method, url.pathname));
    exchange.name = url.pathname;
    const answer = page[request.method];
    if (answer !== undefined) return answer(exchange);
    throw wrongMethod(exchange, Object.keys(page).join(", "));
  };

  return async (request, streaming, peer) => {
    const exchange = begin(request, streaming, peer);
    const response = await serve(exchange).catch((thrown: unknown) => failure(relay, exchange, thrown));
    return finished(relay, exchange, response);
  };
}

/** True for the operations by which outboxes deliver. */
function isDelivery(name: string): boolean {
  return (
    Object.hasOwn(operationTable, name) && operationTable[name as OperationName].scope === "lane:deliver"
  );
}

async function serveOperation(parts: PageParts, exchange: Exchange, match: Match): Promise<Response> {
  const { request, url } = exchange;
  if (match.status === "wrong_method") throw wrongMethod(exchange, match.allow);
  if (match.status === "unknown") {
    throw new RelayError(
      "not_found",
      `${request.method} ${url.pathname.slice(0, 200)}: the relay has no such path`,
    );
  }
  const { name, row } = match;
  exchange.name = name;
  const by = await principalFor(parts, exchange, row);
  const { relay } = parts;
  const given = row.method === "GET" ? queryOf(url) : await bodyOf(relay, request);
  const parsed = row.request.safeParse({ ...given, ...match.members });
  if (!parsed.success) throw new RelayError("bad_request", `${row.summary}: ${argumentFault(parsed.error)}`);
  // The row and the function have the same name; TypeScript does not follow it through the union of rows.
  const operation = operations[name] as unknown as Operation<OperationName>;
  const reply = await inTime(relay.clock, row.summary, operation(relay, parsed.data as never, by));
  return Response.json(reply, { headers: { "Cache-Control": "no-store" } });
}

async function principalFor(
  parts: PageParts,
  exchange: Exchange,
  row: OperationRow,
): Promise<Principal | undefined> {
  if (row.scope === "none") return undefined;
  const principal = await parts.principal(exchange);
  if (row.scope !== "any") requireScope(principal, row.scope, row.summary);
  return principal;
}

function queryOf(url: URL): Record<string, unknown> {
  const members = [...url.searchParams];
  const names = members.map(([name]) => name);
  const twice = names.find((name, position) => names.indexOf(name) !== position);
  if (twice === undefined) return Object.fromEntries(members);
  throw new RelayError(
    "bad_request",
    `Read the query: '${twice.slice(0, 100)}' is given twice, once was wanted`,
  );
}

async function bodyOf({ clock }: Relay, request: Request): Promise<Record<string, unknown>> {
  const body = (await readJson(clock, request)) ?? {};
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    return body as Record<string, unknown>;
  }
  const is = Array.isArray(body) ? "an array" : body === null ? "null" : `a ${typeof body}`;
  throw new RelayError("bad_request", `Read the body: it is ${is}, an object was wanted`);
}

function wrongMethod({ request, url }: Exchange, allow: string): RelayError {
  const path = url.pathname.slice(0, 200);
  return new RelayError("method_not_allowed", `${request.method} ${path}: ${allow} was wanted`, {
    data: { allow },
  });
}

const logged: readonly ErrorCode[] = ["internal", "unavailable"];
const unauthenticated: readonly ErrorCode[] = ["unauthorized", "token_revoked"];

async function failure(relay: Relay, exchange: Exchange, thrown: unknown): Promise<Response> {
  const error = toRelayError(thrown);
  const { code } = error;
  if (logged.includes(code)) {
    const fields = { ...exchangeFields(exchange), code, error: error.cause ?? error };
    relay.log.error("A request failed", fields);
  }
  relay.metrics.count("agent_relay_refusals_total", { code });
  const { by = "nobody" as const, name } = exchange;
  if (unauthenticated.includes(code)) {
    relay.refusals.note("authentication_failed", "nobody", name);
    await relay.failedLogins.count(exchange.peer);
  }
  if (code === "forbidden" && error.data.wanted !== undefined) relay.refusals.note("scope_denied", by, name);
  return problemResponse(error, exchange.id);
}
