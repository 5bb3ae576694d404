/** A request as bytes. What could be read as another request than the caller meant is refused, never repaired. */
import type { HttpRequest } from "./exchange.ts";
import { tokenForm, valueForm } from "./head.ts";

const pathForm = /^\/[\x21-\x7e]*$/;
/** Fields that decide about framing or the connection; the client alone writes them. */
const reserved = new Set(["host", "content-length", "transfer-encoding", "connection", "upgrade"]);
/** Methods whose missing body is announced as empty (RFC 9110 §8.6). */
const bodyMethods = new Set(["POST", "PUT", "PATCH"]);

/** The names that most requests have, so that they need not be looked at again and again. */
const usualNames = new Set(
  "Content-Type,Accept,Authorization,MCP-Protocol-Version,Mcp-Method,Mcp-Name,Mcp-Session-Id,mcp-protocol-version,mcp-method,mcp-name".split(
    ",",
  ),
);

/** Bytes that go into the first write; copying more costs more than a second write. */
export const scratchBytes = 65_536;

/** Why the request cannot be sent as it is, or `undefined`. */
export function requestFault(request: HttpRequest): string | undefined {
  const { method, path, headers } = request;
  if (!tokenForm.test(method) || method === "CONNECT")
    return `the method is ${JSON.stringify(method)}, a token other than CONNECT was wanted`;
  if (!pathForm.test(path))
    return `the path is ${JSON.stringify(path)}, a slash and visible ASCII characters were wanted`;
  for (const [name, value] of headers) {
    if (!valueForm.test(value)) return `the header ${name} has a character that no header value may have`;
    if (usualNames.has(name)) continue;
    if (!tokenForm.test(name)) return `a header name is ${JSON.stringify(name)}, a token was wanted`;
    if (reserved.has(name.toLowerCase())) return `the header ${name} is given, but the client writes it`;
  }
  return undefined;
}

/** What goes on the wire: bytes of the room it was put together in, and the rest of a large request. */
export type RequestBytes = { size: number; rest: Uint8Array | undefined };

/**
 * Encodes a request that has no fault.
 * @param host value of the `Host` field
 * @param scratch where the first bytes are put
 */
export function encodeRequest(request: HttpRequest, host: string, scratch: Buffer): RequestBytes {
  const { method, body } = request;
  let head = `${method} ${request.path} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\n`;
  for (const [name, value] of request.headers) head += `${name}: ${value}\r\n`;
  if (body !== undefined) head += `Content-Length: ${body.byteLength}\r\n\r\n`;
  else head += bodyMethods.has(method) ? "Content-Length: 0\r\n\r\n" : "\r\n";
  const size = scratch.write(head, 0, "latin1");
  if (size < head.length) return { size, rest: joined(head.slice(size), body) };
  if (body === undefined || body.byteLength === 0) return { size, rest: undefined };
  const together = Math.min(body.byteLength, scratch.byteLength - size);
  scratch.set(together === body.byteLength ? body : body.subarray(0, together), size);
  return { size: size + together, rest: together === body.byteLength ? undefined : body.subarray(together) };
}

/** The end of a head that is larger than the room, with its body. */
function joined(head: string, body: Uint8Array | undefined): Uint8Array {
  return Buffer.concat([Buffer.from(head, "latin1"), body ?? new Uint8Array()]);
}
