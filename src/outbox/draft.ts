/** From a tool call to the record that would be stored: its key, its final message id, what is sent. Pure. */
import type { Limits } from "../limits.ts";
import {
  type AgentId,
  asId,
  callFingerprint,
  canonicalJson,
  type IdempotencyKey,
  messageIdOf,
  mintedKey,
  uuidOf,
} from "../wire/id.ts";
import type { LaneRecord } from "../wire/lane.ts";
import type { WriteCall } from "../wire/write.ts";
import { checksumOfNew } from "./checksum.ts";
import type { KeyOrigin } from "./reissue.ts";
import type { NewRecord } from "./rows.ts";

/** What the outbox asks of the cached directory and inbox. */
export type Directory = {
  /** Stable id of the agent that has this name now. */
  recipientId?: ((name: string) => string | undefined) | undefined;
  /** Sender and thread of a message this agent has received. */
  parentOf?: ((messageId: string) => { from: string; threadId: string } | undefined) | undefined;
};

export type Draft = { record: NewRecord; payload: LaneRecord };

export type DraftFacts = Pick<NewRecord, "parallel" | "attemptNow"> & {
  agentId: AgentId;
  /** Wall clock, ms since 1970. */
  now: number;
  /** A new UUIDv7, used when the call brings neither key nor call id. */
  freshUuid: string;
  directory: Directory;
};

/** The record of a call, and what is sent of it. */
export function draftOf(call: WriteCall, facts: DraftFacts): Draft {
  const { agentId, now, freshUuid, directory, parallel, attemptNow } = facts;
  const { tool, callId, trace } = call;
  // One text is stored and, with the tool around it, hashed.
  const argumentsJson = canonicalJson(call.arguments);
  const fingerprint = callFingerprint(tool, argumentsJson);
  const [key, origin] = keyOf(call, freshUuid, fingerprint);
  const messageId = messageIdOf(agentId, key, origin === "minted");
  const { to, messageId: parentId } = call.arguments;
  const recipient = typeof to === "string" ? to : undefined;
  const recipientId = recipient === undefined ? undefined : directory.recipientId?.(recipient);
  const parent = typeof parentId === "string" ? directory.parentOf?.(parentId) : undefined;
  const record: NewRecord = {
    key,
    origin,
    messageId,
    tool,
    fingerprint,
    callId,
    parallel,
    argumentsJson,
    bytes: Buffer.byteLength(argumentsJson),
    to: recipient,
    recipientId,
    parent,
    trace,
    now,
    checksum: "",
    attemptNow,
  };
  record.checksum = checksumOfNew(record);
  const enqueuedAt = new Date(now).toISOString();
  const payload: LaneRecord = { key, messageId, tool, arguments: call.arguments, enqueuedAt };
  if (recipientId !== undefined) payload.recipientId = recipientId;
  if (parent !== undefined) payload.parent = parent;
  if (trace !== undefined) payload.trace = trace;
  return { record, payload };
}

/** The agent's own key, else one that the same logical call gives again, else a new one. */
export function keyOf(
  call: WriteCall,
  freshUuid: string,
  print = callFingerprint(call.tool, canonicalJson(call.arguments)),
): [IdempotencyKey, KeyOrigin] {
  if (call.key !== undefined) return [call.key, "own"];
  if (call.callId === undefined) return [mintedKey(call.tool, freshUuid), "minted"];
  return [asId(`call-${uuidOf("call", call.callId, call.tool, print)}`), "call"];
}

/** Why a draft cannot be stored whatever the store says; undefined when it can. */
export function refusalOf(draft: Draft, limits: Limits): string | undefined {
  const { bytes } = draft.record;
  if (bytes <= limits.recordBytesMax) return undefined;
  return `payload_too_large: the arguments have ${bytes} bytes, at most ${limits.recordBytesMax} were wanted`;
}
