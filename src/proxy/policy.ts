/**
 * Policy is data: which tools are written ahead, where their key goes, which need what context. One table for the
 * relay, a JSON file for any other upstream.
 */

import { isObject, type JsonObject } from "../wire/jsonrpc.ts";
import { type ShownWhen, type ToolName, toolTable } from "../wire/tools.ts";

/** Where an upstream wants the idempotency key of a call. */
export type KeyPlace =
  | { readonly in: "argument"; readonly name: string }
  | { readonly in: "meta"; readonly name: string }
  | { readonly in: "header" };

export type ToolPolicy = {
  /** Written ahead to the outbox and delivered in order. */
  readonly buffered: boolean;
  /** Must not overtake queued writes. */
  readonly drainFirst: boolean;
  readonly shownWhen: ShownWhen;
  /** Has no effect, so that it may be sent again and is cancelled when the agent goes away. */
  readonly readOnly: boolean;
  readonly keyPlace: KeyPlace | undefined;
  /** A call may take this long, ms; undefined = `limits.upstreamCallMs`. */
  readonly timeoutMs: number | undefined;
};

/** `relay`: our own tools, whose arguments and results are known. `foreign`: anyone's. */
export type Policy = { readonly kind: "relay" | "foreign"; readonly tools: ReadonlyMap<string, ToolPolicy> };

/** The policy of the relay, made from the table of its tools. */
export function relayPolicy(): Policy {
  const rows = (Object.keys(toolTable) as ToolName[]).map((name): [string, ToolPolicy] => {
    const { buffered, drainFirst, shownWhen, readOnly } = toolTable[name];
    const keyPlace: KeyPlace | undefined = buffered
      ? { in: "argument", name: "idempotencyKey" }
      : readOnly
        ? undefined
        : { in: "header" };
    return [name, { buffered, drainFirst, shownWhen, readOnly, keyPlace, timeoutMs: undefined }];
  });
  return { kind: "relay", tools: new Map(rows) };
}

/** A policy file that cannot be used; the message begins with the JSON path. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
}

/** The policy of an upstream nobody told us anything about: everything passes, nothing is written ahead. */
export const openPolicy: Policy = { kind: "foreign", tools: new Map() };

const rowMembers = ["buffered", "drainFirst", "shownWhen", "readOnly", "key", "timeoutMs"];

/**
 * The policy in a parsed JSON file: `{"tools": {"<name>": {buffered?, drainFirst?, shownWhen?, readOnly?, key?,
 * timeoutMs?}}}` where `key` is `"header"`, `{"argument": name}` or `{"meta": name}`.
 * Throws PolicyError with the JSON path of what is wrong. A tool without a place for a key is never buffered.
 */
export function parsePolicy(json: unknown): Policy {
  const file = object(json, "$");
  only(file, ["tools"], "$");
  const tools = object(file.tools ?? {}, "$.tools");
  return {
    kind: "foreign",
    tools: new Map(
      Object.entries(tools).map(([name, row]) => [name, parseRow(row, `$.tools[${JSON.stringify(name)}]`)]),
    ),
  };
}

function parseRow(json: unknown, path: string): ToolPolicy {
  const row = object(json, path);
  only(row, rowMembers, path);
  const keyPlace = row.key === undefined ? undefined : parseKey(row.key, `${path}.key`);
  const buffered = flag(row, "buffered", path);
  if (buffered && keyPlace === undefined) {
    throw new PolicyError(`${path}.buffered: a buffered tool needs "key", the place of its idempotency key`);
  }
  const shownWhen = row.shownWhen ?? "always";
  if (shownWhen !== "always" && shownWhen !== "isolated-worktree") {
    throw new PolicyError(
      `${path}.shownWhen: is ${JSON.stringify(shownWhen)}, wanted "always" or "isolated-worktree"`,
    );
  }
  const timeoutMs = row.timeoutMs;
  if (timeoutMs !== undefined && !(typeof timeoutMs === "number" && timeoutMs > 0)) {
    throw new PolicyError(
      `${path}.timeoutMs: is ${JSON.stringify(timeoutMs)}, wanted a number of ms above 0`,
    );
  }
  const readOnly = flag(row, "readOnly", path);
  return { buffered, drainFirst: flag(row, "drainFirst", path), shownWhen, readOnly, keyPlace, timeoutMs };
}

function parseKey(json: unknown, path: string): KeyPlace {
  if (json === "header") return { in: "header" };
  if (isObject(json) && Object.keys(json).length === 1) {
    if (typeof json.argument === "string") return { in: "argument", name: json.argument };
    if (typeof json.meta === "string") return { in: "meta", name: json.meta };
  }
  throw new PolicyError(
    `${path}: is ${JSON.stringify(json)}, wanted "header", {"argument": name} or {"meta": name}`,
  );
}

function object(json: unknown, path: string): JsonObject {
  if (!isObject(json)) throw new PolicyError(`${path}: is ${JSON.stringify(json)}, wanted an object`);
  return json;
}

function only(json: JsonObject, members: readonly string[], path: string): void {
  const unknown = Object.keys(json).find((name) => !members.includes(name));
  if (unknown !== undefined) {
    throw new PolicyError(`${path}.${unknown}: is not known; wanted one of ${members.join(", ")}`);
  }
}

function flag(row: JsonObject, name: string, path: string): boolean {
  const value = row[name] ?? false;
  if (typeof value !== "boolean") {
    throw new PolicyError(`${path}.${name}: is ${JSON.stringify(value)}, wanted true or false`);
  }
  return value;
}
