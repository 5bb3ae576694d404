/** What the relay serves besides the rows of the operation table, by path and method. */
import { deadline, orAbort } from "../base/signals.ts";
import { limits } from "../limits.ts";
import { feedPath, mcpPath, openApiPath } from "../wire/api.ts";
import { RelayError } from "../wire/error.ts";
import { type Principal, requireScope } from "./access.ts";
import { readJson } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { openFeed } from "./feed.ts";
import { gaugesOf } from "./gauges.ts";
import { isSubscription, type McpEndpoint } from "./mcp.ts";
import { openApiText } from "./openapi.ts";
import type { Relay } from "./relay.ts";

export type Page = (exchange: Exchange) => Promise<Response>;

export type PageParts = {
  relay: Relay;
  mcp: McpEndpoint;
  /** Everybody who can reach the relay is on its machine. */
  local: boolean;
  /**
   * Who asks; kept in the exchange.
   * @throws RelayError unauthorized, token_expired, token_revoked, rate_limited
   */
  principal(exchange: Exchange): Promise<Principal>;
};

const plainText = { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" };

/** The pages by path and method. */
export function pagesOf(parts: PageParts): Record<string, Record<string, Page>> {
  // Made at the first request and then kept: making it takes longer than a thousand requests.
  let described: string | undefined;
  const openApi = () => {
    described ??= openApiText(parts.relay.version);
    return describedAs(described);
  };
  return {
    "/": { GET: async () => welcome(parts.relay) },
    "/healthz": { GET: async () => new Response("ok\n", { headers: plainText }) },
    "/readyz": { GET: () => ready(parts.relay) },
    "/metrics": { GET: (exchange) => metrics(parts, exchange) },
    [openApiPath]: { GET: async () => openApi() },
    [feedPath]: { GET: (exchange) => feed(parts, exchange) },
    [mcpPath]: { POST: (exchange) => callMcp(parts, exchange) },
  };
}

async function callMcp({ relay, mcp, principal }: PageParts, exchange: Exchange): Promise<Response> {
  const { request, streaming } = exchange;
  const by = await principal(exchange);
  const body = await readJson(relay.clock, request);
  if (isSubscription(body)) streaming();
  return mcp.serve(request, body, by);
}

async function feed({ relay, principal }: PageParts, exchange: Exchange): Promise<Response> {
  const { request, url, streaming } = exchange;
  const by = await principal(exchange);
  const after = request.headers.get("last-event-id") ?? url.searchParams.get("after");
  streaming();
  return openFeed(relay, by, { after, signal: request.signal });
}

async function metrics({ relay, local, principal }: PageParts, exchange: Exchange): Promise<Response> {
  const given = exchange.request.headers.get("authorization") !== null;
  if (!local || given) requireScope(await principal(exchange), "metrics:read", "Read the metrics");
  const text = relay.metrics.text(await gaugesOf(relay));
  const type = "text/plain; version=0.0.4; charset=utf-8";
  return new Response(text, { headers: { "Content-Type": type, "Cache-Control": "no-store" } });
}

function describedAs(text: string): Response {
  return new Response(text, {
    headers: { "Content-Type": "application/json", "Cache-Control": "no-cache" },
  });
}

function welcome(relay: Relay): Response {
  const lines = [
    `Agent Relay ${relay.version}`,
    "",
    `${mcpPath}  MCP for agents`,
    "/api/v1  JSON for runners and people",
    `${openApiPath}  the description of /api/v1`,
    "/metrics  figures for Prometheus",
  ];
  return new Response(`${lines.join("\n")}\n`, { headers: plainText });
}

async function ready(relay: Relay): Promise<Response> {
  using limit = deadline(relay.clock, limits.readyMs, { action: "Ask the store" });
  const newest = await orAbort(relay.store.readAudit({ limit: 1 }), limit.signal).catch((cause: unknown) => {
    throw new RelayError("unavailable", "The store does not answer", { cause });
  });
  if (newest === undefined) {
    throw new RelayError("unavailable", `The store did not answer within ${limits.readyMs} ms`);
  }
  return new Response("ready\n", { headers: plainText });
}
