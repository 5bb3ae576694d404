/**
 * Branded ids and their parsers. Pure: hashing is allowed, clocks and random sources are passed in.
 */
import { createHash, hash } from "node:crypto";

declare const brand: unique symbol;
type Branded<Kind extends string> = string & { readonly [brand]: Kind };

/** Stable id of an agent at one relay; survives renames, restarts and new tokens. */
export type AgentId = Branded<"AgentId">;
/** Identity of a relay's database. */
export type RelayId = Branded<"RelayId">;
/** Identity of one outbox store on one machine; names the lane at the relay. */
export type StoreId = Branded<"StoreId">;
/** Identity of a message: final from the moment the agent is told it. */
export type MessageId = Branded<"MessageId">;
/** A thread carries the id of its first message. */
export type ThreadId = Branded<"ThreadId">;
/** Public id (`jti`) of a token; never the secret. */
export type TokenId = Branded<"TokenId">;
/** Names one logical write of one principal, for at least `limits.outcomeRetentionMs`. */
export type IdempotencyKey = Branded<"IdempotencyKey">;

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const keyPattern = /^[\x21-\x7e]{1,200}$/;
const namePattern = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/** True for a lower-case UUID of any version. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** True for 1–200 visible ASCII characters without spaces. */
export function isIdempotencyKey(text: string): text is IdempotencyKey {
  return keyPattern.test(text);
}

/** True for an agent name: 1–64 of `a-z 0-9 . _ -`, beginning and ending with a letter or digit. */
export function isAgentName(text: string): boolean {
  return namePattern.test(text);
}

/** True for a channel: `#` and a name of the same form as an agent's. */
export function isChannelName(text: string): boolean {
  return text.startsWith("#") && isAgentName(text.slice(1));
}

/** What a message is sent to when every agent is meant. */
export const everyone = "@all";

/** What an agent name must look like, for error messages. */
export const agentNameRule =
  "1 to 64 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit";

/**
 * Trusts that `text` was parsed as an id of that kind by a schema or made by this product.
 * The one place where a string becomes an id.
 */
export function asId<Id extends string>(text: string): Id {
  return text as Id;
}

/**
 * A UUIDv7 (RFC 9562 §5.7) from a time and 10 random bytes.
 * @param nowMs wall clock, ms since 1970
 * @param random 10 random bytes
 */
export function uuidV7(nowMs: number, random: Uint8Array): string {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  for (let index = 0; index < 10; index += 1) bytes[6 + index] = random[index] ?? 0;
  return stamp(bytes, 7);
}

/** A UUIDv8 (RFC 9562 §5.8) that is a hash of the given parts; equal parts give equal ids. */
export function uuidOf(...parts: string[]): string {
  const hasher = createHash("sha256");
  for (const part of parts) hasher.update(`${part.length}:${part}`);
  return stamp(hasher.digest(), 8);
}

/** A UUID of the first 16 bytes, which it changes. */
function stamp(bytes: Buffer, version: number): string {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex", 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/**
 * A key minted for a call that brought none, and the message id it stands for: the UUID in the key.
 * @param uuid a fresh UUIDv7
 */
export function mintedKey(tool: string, uuid: string): IdempotencyKey {
  return asId(`mcp-${tool}-${uuid}`);
}

/** True when `key` is `mintedKey(tool, uuid)`; compares in place, because building that key costs several times as much. */
export function isMintedKey(key: string, tool: string, uuid: string): boolean {
  const dash = 4 + tool.length;
  const fits = key.length === dash + 1 + uuid.length && key[dash] === "-";
  return fits && key.startsWith("mcp-") && key.startsWith(tool, 4) && key.endsWith(uuid);
}

/**
 * The final id of the message that a write creates. A minted key carries it; any other key is hashed together
 * with its principal, so that two agents with the same key never share an id.
 * @param minted whether the key was made by `mintedKey` on this machine (never taken from an agent's argument)
 */
export function messageIdOf(agentId: AgentId, key: IdempotencyKey, minted: boolean): MessageId {
  return asId(minted ? key.slice(-36) : uuidOf("message", agentId, key));
}

/** SHA-256 of canonical JSON: equal arguments give equal fingerprints whatever the order of their members. */
export function fingerprint(value: unknown): string {
  return hash("sha256", canonicalJson(value), "hex");
}

/**
 * As `fingerprint({ arguments, tool })`, of a call whose arguments are at hand as JSON.
 * @param argumentsJson canonical
 */
export function callFingerprint(tool: string, argumentsJson: string): string {
  return hash("sha256", `{"arguments":${argumentsJson},"tool":${JSON.stringify(tool)}}`, "hex");
}

/** JSON text with object members sorted by name, as in RFC 8785 for the values that JSON.parse can make. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const object = value as Readonly<Record<string, unknown>>;
  let text = "";
  for (const name of Object.keys(object).sort()) {
    const member = object[name];
    if (member !== undefined)
      text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${canonicalJson(member)}`;
  }
  return `{${text}}`;
}
