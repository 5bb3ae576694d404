/**
 * The relay's front: from a request to a response. The door is checked first, then the path, then the token and its
 * scope, and only then a body is read. Whatever is thrown leaves as problem details.
 */
import { deadline, orAbort } from "../base/signals.ts";
import { limits } from "../limits.ts";
import { feedPath, mcpPath, type OperationName, type OperationRow } from "../wire/api.ts";
import { type ErrorCode, RelayError, toRelayError } from "../wire/error.ts";
import { argumentFault } from "../wire/tools.ts";
import { type Principal, requireScope } from "./access.ts";
import { readJson } from "./body.ts";
import { refusalAt } from "./door.ts";
import { openFeed } from "./feed.ts";
import { isSubscription, type McpEndpoint } from "./mcp.ts";
import type { Operation } from "./operations/operation.ts";
import { operations } from "./operations.ts";
import { problemResponse } from "./problem.ts";
import type { Relay } from "./relay.ts";
import { type Match, route } from "./router.ts";

/** Serves a request. `streaming` is called before an answer that stays open: silence is not a fault from then on. */
export type Handler = (request: Request, streaming: () => void) => Promise<Response>;

type Page = (context: {
  relay: Relay;
  request: Request;
  url: URL;
  streaming: () => void;
}) => Promise<Response>;

const plainText = { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" };

/** Everything the relay serves besides the rows of the operation table, by path and method. */
function pagesOf(mcp: McpEndpoint): Record<string, Record<string, Page>> {
  return {
    "/": { GET: welcome },
    "/healthz": { GET: async () => new Response("ok\n", { headers: plainText }) },
    "/readyz": { GET: ready },
    [feedPath]: { GET: feed },
    [mcpPath]: { POST: ({ relay, request, streaming }) => callMcp({ relay, request, mcp, streaming }) },
  };
}

/**
 * The relay as a function from request to response.
 * @param port the one it listens on
 */
export function createHandler(relay: Relay, mcp: McpEndpoint, port: number): Handler {
  const pages = pagesOf(mcp);
  return async (request, streaming) => {
    try {
      const refusal = refusalAt(port, request.headers);
      if (refusal !== undefined) return problemResponse(refusal);
      const url = new URL(request.url);
      const page = pages[url.pathname];
      if (page !== undefined) return await servePage(page, { relay, request, url, streaming });
      return await serveOperation(relay, { request, url, match: route(request.method, url.pathname) });
    } catch (thrown) {
      return failure(relay, thrown);
    }
  };
}

async function servePage(page: Record<string, Page>, context: Parameters<Page>[0]): Promise<Response> {
  const serve = page[context.request.method];
  if (serve !== undefined) return serve(context);
  return wrongMethod(context.request.method, context.url.pathname, Object.keys(page).join(", "));
}

async function serveOperation(
  relay: Relay,
  asked: { request: Request; url: URL; match: Match },
): Promise<Response> {
  const { request, url, match } = asked;
  if (match.status === "wrong_method") return wrongMethod(request.method, url.pathname, match.allow);
  if (match.status === "unknown") {
    throw new RelayError(
      "not_found",
      `${request.method} ${url.pathname.slice(0, 200)}: the relay has no such path`,
    );
  }
  const { name, row } = match;
  const by = await principalFor(relay, row, request);
  const given = row.method === "GET" ? queryOf(url) : await bodyOf(request);
  const parsed = row.request.safeParse({ ...given, ...match.members });
  if (!parsed.success) throw new RelayError("bad_request", `${row.summary}: ${argumentFault(parsed.error)}`);
  // The row and the function have the same name; TypeScript does not follow it through the union of rows.
  const operation = operations[name] as unknown as Operation<OperationName>;
  const reply = await operation(relay, parsed.data as never, by);
  return Response.json(reply, { headers: { "Cache-Control": "no-store" } });
}

async function principalFor(
  relay: Relay,
  row: OperationRow,
  request: Request,
): Promise<Principal | undefined> {
  if (row.scope === "none") return undefined;
  const principal = await relay.access.authenticate(request.headers.get("authorization"));
  if (row.scope !== "any") requireScope(principal, row.scope, row.summary);
  return principal;
}

function queryOf(url: URL): Record<string, unknown> {
  const members = [...url.searchParams];
  const names = members.map(([name]) => name);
  const twice = names.find((name, position) => names.indexOf(name) !== position);
  if (twice === undefined) return Object.fromEntries(members);
  throw new RelayError("bad_request", `Read the query: '${twice}' is given twice, once was wanted`);
}

async function bodyOf(request: Request): Promise<Record<string, unknown>> {
  const body = (await readJson(request)) ?? {};
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    return body as Record<string, unknown>;
  }
  const is = Array.isArray(body) ? "an array" : body === null ? "null" : `a ${typeof body}`;
  throw new RelayError("bad_request", `Read the body: it is ${is}, an object was wanted`);
}

async function callMcp(call: {
  relay: Relay;
  request: Request;
  mcp: McpEndpoint;
  streaming: () => void;
}): Promise<Response> {
  const { relay, request, mcp, streaming } = call;
  const principal = await relay.access.authenticate(request.headers.get("authorization"));
  const body = await readJson(request);
  if (isSubscription(body)) streaming();
  return mcp.serve(request, body, principal);
}

const feed: Page = async ({ relay, request, url, streaming }) => {
  const principal = await relay.access.authenticate(request.headers.get("authorization"));
  const after = request.headers.get("last-event-id") ?? url.searchParams.get("after");
  streaming();
  return openFeed(relay, principal, { after, signal: request.signal });
};

const welcome: Page = async ({ relay }) =>
  new Response(
    `Agent Relay ${relay.version}\n\n${mcpPath}  MCP for agents\n/api/v1  JSON for runners and people\n`,
    { headers: plainText },
  );

const ready: Page = async ({ relay }) => {
  using limit = deadline(relay.clock, limits.readyMs, { action: "Ask the store" });
  const counts = await orAbort(relay.store.counts(), limit.signal).catch((cause: unknown) => {
    throw new RelayError("unavailable", "The store does not answer", { cause });
  });
  if (counts === undefined) {
    throw new RelayError("unavailable", `The store did not answer within ${limits.readyMs} ms`);
  }
  return new Response("ready\n", { headers: plainText });
};

function wrongMethod(method: string, path: string, allow: string): Response {
  const error = new RelayError("method_not_allowed", `${method} ${path}: ${allow} was wanted`);
  return problemResponse(error, { Allow: allow });
}

const logged: readonly ErrorCode[] = ["internal", "unavailable"];

function failure(relay: Relay, thrown: unknown): Response {
  const error = toRelayError(thrown);
  if (logged.includes(error.code))
    relay.log.error("A request failed", { code: error.code, error: error.cause });
  return problemResponse(error);
}
