/**
 * The head of an HTTP/1.1 request as a value (RFC 9112). What two parties could read as different messages is refused
 * with a status: two lengths, a length and a coding, folded lines, bare line ends, bad names, other request targets.
 */
import { type Fields, scanFields, tokenEnd } from "./fields.ts";

export type RequestHead = {
  readonly method: string;
  /** Path and query as they came; `*` for OPTIONS of the whole server. */
  readonly target: string;
  readonly fields: Fields;
  /** Bytes of the body; 0 also when it is chunked. */
  readonly length: number;
  readonly chunked: boolean;
  /** HTTP/1.1: chunked answers and interim answers are understood. */
  readonly modern: boolean;
  /** The client keeps the connection open after the answer. */
  readonly keepAlive: boolean;
  /** The client waits for 100 before it sends the body. */
  readonly expects: boolean;
};

/** Why a request cannot be read, and the status that says so. The connection cannot be used any more. */
export type HeadFault = { readonly status: 400 | 417 | 431 | 501 | 505; readonly message: string };

type Version = { modern: boolean };
const targetForm = /^(?:\/[\x21-\x7e]*|\*)$/;

/** A fault whose message quotes at most the beginning of what came. */
export function badRequest(what: string, got: string, wanted: string): HeadFault {
  const quoted = JSON.stringify(got.length > 60 ? `${got.slice(0, 60)}…` : got);
  return { status: 400, message: `Read the request: ${what} is ${quoted}, wanted ${wanted}` };
}

/**
 * Parses a head.
 * @param text the bytes before the empty line, decoded as Latin-1
 * @param fieldsMax how many fields it may have
 */
export function parseRequestHead(text: string, fieldsMax: number): RequestHead | HeadFault {
  const methodEnd = tokenEnd(text, 0);
  const cut = text.indexOf("\r\n");
  const lineEnd = cut < 0 ? text.length : cut;
  const targetEnd = text.indexOf(" ", methodEnd + 1);
  if (methodEnd === 0 || text.charCodeAt(methodEnd) !== 32 || targetEnd < 0 || targetEnd > lineEnd)
    return badRequest("the request line", text.slice(0, lineEnd), "a method, a target and a version");
  const version = versionOf(text.slice(targetEnd + 1, lineEnd));
  if ("status" in version) return version;
  const target = text.slice(methodEnd + 1, targetEnd);
  // Absolute and authority forms are for forward proxies, which this is not.
  if (!targetForm.test(target)) return badRequest("the target", target, "a path of visible ASCII characters");
  const fields = scanFields(text, cut < 0 ? text.length : cut + 2);
  if ("bad" in fields) return badRequest(fields.bad, fields.got, "a name, a colon and a value");
  if (fields.count > fieldsMax)
    return { status: 431, message: `Read the request: it has more than ${fieldsMax} fields` };
  return framed(text.slice(0, methodEnd), target, { fields, ...version });
}

function versionOf(text: string): Version | HeadFault {
  if (text === "HTTP/1.1") return { modern: true };
  if (text === "HTTP/1.0") return { modern: false };
  if (!/^HTTP\/[0-9]\.[0-9]$/.test(text)) return badRequest("the version", text, "HTTP/1.1");
  return { status: 505, message: `Read the request: its version is ${text}, wanted HTTP/1.1` };
}

/** Reads what decides about the body and the connection. */
function framed(
  method: string,
  target: string,
  { fields, modern }: Version & { fields: Fields },
): RequestHead | HeadFault {
  let length: number | undefined;
  let chunked = false;
  let hosts = 0;
  let connection = "";
  let expects = false;
  for (let index = 0; index < fields.count; index += 1) {
    switch (fields.nameLength(index)) {
      case 4:
        if (fields.isNamed(index, "host")) hosts += 1;
        break;
      case 6:
        if (!fields.isNamed(index, "expect")) break;
        if (fields.value(index).toLowerCase() !== "100-continue")
          return { status: 417, message: "Read the request: only 100-continue may be expected" };
        expects = modern;
        break;
      case 10:
        if (fields.isNamed(index, "connection")) connection += `,${fields.value(index).toLowerCase()}`;
        break;
      case 14:
        if (!fields.isNamed(index, "content-length")) break;
        if (length === undefined) length = fields.number(index);
        else length = -1;
        if (length < 0)
          return badRequest("Content-Length", fields.value(index), "a single number of at most 15 digits");
        break;
      case 17:
        if (!fields.isNamed(index, "transfer-encoding")) break;
        if (chunked || !modern)
          return badRequest("Transfer-Encoding", fields.value(index), "a single chunked");
        if (fields.value(index).toLowerCase() !== "chunked")
          return { status: 501, message: "Read the request: the only transfer coding taken is chunked" };
        chunked = true;
    }
  }
  if (chunked && length !== undefined)
    return badRequest("the framing", "Content-Length and Transfer-Encoding", "one of the two");
  if (hosts > 1 || (modern && hosts === 0))
    return badRequest("the number of Host fields", String(hosts), "1");
  const keepAlive =
    connection === "" ? modern : !has(connection, "close") && (modern || has(connection, "keep-alive"));
  return { method, target, fields, length: length ?? 0, chunked, modern, keepAlive, expects };
}

function has(connection: string, option: string): boolean {
  return connection.split(",").some((word) => word.trim() === option);
}
