/** A request as bytes. What could be read as another request than the caller meant is refused, never repaired. */
import type { HttpRequest } from "./exchange.ts";
import { tokenForm, valueForm } from "./head.ts";

const pathForm = /^\/[\x21-\x7e]*$/;
/** Fields that decide about framing or the connection; the client alone writes them. */
const reserved = new Set(["host", "content-length", "transfer-encoding", "connection", "upgrade"]);
/** Methods whose missing body is announced as empty (RFC 9110 §8.6). */
const bodyMethods = new Set(["POST", "PUT", "PATCH"]);

/** Body bytes that go into the same write as the head; copying more costs more than a second write. */
export const firstWriteBodyBytes = 65_536;

/** Why the request cannot be sent as it is, or `undefined`. */
export function requestFault(request: HttpRequest): string | undefined {
  const { method, path, headers } = request;
  if (!tokenForm.test(method) || method === "CONNECT")
    return `the method is ${JSON.stringify(method)}, a token other than CONNECT was wanted`;
  if (!pathForm.test(path))
    return `the path is ${JSON.stringify(path)}, a slash and visible ASCII characters were wanted`;
  for (const [name, value] of headers) {
    if (!tokenForm.test(name)) return `a header name is ${JSON.stringify(name)}, a token was wanted`;
    if (!valueForm.test(value)) return `the header ${name} has a character that no header value may have`;
    if (reserved.has(name.toLowerCase())) return `the header ${name} is given, but the client writes it`;
  }
  return undefined;
}

/** What goes on the wire: the first write, and the rest of a large body. */
export type RequestBytes = { first: Buffer; rest: Uint8Array | undefined };

/**
 * Encodes a request that has no fault.
 * @param host value of the `Host` field
 */
export function encodeRequest(request: HttpRequest, host: string): RequestBytes {
  const { method, body } = request;
  let head = `${method} ${request.path} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\n`;
  for (const [name, value] of request.headers) head += `${name}: ${value}\r\n`;
  if (body !== undefined) head += `Content-Length: ${body.byteLength}\r\n\r\n`;
  else head += bodyMethods.has(method) ? "Content-Length: 0\r\n\r\n" : "\r\n";
  if (body === undefined || body.byteLength === 0)
    return { first: Buffer.from(head, "latin1"), rest: undefined };
  const together = Math.min(body.byteLength, firstWriteBodyBytes);
  const first = Buffer.allocUnsafe(head.length + together);
  first.write(head, 0, "latin1");
  first.set(together === body.byteLength ? body : body.subarray(0, together), head.length);
  return { first, rest: together === body.byteLength ? undefined : body.subarray(together) };
}
