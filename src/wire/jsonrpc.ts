/**
 * One JSON-RPC message per body (MCP forbids batches). Whoever decides on the parsed form and forwards the bytes
 * must not be fooled by what other parsers read differently: bad UTF-8, duplicate or case-variant members and deep
 * nesting are refused, and the id is kept as it was written.
 */

/** Error codes of JSON-RPC 2.0 §5.1 and MCP 2026-07-28 basic §Error Codes, plus our own for a wrong secret. */
export const rpcCode = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
  proxyAuthRequired: -32001,
} as const;

export type JsonObject = Record<string, unknown>;
/** The id as JSON text, exactly as it came: `7`, `"a"`, `12345678901234567890`. */
export type RawId = string;

export type RpcRequest = { kind: "request"; id: RawId; method: string; params: JsonObject };
export type RpcNotification = { kind: "notification"; method: string; params: JsonObject };
/** An answer posted by the client to a request of the server. */
export type RpcPostedResponse = { kind: "response"; id: RawId };
export type RpcMessage = RpcRequest | RpcNotification | RpcPostedResponse;

/** Why a body is not taken. `id` when it can be read without doubt. */
export type RpcFault = { kind: "fault"; code: number; message: string; id: RawId | undefined };

const watchedTop = ["jsonrpc", "method", "params", "id"];
const watchedParams = ["name", "arguments", "_meta", "uri"];
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** True for an object that is neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Parses the body of one POST.
 * @param depthMax deepest accepted nesting of objects and arrays
 */
export function parseBody(bytes: Uint8Array, depthMax: number): RpcMessage | RpcFault {
  let text: string;
  try {
    text = strictUtf8.decode(bytes);
  } catch {
    return fault(rpcCode.parse, "The body is not valid UTF-8");
  }
  const members = scan(text, depthMax);
  if (members === "too deep") return fault(rpcCode.parse, `The body nests deeper than ${depthMax} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fault(rpcCode.parse, "The body is not valid JSON");
  }
  if (Array.isArray(value)) return fault(rpcCode.invalidRequest, "Batches are not taken: send one message");
  if (!isObject(value)) return fault(rpcCode.invalidRequest, "The body must be one JSON object");
  if (members.refused !== undefined) return fault(rpcCode.invalidRequest, members.refused, members.id);
  return shape(value, members.id);
}

function fault(code: number, message: string, id?: RawId): RpcFault {
  return { kind: "fault", code, message, id };
}

function shape(value: JsonObject, id: RawId | undefined): RpcMessage | RpcFault {
  const known = isId(value.id) ? id : undefined;
  if (value.jsonrpc !== "2.0")
    return fault(rpcCode.invalidRequest, 'The member jsonrpc must be "2.0"', known);
  if ("id" in value && !isId(value.id)) {
    return fault(rpcCode.invalidRequest, "The id must be a string or a whole number");
  }
  if (typeof value.method !== "string") {
    if (("result" in value || "error" in value) && known !== undefined)
      return { kind: "response", id: known };
    return fault(rpcCode.invalidRequest, "The message has neither a method nor a result", known);
  }
  if ("result" in value || "error" in value) {
    return fault(rpcCode.invalidRequest, "The message has both a method and a result", known);
  }
  const params = value.params ?? {};
  if (!isObject(params)) return fault(rpcCode.invalidRequest, "The params must be an object", known);
  if (known === undefined) return { kind: "notification", method: value.method, params };
  return { kind: "request", id: known, method: value.method, params };
}

function isId(value: unknown): boolean {
  return typeof value === "string" || (typeof value === "number" && Number.isInteger(value));
}

/** Index of the quote that closes the string opened at `start`, or -1. */
function stringEnd(text: string, start: number): number {
  let at = start;
  for (;;) {
    at = text.indexOf('"', at + 1);
    if (at < 0) return -1;
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes += 1;
    if (slashes % 2 === 0) return at;
  }
}

type Members = { id: RawId | undefined; refused: string | undefined };

/**
 * Walks over a text once: how deep it nests, and the names of the members of the message and of its params. Strings
 * are skipped in leaps. What it says of the members holds when the text is valid JSON and an object.
 */
function scan(text: string, depthMax: number): Members | "too deep" {
  let id: RawId | undefined;
  let refused: string | undefined;
  let ids = 0;
  /** The watched members that were there, as bits. */
  let top = 0;
  let inner = 0;
  let depth = 0;
  let inParams = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      const end = stringEnd(text, at);
      if (end < 0) break;
      const isTop = depth === 1;
      const colon = isTop || (depth === 2 && inParams) ? nextColon(text, end + 1) : -1;
      if (colon < 0) {
        at = end;
        continue;
      }
      const name = memberName(text, at, end);
      const value = valueStart(text, colon + 1);
      // Negative for a name that is not watched: a shift by -1 sets the sign.
      const bit = 1 << (isTop ? watchedTop : watchedParams).indexOf(name);
      if (bit < 0) refused ??= otherwiseWritten(name, isTop ? watchedTop : watchedParams);
      else if (((isTop ? top : inner) & bit) !== 0)
        refused ??= `The member ${JSON.stringify(name)} appears twice`;
      else if (isTop) top |= bit;
      else inner |= bit;
      if (isTop) {
        inParams = name === "params" && text.charCodeAt(value) === 0x7b;
        if (name === "id") {
          id = rawValue(text, value);
          ids += 1;
        }
      }
      at = value - 1;
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > depthMax) return "too deep";
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
      if (depth === 1) inParams = false;
    }
  }
  return { id: ids === 1 ? id : undefined, refused };
}

function memberName(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end);
  if (!raw.includes("\\")) return raw;
  try {
    return String(JSON.parse(`"${raw}"`));
  } catch {
    // The text is not valid JSON, which its parser will say.
    return raw;
  }
}

/** Why a name that is none of the watched ones is refused: other parsers could take it for one. */
function otherwiseWritten(name: string, watched: readonly string[]): string | undefined {
  // Nothing to fold.
  if (/^[a-z_]*$/.test(name)) return undefined;
  // Upper case first: it also folds letters that other parsers take for ASCII ones, such as U+017F for "s".
  const folded = name.toUpperCase().toLowerCase();
  if (!watched.includes(folded)) return undefined;
  return `The member ${JSON.stringify(name)} must be written ${JSON.stringify(folded)}`;
}

/** Index of the colon when the string that ended before `at` is a member name, else -1. */
function nextColon(text: string, at: number): number {
  const next = valueStart(text, at);
  return text.charCodeAt(next) === 0x3a ? next : -1;
}

function valueStart(text: string, from: number): number {
  let at = from;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
    at += 1;
  }
}

/** The text of a scalar value that begins at `at`. */
function rawValue(text: string, at: number): string | undefined {
  if (text.charCodeAt(at) === 0x22) return text.slice(at, stringEnd(text, at) + 1);
  const match = /^-?\d[\d.eE+-]*/.exec(text.slice(at, at + 400));
  return match?.[0];
}

/** The text of a response with a result. */
export function resultText(id: RawId, result: JsonObject): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(result)}}`;
}

/** The text of an error response. */
export function errorText(id: RawId, error: { code: number; message: string; data?: unknown }): string {
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`;
}

/** The text of a request. */
export function requestText(id: RawId, method: string, params: JsonObject): string {
  return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`;
}

/** The text of a notification. */
export function notificationText(method: string, params?: JsonObject): string {
  const tail = params === undefined ? "" : `,"params":${JSON.stringify(params)}`;
  return `{"jsonrpc":"2.0","method":${JSON.stringify(method)}${tail}}`;
}
