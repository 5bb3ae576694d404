/**
 * The endpoint: listens on loopback, checks who was addressed and who asks, reads one message, and gives it to its
 * era. Bun.serve's own limits are kept above ours, so that every refusal has our words.
 */
import {
  bearerCheck,
  isEventStreamType,
  isJsonType,
  isLoopbackHost,
  isOwnOrigin,
  readRequestBody,
} from "../base/http/guard.ts";
import {
  errorText,
  parseBody,
  type RpcFault,
  type RpcMessage,
  type RpcRequest,
  rpcCode,
} from "../wire/jsonrpc.ts";
import { jsonHeaders } from "./answer.ts";
import type { Ask } from "./ask.ts";
import { type Core, createCore } from "./core.ts";
import {
  classify,
  legacyHeaderVersions,
  type MirrorHeaders,
  modernHeaderFault,
  modernVersion,
} from "./era.ts";
import { legacy } from "./legacy.ts";
import { closeStreams, openGet, streamCount } from "./listen.ts";
import { modern } from "./modern.ts";
import { type Endpoint, type EndpointOptions, PortTaken } from "./options.ts";
import { passOn } from "./pass-on.ts";
import { answerRequest } from "./requests.ts";
import { modernUid, type Session, statelessUid } from "./sessions.ts";
import { watchUpstream } from "./watch.ts";
import { within } from "./within.ts";

export type {
  Authorization,
  Endpoint,
  EndpointOptions,
  EndpointStatus,
  Memory,
  UpstreamState,
} from "./options.ts";
export { PortTaken } from "./options.ts";

const path = "/mcp";
/** How long connections have to take their last bytes at the end, ms. */
const closeGraceMs = 250;
const allowedMethods = "POST, GET, DELETE";

type Handling = { core: Core; port: number; isAllowed: (authorization: string | null) => boolean };
type Timeouts = { timeout(request: Request, seconds: number): void };

/** Starts the endpoint. Throws PortTaken when the port cannot be had; never waits for the upstream. */
export async function startEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const core = createCore(options);
  await core.load();
  const isAllowed = bearerCheck(options.secret);
  const handling: Handling = { core, port: 0, isAllowed };
  const server = listen(options, handling);
  handling.port = server.port ?? options.port;
  const url = `http://127.0.0.1:${handling.port}${path}`;
  const watch = watchUpstream(core);
  core.lists.follow();
  return {
    url,
    port: handling.port,
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
      core.lists.close();
      for (const end of [...core.waiting]) end();
      closeStreams(core);
      // What the streams end with is given a moment to leave; connections that stay open are cut after it.
      await within(options.clock, closeGraceMs, server.stop(false));
      await server.stop(true);
    },
  };
}

function listen(options: EndpointOptions, handling: Handling) {
  const { limits, log } = options;
  try {
    // Never with `development: false`: Bun 1.4.5 then lets two servers listen on one port.
    return Bun.serve({
      hostname: "127.0.0.1",
      port: options.port,
      idleTimeout: Math.min(255, Math.max(1, Math.round(limits.requestReadMs / 1_000))),
      maxRequestBodySize: limits.requestBodyBytesMax * 4,
      fetch: async (request, server) => {
        try {
          return await handle(handling, request, server);
        } catch (error) {
          if (request.signal.aborted) return plain(400, "The request was given up");
          log.error("a request ended by a fault", { error });
          return plain(500, "The proxy failed; see its log");
        }
      },
      error: () => plain(500, "The proxy failed; see its log"),
    });
  } catch (error) {
    throw new PortTaken(options.port, error);
  }
}

function plain(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { "Content-Type": "text/plain; charset=utf-8", ...headers },
  });
}

/** The guards, in the order of the contract, then the message. */
async function handle(handling: Handling, request: Request, server: Timeouts): Promise<Response> {
  const { core, port } = handling;
  const { limits } = core.options;
  const header = (name: string) => request.headers.get(name);
  if (!isLoopbackHost(header("host"), port)) return plain(403, "The Host header does not name this endpoint");
  if (!isOwnOrigin(header("origin"), port)) return plain(403, "The Origin is not allowed here");
  if (pathOf(request.url) !== path) {
    return new Response('{"error":"not_found","message":"The endpoint is /mcp"}', {
      status: 404,
      headers: jsonHeaders,
    });
  }
  const { method } = request;
  if (method !== "POST" && method !== "GET" && method !== "DELETE") {
    return plain(405, `The method ${method} is not allowed here`, { Allow: allowedMethods });
  }
  if (!handling.isAllowed(header("authorization")))
    return unauthorized(request, limits.unauthorizedPeekBytesMax);
  if (method !== "POST") {
    server.timeout(request, 0);
    return method === "GET" ? handleGet(core, request) : handleDelete(core, request);
  }
  if (!isJsonType(header("content-type"))) return plain(415, "The Content-Type must be application/json");
  const bytes = await readRequestBody(request, limits.requestBodyBytesMax);
  server.timeout(request, 0);
  if (bytes === undefined) return plain(413, `The body is larger than ${limits.requestBodyBytesMax} bytes`);
  const message = parseBody(bytes, limits.jsonDepthMax);
  return message.kind === "fault" ? faulty(message) : dispatch(core, { request, bytes, message });
}

function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const end = url.indexOf("?", start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}

/** An error body has the request's id, or it is plain text: a client hangs on an id of null. */
function faulty({ code, message, id }: RpcFault): Response {
  if (id === undefined) return plain(400, `JSON-RPC ${code}: ${message}`);
  return new Response(errorText(id, { code, message }), { status: 400, headers: jsonHeaders });
}

/** Missing and wrong secrets look alike. */
async function unauthorized(request: Request, peekBytesMax: number): Promise<Response> {
  const headers = { "WWW-Authenticate": "Bearer" };
  const words = "proxy auth required";
  if (request.method !== "POST" || !(Number(request.headers.get("content-length") ?? 0) <= peekBytesMax)) {
    return plain(401, words, headers);
  }
  const bytes = await readRequestBody(request, peekBytesMax);
  const message = bytes === undefined ? undefined : parseBody(bytes, 32);
  const id = message === undefined || message.kind === "notification" ? undefined : message.id;
  if (id === undefined) return plain(401, words, headers);
  const text = errorText(id, { code: rpcCode.proxyAuthRequired, message: words });
  return new Response(text, { status: 401, headers: { ...jsonHeaders, ...headers } });
}

/** The session of a legacy request; `gone` when the id is not ours or its session was ended. */
function legacySession(core: Core, request: Request): Session | "gone" {
  const value = request.headers.get("mcp-session-id");
  if (value === null) return core.sessionOf(statelessUid);
  const facts = core.sealer.unseal(value);
  if (facts === undefined || core.sessions.isRemoved(facts.uid)) return "gone";
  return core.sessionOf(facts.uid, facts);
}

const gone = () => plain(404, "The session is not known here: initialize again");

function handleGet(core: Core, request: Request): Response {
  const version = request.headers.get("mcp-protocol-version");
  const isModern = version !== null && version >= modernVersion && !request.headers.has("mcp-session-id");
  if (isModern) return plain(405, "This protocol version has no GET", { Allow: "POST" });
  if (!acceptsStream(request))
    return plain(405, "GET needs Accept: text/event-stream", { Allow: allowedMethods });
  const session = legacySession(core, request);
  return session === "gone" ? gone() : openGet(core, session, request.headers.get("last-event-id"));
}

function handleDelete(core: Core, request: Request): Response {
  const session = legacySession(core, request);
  if (session === "gone") return gone();
  if (session.uid === statelessUid) return plain(405, "There is no session to end", { Allow: "POST, GET" });
  core.sessions.remove(session.uid);
  core.upstream.sessions.end(session.uid);
  return new Response(null, { status: 204 });
}

function acceptsStream(request: Request): boolean {
  const accept = request.headers.get("accept") ?? "";
  return accept.split(",").some((type) => isEventStreamType(type) || /^\s*(?:\*|text)\/\*/.test(type));
}

type Incoming = { request: Request; bytes: Uint8Array; message: RpcMessage };

async function dispatch(core: Core, { request, bytes, message }: Incoming): Promise<Response> {
  const mirror = mirrorOf(core, request);
  const verdict = classify(message, mirror);
  if (verdict.kind === "reject") return rejected(message, verdict);
  if (verdict.kind === "modern" && message.kind === "request") {
    const fault = modernHeaderFault(message, mirror);
    if (fault !== undefined) return rejected(message, fault);
  }
  const session = verdict.kind === "modern" ? core.sessionOf(modernUid) : legacySession(core, request);
  if (session === "gone" && !(message.kind === "request" && message.method === "initialize")) return gone();
  if (
    verdict.kind === "legacy" &&
    mirror.version !== null &&
    !legacyHeaderVersions.includes(mirror.version)
  ) {
    const text = `Unsupported MCP-Protocol-Version: ${mirror.version}`;
    return rejected(message, { code: rpcCode.invalidRequest, message: text });
  }
  const served = session === "gone" ? core.sessionOf(statelessUid) : session;
  const era = verdict.kind === "modern" ? modern : legacy;
  if (message.kind !== "request") {
    passOn(core, { era, message, bytes, headers: request.headers, session: served });
    return new Response(null, { status: 202 });
  }
  core.sessions.arrived(served);
  return answerRequest(core, askOf(request, { era, message, bytes, session: served }));
}

function askOf(
  request: Request,
  parts: { era: Ask["era"]; message: RpcRequest; bytes: Uint8Array; session: Session },
): Ask {
  return { ...parts, headers: request.headers, signal: request.signal, wantsStream: acceptsStream(request) };
}

/** A session that was opened with the modern version by the legacy handshake goes on as legacy. */
function mirrorOf(core: Core, request: Request): MirrorHeaders {
  const { headers } = request;
  const version = headers.get("mcp-protocol-version");
  const sealed = headers.get("mcp-session-id");
  const handshaken =
    version === modernVersion && sealed !== null && core.sealer.unseal(sealed)?.version === version;
  return {
    version: handshaken ? "2025-11-25" : version,
    method: headers.get("mcp-method"),
    name: headers.get("mcp-name"),
  };
}

function rejected(message: RpcMessage, error: { code: number; message: string; data?: unknown }): Response {
  if (message.kind === "notification") return plain(400, `JSON-RPC ${error.code}: ${error.message}`);
  const { code, message: text, data } = error;
  const body = errorText(message.id, { code, message: text, ...(data === undefined ? {} : { data }) });
  return new Response(body, { status: 400, headers: jsonHeaders });
}
