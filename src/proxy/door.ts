/**
 * The door of the endpoint: who was addressed and who asks, in the order of the contract; then one message, which is
 * given to its era. Nothing of a body is read before its sender has shown the secret.
 */
import { bearerCheck, isEventStreamType, isJsonType, loopbackCheck } from "../base/http/guard.ts";
import type { BodyRead, ServerExchange } from "../base/http/server-exchange.ts";
import { errorText, parseBody, type RpcFault, type RpcMessage, rpcCode } from "../wire/jsonrpc.ts";
import type { Outcome } from "./answer.ts";
import type { Core } from "./core.ts";
import {
  classify,
  legacyHeaderVersions,
  type MirrorHeaders,
  modernHeaderFault,
  modernVersion,
} from "./era.ts";
import { legacy } from "./legacy.ts";
import { openGet } from "./listen.ts";
import { modern } from "./modern.ts";
import { passOn } from "./pass-on.ts";
import { answerRequest } from "./requests.ts";
import { modernUid, type Session, statelessUid } from "./sessions.ts";

type Answering = void | Promise<void>;
type Headers = readonly (readonly [name: string, value: string])[];

const path = "/mcp";
const allowedMethods = "POST, GET, DELETE";
const json = "application/json";
const text = "text/plain; charset=utf-8";

/** What answers the requests of the endpoint on this port. */
export function openDoor(core: Core, port: number): (exchange: ServerExchange) => Answering {
  const loopback = loopbackCheck(port);
  const isAllowed = bearerCheck(core.options.secret);
  const { limits } = core.options;
  return (exchange) => {
    if (!loopback.isHost(exchange.header("host")))
      return plain(exchange, 403, "The Host header does not name this endpoint");
    if (!loopback.isOrigin(exchange.header("origin")))
      return plain(exchange, 403, "The Origin is not allowed here");
    if (!isOurPath(exchange.target)) return notFound(exchange);
    const { method } = exchange;
    if (method !== "POST" && method !== "GET" && method !== "DELETE")
      return plain(exchange, 405, `The method ${method} is not allowed here`, [["Allow", allowedMethods]]);
    if (!isAllowed(exchange.header("authorization") ?? null)) return unauthorized(core, exchange);
    exchange.trust();
    if (method === "GET") return handleGet(core, exchange);
    if (method === "DELETE") return handleDelete(core, exchange);
    if (!isJsonType(exchange.header("content-type")))
      return plain(exchange, 415, "The Content-Type must be application/json");
    const body = exchange.body(limits.requestBodyBytesMax);
    return body instanceof Promise
      ? body.then((read) => take(core, exchange, read))
      : take(core, exchange, body);
  };
}

function isOurPath(target: string): boolean {
  return target === path || (target.startsWith(path) && target.charCodeAt(path.length) === 0x3f);
}

function plain(exchange: ServerExchange, status: number, words: string, headers?: Headers): void {
  exchange.send({ status, type: text, body: `${words}\n`, headers });
}

function notFound(exchange: ServerExchange): void {
  exchange.send({
    status: 404,
    type: json,
    body: '{"error":"not_found","message":"The endpoint is /mcp"}',
  });
}

function take(core: Core, exchange: ServerExchange, bytes: BodyRead): Answering {
  const { limits } = core.options;
  if (bytes === "ended") return;
  if (bytes === "too-large")
    return plain(exchange, 413, `The body is larger than ${limits.requestBodyBytesMax} bytes`);
  const message = parseBody(bytes, limits.jsonDepthMax);
  return message.kind === "fault" ? faulty(exchange, message) : dispatch(core, { exchange, bytes, message });
}

/** An error body has the request's id, or it is plain text: a client hangs on an id of null. */
function faulty(exchange: ServerExchange, { code, message, id }: RpcFault): Answering {
  if (id === undefined) return plain(exchange, 400, `JSON-RPC ${code}: ${message}`);
  exchange.send({ status: 400, type: json, body: errorText(id, { code, message }) });
}

/** Missing and wrong secrets look alike, also in time. The body is only looked at for the id of its request. */
async function unauthorized(core: Core, exchange: ServerExchange): Promise<void> {
  const held = core.failedLogins.count("loopback");
  const headers: Headers = [["WWW-Authenticate", "Bearer"]];
  const words = "proxy auth required";
  const peeks = exchange.method === "POST" && exchange.header("expect") === undefined;
  const bytes = peeks ? await exchange.body(core.options.limits.unauthorizedPeekBytesMax) : "too-large";
  await held;
  const message = typeof bytes === "string" ? undefined : parseBody(bytes, 32);
  const id = message === undefined || message.kind === "notification" ? undefined : message.id;
  if (id === undefined) {
    plain(exchange, 401, words, headers);
    return;
  }
  const body = errorText(id, { code: rpcCode.proxyAuthRequired, message: words });
  exchange.send({ status: 401, type: json, body, headers });
}

/** The session of a legacy request; `gone` when the id is not ours or its session was ended. */
function legacySession(core: Core, exchange: ServerExchange): Session | "gone" {
  const value = exchange.header("mcp-session-id");
  if (value === undefined) return core.sessionOf(statelessUid);
  const facts = core.sealer.unseal(value);
  if (facts === undefined || core.sessions.isRemoved(facts.uid)) return "gone";
  return core.sessionOf(facts.uid, facts);
}

function gone(exchange: ServerExchange): void {
  plain(exchange, 404, "The session is not known here: initialize again");
}

function handleGet(core: Core, exchange: ServerExchange): Answering {
  const version = exchange.header("mcp-protocol-version");
  const isModern =
    version !== undefined && version >= modernVersion && exchange.header("mcp-session-id") === undefined;
  if (isModern) return plain(exchange, 405, "This protocol version has no GET", [["Allow", "POST"]]);
  if (!acceptsStream(exchange))
    return plain(exchange, 405, "GET needs Accept: text/event-stream", [["Allow", allowedMethods]]);
  const session = legacySession(core, exchange);
  if (session === "gone") gone(exchange);
  else openGet(core, session, exchange);
}

function handleDelete(core: Core, exchange: ServerExchange): Answering {
  const session = legacySession(core, exchange);
  if (session === "gone") return gone(exchange);
  if (session.uid === statelessUid)
    return plain(exchange, 405, "There is no session to end", [["Allow", "POST, GET"]]);
  core.sessions.remove(session.uid);
  core.upstream.sessions.end(session.uid);
  exchange.send({ status: 204 });
}

function acceptsStream(exchange: ServerExchange): boolean {
  const accept = exchange.header("accept") ?? "";
  // What clients of the protocol send.
  if (accept === "application/json, text/event-stream") return true;
  return accept.split(",").some((type) => isEventStreamType(type) || /^\s*(?:\*|text)\/\*/.test(type));
}

type Incoming = { exchange: ServerExchange; bytes: Uint8Array; message: RpcMessage };

function dispatch(core: Core, { exchange, bytes, message }: Incoming): Answering {
  const mirror = mirrorOf(core, exchange);
  const verdict = classify(message, mirror);
  if (verdict.kind === "reject") return rejected(exchange, message, verdict);
  if (verdict.kind === "modern" && message.kind === "request") {
    const fault = modernHeaderFault(message, mirror);
    if (fault !== undefined) return rejected(exchange, message, fault);
  }
  const session = verdict.kind === "modern" ? core.sessionOf(modernUid) : legacySession(core, exchange);
  if (session === "gone" && !(message.kind === "request" && message.method === "initialize"))
    return gone(exchange);
  if (
    verdict.kind === "legacy" &&
    mirror.version !== null &&
    !legacyHeaderVersions.includes(mirror.version)
  ) {
    const words = `Unsupported MCP-Protocol-Version: ${mirror.version}`;
    return rejected(exchange, message, { code: rpcCode.invalidRequest, message: words });
  }
  const served = session === "gone" ? core.sessionOf(statelessUid) : session;
  const era = verdict.kind === "modern" ? modern : legacy;
  if (message.kind !== "request") {
    passOn(core, { era, message, bytes, asker: exchange, session: served });
    exchange.send({ status: 202 });
    return;
  }
  core.sessions.arrived(served);
  const wantsStream = acceptsStream(exchange);
  const ask = { era, message, bytes, session: served, asker: exchange, wantsStream };
  return answerRequest(core, ask).then((outcome) => reply(exchange, outcome));
}

function reply(exchange: ServerExchange, outcome: Outcome): void {
  if (outcome === "streaming") return;
  const { status, text: body, headers, carried } = outcome;
  exchange.send({ status, type: json, body, headers, watch: carried });
}

/** A session that was opened with the modern version by the legacy handshake goes on as legacy. */
function mirrorOf(core: Core, exchange: ServerExchange): MirrorHeaders {
  const version = exchange.header("mcp-protocol-version") ?? null;
  const sealed = version === modernVersion ? exchange.header("mcp-session-id") : undefined;
  const handshaken = sealed !== undefined && core.sealer.unseal(sealed)?.version === version;
  return {
    version: handshaken ? "2025-11-25" : version,
    method: exchange.header("mcp-method") ?? null,
    name: exchange.header("mcp-name") ?? null,
  };
}

function rejected(
  exchange: ServerExchange,
  message: RpcMessage,
  error: { code: number; message: string; data?: unknown },
): Answering {
  if (message.kind === "notification")
    return plain(exchange, 400, `JSON-RPC ${error.code}: ${error.message}`);
  const { code, message: words, data } = error;
  const body = errorText(message.id, { code, message: words, ...(data === undefined ? {} : { data }) });
  exchange.send({ status: 400, type: json, body });
}
