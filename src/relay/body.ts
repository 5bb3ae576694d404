/** Request bodies: JSON only, counted while they arrive, decoded strictly, and not deeper than allowed. */
import type { Clock } from "../base/clock.ts";
import { isJsonType, readRequestBody } from "../base/http/guard.ts";
import { limits } from "../limits.ts";
import { RelayError } from "../wire/error.ts";
import { within } from "./time.ts";

/**
 * The JSON value of a request's body; undefined when there is none.
 * @throws RelayError unsupported_media_type, too_large, too_slow, bad_request
 */
export async function readJson(clock: Clock, request: Request): Promise<unknown> {
  const bytes = await read(clock, request);
  if (bytes === undefined) {
    throw new RelayError(
      "too_large",
      `Read the body: it is larger than ${limits.relayRequestBytesMax} bytes, which is the most`,
    );
  }
  if (bytes.byteLength === 0) return undefined;
  const type = request.headers.get("content-type");
  if (!isJsonType(type)) {
    throw new RelayError(
      "unsupported_media_type",
      `Read the body: its type is '${(type ?? "not given").slice(0, 100)}', application/json was wanted`,
    );
  }
  const value = parse(bytes);
  if (!isShallow(value, limits.jsonDepthMax)) {
    throw new RelayError(
      "bad_request",
      `Read the body: it nests deeper than ${limits.jsonDepthMax} levels, which is the most`,
    );
  }
  return value;
}

/** True when arrays and objects nest at most `depthMax` levels. */
export function isShallow(value: unknown, depthMax: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (depthMax === 0) return false;
  const members = Array.isArray(value) ? value : Object.values(value);
  return members.every((member) => isShallow(member, depthMax - 1));
}

/** A body that drips in keeps its connection busy for `requestReadMs` and no longer. */
async function read(clock: Clock, request: Request): Promise<Uint8Array | undefined> {
  const ms = limits.requestReadMs;
  const late = () => new RelayError("too_slow", `Read the body: it was not complete within ${ms} ms`);
  const bytes = await within(
    clock,
    { ms, late },
    readRequestBody(request, limits.relayRequestBytesMax),
  ).catch((thrown: unknown) => {
    if (thrown instanceof RelayError) throw thrown;
    throw new RelayError("bad_request", "Read the body: the connection ended in the middle", {
      cause: thrown,
    });
  });
  return bytes;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new RelayError("bad_request", "Read the body: it is not JSON in UTF-8", { cause });
  }
}
