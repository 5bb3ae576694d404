/**
 * What becomes of a write: pure decisions that every twin of the store shares. A twin reads the write, looks up
 * the facts it asks for, lets `decideWrite` judge, and does what the decision says in one transaction.
 */

import type { ErrorCode } from "../wire/error.ts";
import { type AgentId, asId, fingerprint, type MessageId, type ThreadId } from "../wire/id.ts";
import type { LaneOutcome } from "../wire/lane.ts";
import { receipt, receiptResult } from "../wire/receipt.ts";
import type { Scope } from "../wire/scope.ts";
import { argumentFault, type ToolInput, type ToolName, toolTable } from "../wire/tools.ts";
import type { Write } from "./store.ts";

/** A tool whose calls an outbox may keep and deliver. */
export type WriteTool = {
  [Name in ToolName]: (typeof toolTable)[Name]["buffered"] extends true ? Name : never;
}[ToolName];

/** A permanent no, with the sentence that tells the sender why. */
export type Rejection = { status: "rejected"; code: ErrorCode; detail: string };

/** A write as its arguments say it: what has to be looked up before it can be judged. */
export type ReadWrite = {
  status: "read";
  tool: WriteTool;
  body: string;
  expectsReply: boolean;
  /** The message replied to. */
  parentId: MessageId | undefined;
  /** Name of the recipient; for a reply only what its record says, used when the parent is not known here. */
  to: string | undefined;
  /** Thread asked for; for a reply only what its record says. */
  threadId: ThreadId | undefined;
};

/** Who gets a message. */
export type Recipient = { id: AgentId; name: string };

/** The message replied to, as the replier stands to it. */
export type ParentFacts = {
  sender: Recipient;
  threadId: ThreadId;
  /** It is in the inbox of the replier. */
  received: boolean;
  /** The reply that the replier owes for it. */
  obligation: "none" | "open" | "closed";
};

export type WriteFacts = {
  sender: AgentId;
  /** Another write owns the message id. */
  messageIdTaken: boolean;
  /** Who holds the name `to` now. */
  recipient: Recipient | undefined;
  parent: ParentFacts | undefined;
};

/** A message to store for one recipient. */
export type NewMessage = {
  id: MessageId;
  sender: AgentId;
  recipient: Recipient;
  threadId: ThreadId;
  replyTo: MessageId | undefined;
  /** The obligation it answers had already ended. */
  late: boolean;
  /** Opens an obligation: the recipient owes the sender a reply. */
  expectsReply: boolean;
  /** Closes the obligation of the sender for `replyTo`. */
  discharges: boolean;
  body: string;
};
export type Decision = { status: "commit"; message: NewMessage } | Rejection;

type Reader = (write: Write) => ReadWrite | Rejection;
const readers: Record<WriteTool, Reader> = {
  relay_send_message: reader("relay_send_message", (input) => ({
    body: input.body,
    expectsReply: input.expectsReply === true,
    parentId: undefined,
    to: input.to,
    threadId: input.threadId === undefined ? undefined : asId(input.threadId),
  })),
  relay_reply: reader("relay_reply", (input, write) => ({
    body: input.body,
    expectsReply: false,
    parentId: asId(input.messageId),
    to: write.parent?.from,
    threadId: write.parent === undefined ? undefined : asId(write.parent.threadId),
  })),
};

/**
 * Reads a write whose key is not remembered: its age, tool, scope and arguments.
 * @param now when it is judged, ms since 1970
 */
export function readWrite(
  write: Write,
  rights: { scopes: readonly Scope[]; keyWindowMs: number },
  now: number,
): ReadWrite | Rejection {
  const enqueuedAt = Date.parse(write.enqueuedAt);
  if (Number.isNaN(enqueuedAt)) {
    return rejected("bad_request", `Apply a write: enqueuedAt "${write.enqueuedAt}" is not an ISO 8601 time`);
  }
  if (now - enqueuedAt > rights.keyWindowMs) {
    return rejected(
      "key_expired",
      `Apply a write made at ${write.enqueuedAt}: keys are remembered for ${rights.keyWindowMs} ms, it is older`,
    );
  }
  if (!Object.hasOwn(readers, write.tool)) {
    const wanted = Object.keys(readers).join(" or ");
    return rejected("bad_request", `Apply a write: the tool is "${write.tool}", ${wanted} was wanted`);
  }
  const tool = write.tool as WriteTool;
  const { scope } = toolTable[tool];
  if (!rights.scopes.includes(scope)) {
    return rejected("forbidden", `${tool} needs the scope ${scope}, which the sender does not have`);
  }
  return readers[tool](write);
}

/** Judges a write that was read, by the facts. The order of the checks is the order of what a sender can act on. */
export function decideWrite(write: Write, read: ReadWrite, facts: WriteFacts): Decision {
  if (facts.messageIdTaken) {
    return rejected("id_taken", `Store message ${write.messageId}: the id belongs to another write`);
  }
  const fault = read.parentId === undefined ? undefined : parentFault(read.parentId, read, facts);
  if (fault !== undefined) return fault;
  const recipient = facts.parent?.sender ?? facts.recipient;
  if (recipient === undefined) {
    return rejected("recipient_unknown", `Send to "${read.to ?? ""}": there is no agent of that name`);
  }
  if (write.recipientId !== undefined && write.recipientId !== recipient.id) {
    return rejected(
      "recipient_replaced",
      `Send to "${recipient.name}": the name belongs to agent ${recipient.id} now, ${write.recipientId} was meant`,
    );
  }
  const obligation = facts.parent?.obligation ?? "none";
  return {
    status: "commit",
    message: {
      id: write.messageId,
      sender: facts.sender,
      recipient,
      threadId: facts.parent?.threadId ?? read.threadId ?? asId<ThreadId>(write.messageId),
      replyTo: read.parentId,
      late: obligation === "closed",
      expectsReply: read.expectsReply,
      discharges: obligation === "open",
      body: read.body,
    },
  };
}

/** Equal for writes that ask for the same: tool and arguments without the key that names them. */
export function writeFingerprint(write: Write): string {
  const { idempotencyKey: _, ...named } = write.arguments;
  return fingerprint({ tool: write.tool, arguments: named });
}

/** The outcome of a write that was committed now. */
export function committedOutcome(write: Write, threadId: ThreadId): LaneOutcome {
  const { key, messageId, tool } = write;
  const result = receiptResult(receipt({ delivery: "sent", tool, key, messageId, threadId }));
  return { status: "committed", key, result, replayed: false };
}

/** The outcome of a write that was refused now. */
export function rejectedOutcome(write: Write, rejection: Rejection): LaneOutcome {
  return { ...rejection, key: write.key };
}

/** The outcome of a write whose key is remembered. */
export function rememberedOutcome(
  write: Write,
  stored: { fingerprint: string; outcome: LaneOutcome },
  presented: string,
): LaneOutcome {
  if (stored.fingerprint !== presented) {
    return rejectedOutcome(
      write,
      rejected("key_reused", `Apply a write: the key "${write.key}" was used with another tool or arguments`),
    );
  }
  return replayed(stored.outcome);
}

/** A remembered outcome as it is answered: nothing was done now. */
export function replayed(outcome: LaneOutcome): LaneOutcome {
  return outcome.status === "committed" ? { ...outcome, replayed: true } : outcome;
}

/**
 * True when an outcome is stored under its key. A record that is too old is answered from its age alone, so
 * that its key does not stay taken.
 */
export function isRemembered(outcome: LaneOutcome): boolean {
  return outcome.status === "committed" || (outcome.status === "rejected" && outcome.code !== "key_expired");
}

function reader<Name extends WriteTool>(
  name: Name,
  take: (input: ToolInput<Name>, write: Write) => Omit<ReadWrite, "status" | "tool">,
): Reader {
  return (write) => {
    const parsed = toolTable[name].input.safeParse(write.arguments);
    if (!parsed.success) return rejected("bad_request", `${name}: ${argumentFault(parsed.error)}`);
    // The schema of this row made it; TypeScript does not follow the name through the union of rows.
    return { status: "read", tool: name, ...take(parsed.data as ToolInput<Name>, write) };
  };
}

function parentFault(parentId: MessageId, read: ReadWrite, facts: WriteFacts): Rejection | undefined {
  const { parent } = facts;
  if (parent === undefined) {
    // A relay that lost the parent can still place a reply that says where it belongs.
    if (read.to !== undefined && read.threadId !== undefined) return undefined;
    return rejected("parent_unknown", `Reply to message ${parentId}: it is not in your inbox`);
  }
  if (parent.received) return undefined;
  if (parent.sender.id === facts.sender) {
    return rejected(
      "bad_request",
      `Reply to message ${parentId}: you sent it yourself, a message from your inbox was wanted`,
    );
  }
  return rejected("parent_unknown", `Reply to message ${parentId}: it is not in your inbox`);
}

function rejected(code: ErrorCode, detail: string): Rejection {
  return { status: "rejected", code, detail };
}
