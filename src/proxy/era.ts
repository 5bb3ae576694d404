/**
 * Which protocol era a request belongs to (MCP 2026-07-28 basic/versioning). Decided by the body; the headers must
 * agree. Written here, and proved equal to the SDK's classification by a table test, because loading the server SDK
 * would cost more memory than the whole proxy.
 */
import { isObject, type JsonObject, type RpcMessage, rpcCode } from "../wire/jsonrpc.ts";

export const modernVersion = "2026-07-28";
/** Legacy versions the proxy negotiates, newest first. */
export const legacyVersions = ["2025-11-25", "2025-06-18"] as const;
/** Legacy versions whose header is accepted on later requests; the older ones are never negotiated. */
export const legacyHeaderVersions: readonly string[] = [...legacyVersions, "2025-03-26", "2024-11-05"];
export const supportedVersions: readonly string[] = [modernVersion, ...legacyVersions];

/** Reserved `_meta` members (MCP 2026-07-28 basic §_meta). */
export const metaKey = {
  protocolVersion: "io.modelcontextprotocol/protocolVersion",
  clientInfo: "io.modelcontextprotocol/clientInfo",
  clientCapabilities: "io.modelcontextprotocol/clientCapabilities",
  logLevel: "io.modelcontextprotocol/logLevel",
  serverInfo: "io.modelcontextprotocol/serverInfo",
  subscriptionId: "io.modelcontextprotocol/subscriptionId",
} as const;

export type EraName = "modern" | "legacy";
/** Headers that mirror the body, as they came. */
export type MirrorHeaders = { version: string | null; method: string | null; name: string | null };
export type EraVerdict =
  | { kind: EraName }
  | { kind: "reject"; code: number; message: string; data?: JsonObject };

const logLevels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
/** Which member of params the `Mcp-Name` header mirrors, by method. */
const nameSource: Record<string, string> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

function isModern(version: string | null | undefined): boolean {
  return version != null && version >= modernVersion;
}

function metaOf(params: JsonObject): JsonObject | undefined {
  return isObject(params._meta) ? params._meta : undefined;
}

/** The era of a POST, or the rejection that the modern era wants. */
export function classify(message: RpcMessage, headers: MirrorHeaders): EraVerdict {
  if (message.kind === "response") return { kind: "legacy" };
  const meta = metaOf(message.params);
  const claims = meta !== undefined && metaKey.protocolVersion in meta;
  if (message.kind === "notification") return classifyNotification(message.method, meta, headers);
  if (message.method === "initialize" && !(claims && isValidModernClaim(meta))) {
    return isModern(headers.version)
      ? mismatch("MCP-Protocol-Version", headers.version, "a legacy initialize request")
      : { kind: "legacy" };
  }
  if (claims) {
    const problem = envelopeProblem(meta);
    if (problem !== undefined) return invalidEnvelope(problem);
    const claimed = meta[metaKey.protocolVersion];
    if (headers.version !== null && headers.version !== claimed) {
      return mismatch("MCP-Protocol-Version", headers.version, claimed);
    }
    if (headers.method !== null && headers.method !== message.method) {
      return mismatch("Mcp-Method", headers.method, message.method);
    }
    return { kind: "modern" };
  }
  if (isModern(headers.version)) return invalidEnvelope(`${metaKey.protocolVersion}: missing`);
  return { kind: "legacy" };
}

function classifyNotification(
  method: string,
  meta: JsonObject | undefined,
  headers: MirrorHeaders,
): EraVerdict {
  const claims = meta !== undefined && metaKey.protocolVersion in meta;
  const claimed = claims ? meta[metaKey.protocolVersion] : headers.version;
  if (claims && typeof claimed !== "string")
    return invalidEnvelope(`${metaKey.protocolVersion}: not a string`);
  if (claims && headers.version !== null && headers.version !== claimed) {
    return mismatch("MCP-Protocol-Version", headers.version, claimed);
  }
  const modern = typeof claimed === "string" && isModern(claimed);
  if (modern && headers.method !== null && headers.method !== method) {
    return mismatch("Mcp-Method", headers.method, method);
  }
  return { kind: claims || modern ? "modern" : "legacy" };
}

/** What a modern request must carry besides its envelope, checked before anything is answered from here. */
export function modernHeaderFault(
  message: Extract<RpcMessage, { kind: "request" }>,
  headers: MirrorHeaders,
): Extract<EraVerdict, { kind: "reject" }> | undefined {
  const claimed = metaOf(message.params)?.[metaKey.protocolVersion];
  if (claimed !== modernVersion) {
    // The versions that server/discover names: an era is not negotiated by this error.
    const data = { supported: [modernVersion], requested: claimed };
    return {
      kind: "reject",
      code: rpcCode.unsupportedVersion,
      message: "Unsupported protocol version",
      data,
    };
  }
  if (headers.version === null) return mismatch("MCP-Protocol-Version", null, claimed);
  if (headers.method === null) return mismatch("Mcp-Method", null, message.method);
  const source = Object.hasOwn(nameSource, message.method) ? nameSource[message.method] : undefined;
  const wanted = source === undefined ? undefined : message.params[source];
  if (typeof wanted !== "string") return undefined;
  const given = headers.name === null ? undefined : decodeMirror(headers.name);
  return given === wanted ? undefined : mismatch("Mcp-Name", headers.name, wanted);
}

/** The value of a mirrored header; `=?base64?…?=` is decoded, an invalid one is undefined. */
export function decodeMirror(value: string): string | undefined {
  if (!value.startsWith("=?base64?") || !value.endsWith("?=")) return value;
  const encoded = value.slice(9, -2);
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64") !== encoded) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The value of a mirrored header for a name that may not fit one as it is. */
export function encodeMirror(value: string): string {
  const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !value.startsWith("=?base64?");
  return plain ? value : `=?base64?${Buffer.from(value).toString("base64")}?=`;
}

/** What `Mcp-Name` has to be for this request, or undefined when it has none. */
export function mirroredName(method: string, params: JsonObject): string | undefined {
  const source = Object.hasOwn(nameSource, method) ? nameSource[method] : undefined;
  const value = source === undefined ? undefined : params[source];
  return typeof value === "string" ? value : undefined;
}

function isValidModernClaim(meta: JsonObject): boolean {
  const version = meta[metaKey.protocolVersion];
  return typeof version === "string" && isModern(version) && envelopeProblem(meta) === undefined;
}

function envelopeProblem(meta: JsonObject): string | undefined {
  const info = meta[metaKey.clientInfo];
  const level = meta[metaKey.logLevel];
  if (!(metaKey.clientCapabilities in meta)) return `${metaKey.clientCapabilities}: missing`;
  if (typeof meta[metaKey.protocolVersion] !== "string") return `${metaKey.protocolVersion}: not a string`;
  if (!isObject(meta[metaKey.clientCapabilities])) return `${metaKey.clientCapabilities}: not an object`;
  if (info !== undefined && !isImplementation(info)) return `${metaKey.clientInfo}: needs name and version`;
  if (level !== undefined && !logLevels.includes(String(level))) return `${metaKey.logLevel}: not a level`;
  return undefined;
}

function isImplementation(info: unknown): boolean {
  return isObject(info) && typeof info.name === "string" && typeof info.version === "string";
}

function invalidEnvelope(problem: string): EraVerdict {
  return { kind: "reject", code: rpcCode.invalidParams, message: `Invalid _meta envelope: ${problem}` };
}

function mismatch(header: string, given: unknown, wanted: unknown): Extract<EraVerdict, { kind: "reject" }> {
  const is = given === null ? "is missing" : `is ${JSON.stringify(given)}`;
  const message = `Header mismatch: ${header} ${is}, the body says ${JSON.stringify(wanted)}`;
  return { kind: "reject", code: rpcCode.headerMismatch, message };
}
