/**
 * What becomes of a write: pure decisions that every twin of the store shares. A twin reads the write, looks up
 * the facts it asks for, lets `decideWrite` judge, and does what the decision says in one transaction.
 */

import { limits } from "../limits.ts";
import type { ErrorCode } from "../wire/error.ts";
import {
  type AgentId,
  asId,
  everyone,
  fingerprint,
  isChannelName,
  type MessageId,
  type ThreadId,
} from "../wire/id.ts";
import type { LaneOutcome } from "../wire/lane.ts";
import type { Priority } from "../wire/message.ts";
import { receipt, receiptResult } from "../wire/receipt.ts";
import type { Scope } from "../wire/scope.ts";
import { argumentFault, type ToolInput, type ToolName, toolTable } from "../wire/tools.ts";
import { type Brakes, hopFault } from "./brakes.ts";
import type { Write } from "./store.ts";

/** A tool whose calls an outbox may keep and deliver. */
export type WriteTool = {
  [Name in ToolName]: (typeof toolTable)[Name]["buffered"] extends true ? Name : never;
}[ToolName];

/** A permanent no, with the sentence that tells the sender why. */
export type Rejection = { status: "rejected"; code: ErrorCode; detail: string };

/** Whom a message is for: one agent, the members of a channel, or every agent. */
export type Audience = "one" | "channel" | "everyone";

/** A write as its arguments say it: what has to be looked up before it can be judged. */
export type ReadWrite = {
  status: "read";
  tool: WriteTool;
  body: string;
  expectsReply: boolean;
  /** When the reply is wanted, ms since 1970. */
  replyBy: number | undefined;
  priority: Priority;
  audience: Audience;
  /** The message replied to. */
  parentId: MessageId | undefined;
  /** The message passed on. */
  forwardOf: MessageId | undefined;
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
  /** That agent was removed: nobody reads its inbox any more. */
  senderRemoved?: boolean;
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
  /**
   * Who `to` means now, by ascending id and without the sender where it is not one agent; undefined when there is no
   * such agent or channel. At most one more than a message may have.
   */
  recipients: readonly Recipient[] | undefined;
  parent: ParentFacts | undefined;
  /** The message passed on, when the sender has sent or received it: how often it had been passed on. */
  forwarded: { hops: number } | undefined;
  /** What the sender's profile lets it do; undefined for one without such bounds. */
  brakes: Brakes | undefined;
};

/** A message to store. */
export type NewMessage = {
  id: MessageId;
  sender: AgentId;
  /** What it was sent to, as it is shown. */
  to: string;
  /** By ascending id, each once. */
  recipients: readonly Recipient[];
  threadId: ThreadId;
  replyTo: MessageId | undefined;
  forwardOf: MessageId | undefined;
  /** How often what it carries was passed on; 0 for what is not a forward. */
  hops: number;
  priority: Priority;
  /** The obligation it answers had already ended. */
  late: boolean;
  /** Opens an obligation: the recipient owes the sender a reply. */
  expectsReply: boolean;
  /** When that reply is wanted, ms since 1970; undefined when no time was given. */
  replyBy: number | undefined;
  /** Closes the obligation of the sender for `replyTo`. */
  discharges: boolean;
  /** W3C trace context of the call that made it. */
  trace: string | undefined;
  body: string;
};
export type Decision = { status: "commit"; message: NewMessage } | Rejection;

type Reader = (write: Write) => ReadWrite | Rejection;
const readers: Record<WriteTool, Reader> = {
  relay_send_message: reader("relay_send_message", (input) => ({
    body: input.body,
    // Whoever says by when wants a reply.
    expectsReply: input.expectsReply === true || input.replyBy !== undefined,
    replyBy: input.replyBy === undefined ? undefined : Date.parse(input.replyBy),
    priority: input.priority ?? "normal",
    audience: audienceOf(input.to),
    parentId: undefined,
    forwardOf: input.forwardOf === undefined ? undefined : asId(input.forwardOf),
    to: input.to,
    threadId: input.threadId === undefined ? undefined : asId(input.threadId),
  })),
  relay_reply: reader("relay_reply", (input, write) => ({
    body: input.body,
    expectsReply: false,
    replyBy: undefined,
    priority: "normal",
    audience: "one",
    parentId: asId(input.messageId),
    forwardOf: undefined,
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
  const read = readers[tool](write);
  if (read.status === "read" && read.audience !== "one" && !rights.scopes.includes("message:broadcast")) {
    return rejected(
      "forbidden",
      `${tool} to "${read.to ?? ""}" needs the scope message:broadcast, which the sender does not have`,
    );
  }
  return read;
}

function audienceOf(to: string): Audience {
  if (to === everyone) return "everyone";
  return isChannelName(to) ? "channel" : "one";
}

/** Judges a write that was read, by the facts. The order of the checks is the order of what a sender can act on. */
export function decideWrite(write: Write, read: ReadWrite, facts: WriteFacts): Decision {
  if (facts.messageIdTaken) {
    return rejected("id_taken", `Store message ${write.messageId}: the id belongs to another write`);
  }
  const recipients = facts.parent === undefined ? facts.recipients : [facts.parent.sender];
  const fault = parentFault(read, facts) ?? forwardFault(read, facts) ?? audienceFault(read, recipients);
  if (fault !== undefined) return fault;
  if (recipients === undefined || recipients.length === 0) return nobodyFault(read, recipients);
  const hops = facts.forwarded === undefined ? 0 : facts.forwarded.hops + 1;
  const braked = fanOutFault(read, recipients, facts.brakes) ?? hopRejection(hops, facts.brakes);
  if (braked !== undefined) return braked;
  const [first] = recipients;
  if (read.audience === "one" && write.recipientId !== undefined && write.recipientId !== first?.id) {
    return rejected(
      "recipient_replaced",
      `Send to "${first?.name ?? ""}": the name belongs to agent ${first?.id ?? ""} now, ${write.recipientId} was meant`,
    );
  }
  const obligation = facts.parent?.obligation ?? "none";
  return {
    status: "commit",
    message: {
      id: write.messageId,
      sender: facts.sender,
      to: read.audience === "one" ? (first?.name ?? "") : (read.to ?? ""),
      recipients,
      threadId: facts.parent?.threadId ?? read.threadId ?? asId<ThreadId>(write.messageId),
      replyTo: read.parentId,
      forwardOf: read.forwardOf,
      hops,
      priority: read.priority,
      late: obligation === "closed",
      expectsReply: read.expectsReply,
      replyBy: read.replyBy,
      discharges: obligation === "open",
      trace: write.trace,
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

function parentFault(read: ReadWrite, facts: WriteFacts): Rejection | undefined {
  const { parentId } = read;
  const { parent } = facts;
  if (parentId === undefined) return undefined;
  if (parent === undefined) {
    // A relay that lost the parent can still place a reply that says where it belongs.
    if (read.to !== undefined && read.threadId !== undefined) return undefined;
    return rejected("parent_unknown", `Reply to message ${parentId}: it is not in your inbox`);
  }
  if (parent.received && parent.senderRemoved === true) {
    return rejected(
      "recipient_unknown",
      `Reply to message ${parentId}: its sender, ${parent.sender.name}, was removed`,
    );
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

function forwardFault({ forwardOf }: ReadWrite, { forwarded }: WriteFacts): Rejection | undefined {
  if (forwardOf === undefined || forwarded !== undefined) return undefined;
  return rejected(
    "parent_unknown",
    `Forward message ${forwardOf}: it is neither in your inbox nor sent by you`,
  );
}

/** A reply can only be owed by one agent: of many nobody would feel meant. */
function audienceFault(read: ReadWrite, recipients: readonly Recipient[] | undefined): Rejection | undefined {
  if (read.audience === "one" || !read.expectsReply || recipients === undefined) return undefined;
  return rejected(
    "bad_request",
    `Send to "${read.to ?? ""}": expectsReply is for one agent, this has ${recipients.length} recipients`,
  );
}

function fanOutFault(
  { to }: ReadWrite,
  { length }: readonly Recipient[],
  brakes: Brakes | undefined,
): Rejection | undefined {
  const most = Math.min(brakes?.fanOutMax ?? limits.fanOutMax, limits.fanOutMax);
  if (length <= most) return undefined;
  return rejected(
    "too_many_recipients",
    `Send to "${to ?? ""}": it has more than ${most} recipients, which is the most`,
  );
}

function hopRejection(hops: number, brakes: Brakes | undefined): Rejection | undefined {
  const fault = hops === 0 || brakes === undefined ? undefined : hopFault(hops, brakes);
  return fault === undefined ? undefined : rejected(fault.code, fault.detail);
}

function nobodyFault(read: ReadWrite, recipients: readonly Recipient[] | undefined): Rejection {
  const nobody: Record<Audience, string> = {
    one: "there is no agent of that name",
    channel:
      recipients === undefined
        ? "there is no channel of that name; whoever joins it first makes it"
        : "nobody but you is in that channel",
    everyone: "there is no other agent",
  };
  return rejected("recipient_unknown", `Send to "${read.to ?? ""}": ${nobody[read.audience]}`);
}

function rejected(code: ErrorCode, detail: string): Rejection {
  return { status: "rejected", code, detail };
}
