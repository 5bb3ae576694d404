/**
 * Policy is data: which tools are written ahead, where their key goes, which need what context. One table for the
 * relay, a JSON file for any other upstream.
 */

import { type Limits, limits } from "../limits.ts";
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

/** Bounds that a policy file may set; each only below the product's own. */
export const policyLimits = [
  "upstreamCallMs",
  "lastKnownAnswerMs",
  "writeWaitMs",
  "recordAgeMaxMs",
  "outboxRecordsMax",
  "outboxBytesMax",
] as const satisfies readonly (keyof Limits)[];

/** `relay`: our own tools, whose arguments and results are known. `foreign`: anyone's. */
export type Policy = {
  readonly kind: "relay" | "foreign";
  readonly tools: ReadonlyMap<string, ToolPolicy>;
  readonly limits: { readonly [Name in (typeof policyLimits)[number]]?: number };
};

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
  return { kind: "relay", tools: new Map(rows), limits: {} };
}

/** A policy file that cannot be used; the message names the JSON path. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** The policy of an upstream nobody told us anything about: everything passes, nothing is written ahead. */
export const openPolicy: Policy = { kind: "foreign", tools: new Map(), limits: {} };

const rowMembers = ["buffered", "drainFirst", "shownWhen", "readOnly", "key", "timeoutMs"];
const shownWhens: readonly ShownWhen[] = ["always", "isolated-worktree", "never"];

/**
 * The policy in a parsed JSON file: `{"tools": {"<name>": {buffered?, drainFirst?, shownWhen?, readOnly?, key?,
 * timeoutMs?}}, "limits": {…}}` where `key` is `"header"`, `{"argument": name}` or `{"meta": name}`; its JSON Schema is
 * docs/policy.schema.json. Throws PolicyError with the JSON path of what is wrong. A tool without a place for a key
 * is never buffered.
 */
export function parsePolicy(json: unknown): Policy {
  const file = object(json, "$");
  only(file, ["$schema", "tools", "limits"], "$");
  const rows = Object.entries(object(file.tools ?? {}, "$.tools"));
  return {
    kind: "foreign",
    tools: new Map(rows.map(([name, row]) => [name, parseRow(row, `$.tools[${JSON.stringify(name)}]`)])),
    limits: parseLimits(object(file.limits ?? {}, "$.limits")),
  };
}

function parseRow(json: unknown, path: string): ToolPolicy {
  const row = object(json, path);
  only(row, rowMembers, path);
  const keyPlace = row.key === undefined ? undefined : parseKey(row.key, `${path}.key`);
  const buffered = flag(row, "buffered", path);
  if (buffered && keyPlace === undefined) {
    throw fault(`${path}.buffered`, 'a buffered tool needs "key", the place of its idempotency key');
  }
  const shownWhen = shownWhens.find((when) => when === (row.shownWhen ?? "always"));
  if (shownWhen === undefined)
    throw wanted(`${path}.shownWhen`, row.shownWhen, `one of ${shownWhens.join(", ")}`);
  const timeoutMs =
    row.timeoutMs === undefined
      ? undefined
      : whole(row.timeoutMs, `${path}.timeoutMs`, limits.upstreamCallMs);
  const readOnly = flag(row, "readOnly", path);
  return { buffered, drainFirst: flag(row, "drainFirst", path), shownWhen, readOnly, keyPlace, timeoutMs };
}

function parseLimits(given: JsonObject): Policy["limits"] {
  only(given, policyLimits, "$.limits");
  const named = policyLimits.filter((name) => given[name] !== undefined);
  return Object.fromEntries(
    named.map((name) => [name, whole(given[name], `$.limits.${name}`, limits[name])]),
  );
}

function parseKey(json: unknown, path: string): KeyPlace {
  if (json === "header") return { in: "header" };
  if (isObject(json) && Object.keys(json).length === 1) {
    if (typeof json.argument === "string" && json.argument !== "")
      return { in: "argument", name: json.argument };
    if (typeof json.meta === "string" && json.meta !== "") return { in: "meta", name: json.meta };
  }
  throw wanted(path, json, '"header", {"argument": name} or {"meta": name}');
}

function fault(path: string, words: string): PolicyError {
  return new PolicyError(path, `${path}: ${words}`);
}

function wanted(path: string, is: unknown, wish: string): PolicyError {
  return fault(path, `is ${JSON.stringify(is)}, wanted ${wish}`);
}

function object(json: unknown, path: string): JsonObject {
  if (!isObject(json)) throw wanted(path, json, "an object");
  return json;
}

function only(json: JsonObject, members: readonly string[], path: string): void {
  const unknown = Object.keys(json).find((name) => !members.includes(name));
  if (unknown !== undefined)
    throw fault(`${path}.${unknown}`, `is not known; wanted one of ${members.join(", ")}`);
}

function flag(row: JsonObject, name: string, path: string): boolean {
  const value = row[name] ?? false;
  if (typeof value !== "boolean") throw wanted(`${path}.${name}`, value, "true or false");
  return value;
}

function whole(value: unknown, path: string, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value > 0 && value <= most) return value;
  throw wanted(path, value, `a whole number from 1 to ${most}`);
}
