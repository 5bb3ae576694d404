/**
 * The head of an HTTP/1.1 response as a value: status line, fields, and how the body is delimited (RFC 9112). Strict
 * where leniency lets two parties read different messages: folding, bare line ends, bad names, two lengths are refused.
 */
import { type Fields, scanFields } from "./fields.ts";

/** How the end of the body is found (RFC 9112 §6.3). */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

/** A parsed response head. */
export type Head = {
  readonly status: number;
  readonly fields: Fields;
  readonly framing: Framing;
  /** The peer keeps the connection open after this response. */
  readonly keepAlive: boolean;
  /** `timeout` of a `Keep-Alive` field, ms. */
  readonly idleMs: number | undefined;
};

/** The peer broke the protocol or a bound; the message names what was wrong. */
export type ParseFault = { readonly fault: "malformed" | "too-large"; readonly message: string };

/** A method or a field name (RFC 9110 §5.6.2). */
export const tokenForm = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A field value: no control character but the tab (RFC 9110 §5.5). */
export const valueForm = /^[\t\x20-\x7e\x80-\xff]*$/;
const statusLineForm = /^HTTP\/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const none: Framing = { kind: "none" };
/** What nearly every response begins with. */
const usualStart = "HTTP/1.1 200 OK\r\n";

/** A fault that quotes at most the beginning of what the peer sent. */
export function malformed(what: string, got: string, wanted: string): ParseFault {
  const quoted = JSON.stringify(got.length > 60 ? `${got.slice(0, 60)}…` : got);
  return { fault: "malformed", message: `Read the response: ${what} is ${quoted}, wanted ${wanted}` };
}

/**
 * Parses a head.
 * @param text the bytes before the empty line, decoded as Latin-1
 * @param method the method of the request: a response to HEAD has no body
 */
export function parseHead(text: string, method: string): Head | ParseFault {
  const usual = text.startsWith(usualStart);
  const cut = usual ? usualStart.length - 2 : text.indexOf("\r\n");
  const line = usual ? "" : text.slice(0, cut < 0 ? text.length : cut);
  const start = usual ? undefined : statusLineForm.exec(line);
  if (start === null) return malformed("the status line", line, "HTTP/1.0 or 1.1 and a status");
  const status = start === undefined ? 200 : Number(start[2]);
  const minor = start?.[1] ?? "1";
  const fields = scanFields(text, cut < 0 ? text.length : cut + 2);
  if ("bad" in fields) return malformed(fields.bad, fields.got, "a name, a colon and a value");
  const seen: Seen = { length: undefined, coding: undefined, connection: "", idleMs: undefined };
  for (let index = 0; index < fields.count; index += 1) {
    const fault = note(seen, fields, index);
    if (fault !== undefined) return fault;
  }
  if (seen.length !== undefined && seen.coding !== undefined)
    return malformed("the framing", "Content-Length and Transfer-Encoding", "one of the two");
  if (seen.coding !== undefined && minor === "0")
    return malformed("the framing", "Transfer-Encoding in HTTP/1.0", "HTTP/1.1");
  const keepAlive =
    minor === "1" ? !hasOption(seen.connection, "close") : hasOption(seen.connection, "keep-alive");
  return { status, fields, framing: framingOf(status, method, seen), keepAlive, idleMs: seen.idleMs };
}

type Seen = {
  length: number | undefined;
  coding: string | undefined;
  connection: string;
  idleMs: number | undefined;
};

/** Keeps what decides about framing and reuse. Lengths of names are compared first: most fields are none of these. */
function note(seen: Seen, fields: Fields, index: number): ParseFault | undefined {
  switch (fields.nameLength(index)) {
    case 10:
      if (fields.isNamed(index, "connection")) seen.connection += `,${fields.value(index).toLowerCase()}`;
      else if (fields.isNamed(index, "keep-alive")) {
        const form = /(?:^|[,;\s])timeout=([0-9]{1,9})(?:$|[,;\s])/i;
        const seconds = form.exec(fields.value(index))?.[1];
        if (seconds !== undefined) seen.idleMs = Number(seconds) * 1_000;
      }
      return undefined;
    case 14:
      return fields.isNamed(index, "content-length") ? noteLength(seen, fields, index) : undefined;
    case 17:
      return fields.isNamed(index, "transfer-encoding") ? noteCoding(seen, fields.value(index)) : undefined;
    default:
      return undefined;
  }
}

function noteLength(seen: Seen, fields: Fields, index: number): ParseFault | undefined {
  if (seen.length !== undefined) return malformed("Content-Length", fields.value(index), "a single one");
  const length = fields.number(index);
  if (length < 0) return malformed("Content-Length", fields.value(index), "1 to 15 digits");
  seen.length = length;
  return undefined;
}

function noteCoding(seen: Seen, value: string): ParseFault | undefined {
  if (seen.coding !== undefined || value.toLowerCase() !== "chunked")
    return malformed("Transfer-Encoding", value, "a single chunked");
  seen.coding = "chunked";
  return undefined;
}

function hasOption(connection: string, option: string): boolean {
  return connection !== "" && connection.split(",").some((word) => word.trim() === option);
}

function framingOf(status: number, method: string, seen: Seen): Framing {
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return none;
  if (seen.coding !== undefined) return { kind: "chunked" };
  if (seen.length === undefined) return { kind: "close" };
  return seen.length === 0 ? none : { kind: "length", length: seen.length };
}
