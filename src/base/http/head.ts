/**
 * The head of an HTTP/1.1 response as a value: status line, fields, and how the body is delimited (RFC 9112). Strict
 * where leniency lets two parties read different messages: folding, bare line ends, bad names, two lengths are refused.
 */

/** How the end of the body is found (RFC 9112 §6.3). */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

export type Field = readonly [name: string, value: string];

/** A parsed response head. */
export type Head = {
  readonly status: number;
  /** Names in lower case, values without surrounding blanks. */
  readonly fields: readonly Field[];
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
/** At most 15 digits, so that the number is exact. */
const lengthForm = /^[0-9]{1,15}$/;
const none: Framing = { kind: "none" };

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
  const lines = text.split("\r\n");
  const first = lines[0] ?? "";
  const start = statusLineForm.exec(first);
  if (start === null) return malformed("the status line", first, "HTTP/1.0 or 1.1 and a status");
  const status = Number(start[2]);
  const fields: Field[] = [];
  const seen: Seen = { length: undefined, coding: undefined, connection: "", idleMs: undefined };
  for (let index = 1; index < lines.length; index += 1) {
    const field = parseField(lines[index] ?? "");
    if ("fault" in field) return field;
    const fault = note(seen, field);
    if (fault !== undefined) return fault;
    fields.push(field);
  }
  if (seen.length !== undefined && seen.coding !== undefined)
    return malformed("the framing", "Content-Length and Transfer-Encoding", "one of the two");
  if (seen.coding !== undefined && start[1] === "0")
    return malformed("the framing", "Transfer-Encoding in HTTP/1.0", "HTTP/1.1");
  const keepAlive =
    start[1] === "1" ? !hasOption(seen.connection, "close") : hasOption(seen.connection, "keep-alive");
  return { status, fields, framing: framingOf(status, method, seen), keepAlive, idleMs: seen.idleMs };
}

/** Parses one field line of a head or a trailer, without its line end. */
export function parseField(line: string): Field | ParseFault {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  // A folded line begins with a blank, so its name is not a token either.
  if (colon < 0 || !tokenForm.test(name)) return malformed("a field", line, "a name, a colon and a value");
  const value = line.slice(colon + 1);
  if (!valueForm.test(value))
    return malformed(`the field ${name}`, value, "a value without control characters");
  return [name.toLowerCase(), withoutBlanks(value)];
}

/** Not `trim`: that would also take the no-break space, which is a character of the value. */
function withoutBlanks(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isBlank(value.charCodeAt(start))) start += 1;
  while (end > start && isBlank(value.charCodeAt(end - 1))) end -= 1;
  return value.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

type Seen = {
  length: number | undefined;
  coding: string | undefined;
  connection: string;
  idleMs: number | undefined;
};

/** Keeps what decides about framing and reuse. */
function note(seen: Seen, [name, value]: Field): ParseFault | undefined {
  if (name === "content-length") {
    if (seen.length !== undefined) return malformed("Content-Length", value, "a single one");
    if (!lengthForm.test(value)) return malformed("Content-Length", value, "1 to 15 digits");
    seen.length = Number(value);
  } else if (name === "transfer-encoding") {
    if (seen.coding !== undefined || value.toLowerCase() !== "chunked")
      return malformed("Transfer-Encoding", value, "a single chunked");
    seen.coding = "chunked";
  } else if (name === "connection") {
    seen.connection += `,${value.toLowerCase()}`;
  } else if (name === "keep-alive") {
    const seconds = /(?:^|[,;\s])timeout=([0-9]{1,9})(?:$|[,;\s])/i.exec(value)?.[1];
    if (seconds !== undefined) seen.idleMs = Number(seconds) * 1_000;
  }
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
