/**
 * The modern era (MCP 2026-07-28): no session, every request says who it is. Twin of `legacy.ts`.
 */
import { isObject, type JsonObject, requestText, rpcCode } from "../wire/jsonrpc.ts";
import { errorAnswer, type Outcome, resultAnswer } from "./answer.ts";
import type { Ask, Era, Outgoing } from "./ask.ts";
import { envelope, modernHeaders } from "./control.ts";
import type { Core } from "./core.ts";
import { metaKey } from "./era.ts";
import { listMethods } from "./lists.ts";
import { discoverVersions, type Opening, offered } from "./openings.ts";
import type { HeaderList } from "./upstream-call.ts";
import { within } from "./within.ts";

/** Our lists may be narrowed at any moment and are cheap to ask for: none is current for longer than its answer, ms. */
const listTtlMs = 0;
const encoder = new TextEncoder();
const contentType = ["Content-Type", "application/json"] as const;
const accept = ["Accept", "application/json, text/event-stream"] as const;
const passing = ["mcp-protocol-version", "mcp-method", "mcp-name", "traceparent"];

async function open(core: Core, ask: Ask): Promise<Outcome> {
  const { clock, limits } = core.options;
  const asking = core.control.discover().then((answer): Opening | undefined => {
    if (answer.kind === "failed") return undefined;
    const opening: Opening =
      answer.kind === "result" && core.upstream.eras.modern === true
        ? { kind: "result", result: answer.result }
        : { kind: "absent" };
    core.openings.set("modern", opening);
    return opening;
  });
  const opening = (await within(clock, limits.lastKnownAnswerMs, asking)) ?? core.openings.get("modern");
  if (opening?.kind === "absent") {
    return errorAnswer(ask, { code: rpcCode.methodNotFound, message: "Method not found: server/discover" });
  }
  return resultAnswer(core, ask, discovered(core, opening?.result));
}

function discovered(core: Core, known: JsonObject | undefined): JsonObject {
  const info = isObject(known?._meta) ? known._meta[metaKey.serverInfo] : undefined;
  const { capabilities, ...words } = offered(core.options, known);
  return {
    supportedVersions: discoverVersions(),
    ...words,
    capabilities: withoutSubscriptions(capabilities),
    _meta: { [metaKey.serverInfo]: info ?? core.options.serverInfo },
  };
}

/** Subscriptions carry list changes only: changes of single resources are not followed on the agent's behalf. */
function withoutSubscriptions(capabilities: unknown): JsonObject {
  if (!isObject(capabilities)) return {};
  if (!isObject(capabilities.resources)) return capabilities;
  const { subscribe: _, ...resources } = capabilities.resources;
  return { ...capabilities, resources };
}

function result(value: JsonObject, method: string): JsonObject {
  const typed = { resultType: "complete", ...value };
  const cached = method === "server/discover" || Object.hasOwn(listMethods, method);
  return cached ? { ...typed, ttlMs: listTtlMs, cacheScope: "private" } : typed;
}

function outgoing(ask: Ask): Outgoing {
  const headers: (readonly [string, string])[] = [contentType, accept];
  for (const name of passing) {
    const value = ask.asker.header(name);
    if (value !== undefined) headers.push([name, value]);
  }
  for (const field of ask.asker.headersFrom("mcp-param-")) headers.push(field);
  return { headers, body: ask.bytes, session: undefined };
}

function translate(core: Core, ask: Ask): Outgoing {
  const { id, method, params } = ask.message;
  const meta = isObject(params._meta) ? params._meta : {};
  const capabilities = ask.session.facts?.capabilities ?? {};
  const sent = { ...params, _meta: { ...meta, ...envelope(core.options, capabilities) } };
  const headers: HeaderList = modernHeaders(method, sent);
  return { headers, body: encoder.encode(requestText(id, method, sent)), session: undefined };
}

const statusTable: Record<number, number> = {
  [rpcCode.methodNotFound]: 404,
  [rpcCode.headerMismatch]: 400,
  [rpcCode.missingCapability]: 400,
  [rpcCode.unsupportedVersion]: 400,
};

export const modern: Era = {
  name: "modern",
  open,
  result,
  errorStatus: (code) => statusTable[code] ?? 200,
  outgoing,
  translate,
  disconnectCancels: true,
};
