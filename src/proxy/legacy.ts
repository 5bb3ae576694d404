/**
 * The legacy era (MCP 2025-11-25 and before): `initialize`, then requests of a session. Twin of `modern.ts`.
 */
import { isObject, type JsonObject, requestText } from "../wire/jsonrpc.ts";
import { type Outcome, resultAnswer } from "./answer.ts";
import type { Ask, Era, Outgoing } from "./ask.ts";
import { plainHeaders } from "./control.ts";
import type { Core } from "./core.ts";
import { legacyVersions, metaKey, modernVersion } from "./era.ts";
import { type Opening, offered } from "./openings.ts";
import { newSessionUid, type SessionFacts } from "./session.ts";
import { modernUid, statelessUid } from "./sessions.ts";
import { refusesLegacy } from "./upstream.ts";
import type { Opened } from "./upstream-sessions.ts";
import { within } from "./within.ts";

const encoder = new TextEncoder();

/** The version to speak with a client that asks for `wanted`. */
export function negotiated(wanted: unknown): string {
  const spoken: readonly unknown[] = [...legacyVersions, modernVersion];
  return spoken.includes(wanted) ? String(wanted) : legacyVersions[0];
}

async function open(core: Core, ask: Ask): Promise<Outcome> {
  const { clock, limits, random } = core.options;
  const { params } = ask.message;
  const version = negotiated(params.protocolVersion);
  const capabilities = isObject(params.capabilities) ? params.capabilities : {};
  const facts: SessionFacts = { uid: newSessionUid(random), version, capabilities };
  core.sessionOf(facts.uid, facts, true);
  const asking = forwardOpen(core, facts, params);
  const opening = (await within(clock, limits.lastKnownAnswerMs, asking)) ?? core.openings.get("legacy");
  const known = opening?.kind === "result" ? opening.result : modernResult(core);
  const theirs = known?.protocolVersion;
  const spoken = isLegacy(theirs) && isLegacy(version) && theirs < version ? theirs : version;
  const info = isObject(known?.serverInfo) ? known.serverInfo : core.options.serverInfo;
  const answer = { protocolVersion: spoken, ...offered(core.options, known), serverInfo: info };
  const sealed = core.sealer.seal({ ...facts, version: spoken });
  return { ...resultAnswer(core, ask, answer), headers: [["Mcp-Session-Id", sealed]] };
}

async function forwardOpen(
  core: Core,
  facts: SessionFacts,
  params: JsonObject,
): Promise<Opening | undefined> {
  const { eras } = core.upstream;
  if (eras.legacy === false) return { kind: "absent" };
  const sent = {
    ...params,
    protocolVersion: facts.version === modernVersion ? legacyVersions[0] : facts.version,
  };
  const opened: Opened = await core.upstream.sessions.open(facts, sent, 0);
  if (opened.kind === "opened" && opened.result !== undefined) {
    eras.legacy = true;
    const opening: Opening = { kind: "result", result: opened.result };
    core.openings.set("legacy", opening);
    return opening;
  }
  if (opened.kind !== "failed" || opened.answer.kind !== "refused") return undefined;
  if (!refusesLegacy(opened.answer.error)) return undefined;
  eras.legacy = false;
  core.openings.set("legacy", { kind: "absent" });
  const found = await core.control.discover();
  if (found.kind === "result") core.openings.set("modern", { kind: "result", result: found.result });
  return { kind: "absent" };
}

function isLegacy(version: unknown): version is string {
  return typeof version === "string" && (legacyVersions as readonly string[]).includes(version);
}

/** What a modern-only upstream said of itself, as far as this era has it. */
function modernResult(core: Core): JsonObject | undefined {
  const opening = core.openings.get("modern");
  if (opening?.kind !== "result") return undefined;
  const meta = opening.result._meta;
  return { ...opening.result, serverInfo: isObject(meta) ? meta[metaKey.serverInfo] : undefined };
}

/** Members that only the modern era has are taken off. */
function result(value: JsonObject): JsonObject {
  const { resultType: _, ttlMs: __, cacheScope: ___, ...rest } = value;
  return rest;
}

function outgoing(ask: Ask): Outgoing {
  const trace = ask.asker.header("traceparent");
  const headers = trace === undefined ? plainHeaders : [...plainHeaders, ["traceparent", trace] as const];
  return { headers, body: ask.bytes, session: ask.session.facts ?? statelessFacts(ask) };
}

/** A client that never opened a session shares one upstream with others like it. */
function statelessFacts(ask: Ask): SessionFacts {
  const version = negotiated(ask.asker.header("mcp-protocol-version"));
  return { uid: statelessUid, version, capabilities: {} };
}

const reserved: readonly string[] = Object.values(metaKey);

function translate(_core: Core, ask: Ask): Outgoing {
  const { id, method, params } = ask.message;
  const meta = isObject(params._meta) ? params._meta : {};
  const declared = meta[metaKey.clientCapabilities];
  const capabilities = isObject(declared) ? declared : {};
  const kept = Object.fromEntries(Object.entries(meta).filter(([name]) => !reserved.includes(name)));
  const sent = { ...params, _meta: kept };
  return {
    headers: plainHeaders,
    body: encoder.encode(requestText(id, method, sent)),
    session: { uid: modernUid, version: legacyVersions[0], capabilities },
  };
}

export const legacy: Era = {
  name: "legacy",
  open,
  result,
  errorStatus: () => 200,
  outgoing,
  translate,
  disconnectCancels: false,
};
