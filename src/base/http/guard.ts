/**
 * What a server on loopback checks before it looks at a request: who was addressed, who asks, and how large it is.
 * Pure but for reading the body. Shared by the proxy, the relay and every control server.
 */
import { createHash, timingSafeEqual } from "node:crypto";

const loopbackNames = ["127.0.0.1", "localhost", "[::1]"];

/**
 * True when `Host` is a canonical loopback literal with our port: anything else is a rebound name. Two joined
 * headers ("a, b") never match.
 */
export function isLoopbackHost(host: string | null, port: number): boolean {
  return host !== null && loopbackNames.some((name) => host === `${name}:${port}`);
}

/** True when there is no `Origin`, or it is our own address. `null` and foreign origins are not taken. */
export function isOwnOrigin(origin: string | null, port: number): boolean {
  return origin === null || loopbackNames.some((name) => origin === `http://${name}:${port}`);
}

/** True for `application/json`, with or without parameters. */
export function isJsonType(contentType: string | null | undefined): boolean {
  return contentType != null && /^\s*application\/json\s*(?:;|$)/i.test(contentType);
}

/** True for `text/event-stream`, with or without parameters. */
export function isEventStreamType(contentType: string | null | undefined): boolean {
  return contentType != null && /^\s*text\/event-stream\s*(?:;|$)/i.test(contentType);
}

/**
 * A check of `Authorization: Bearer <secret>` that takes the same time for every wrong secret of its length. The
 * text that passed last is known by heart, so that a client that repeats it is not hashed again and again.
 * @param secret what is wanted
 */
export function bearerCheck(secret: string): (authorization: string | null) => boolean {
  const wanted = sha256(secret);
  let passed = "";
  return (authorization) => {
    if (authorization === null) return false;
    if (passed !== "" && isSame(authorization, passed)) return true;
    const given = /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? "";
    const holds = timingSafeEqual(sha256(given), wanted) && given.length > 0;
    if (holds) passed = authorization;
    return holds;
  };
}

/** Equal texts; looks at every character whatever the first difference is. */
function isSame(given: string, wanted: string): boolean {
  if (given.length !== wanted.length) return false;
  let difference = 0;
  for (let at = 0; at < wanted.length; at += 1) difference |= given.charCodeAt(at) ^ wanted.charCodeAt(at);
  return difference === 0;
}

/** The checks of `Host` and `Origin` for one port, made once. */
export function loopbackCheck(port: number): {
  isHost(host: string | undefined): boolean;
  isOrigin(origin: string | undefined): boolean;
} {
  const hosts = new Set(loopbackNames.map((name) => `${name}:${port}`));
  const origins = new Set([...hosts].map((host) => `http://${host}`));
  return {
    isHost: (host) => host !== undefined && hosts.has(host),
    isOrigin: (origin) => origin === undefined || origins.has(origin),
  };
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/**
 * The body of a request, counted by ourselves; `undefined` as soon as it is larger than allowed.
 * Rejects when the peer goes away in the middle.
 */
export async function readRequestBody(request: Request, bytesMax: number): Promise<Uint8Array | undefined> {
  const announced = request.headers.get("content-length");
  if (announced !== null) {
    if (!(Number(announced) <= bytesMax)) return undefined;
    return new Uint8Array(await request.arrayBuffer());
  }
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.byteLength;
    if (size > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
