/**
 * Writes in SQLite: key, outcome, message, inbox row and obligation of one write change together or not at all.
 * The decisions are in rules.ts; here is only what they need to know and what they change.
 */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { AgentId, StoreId, ThreadId } from "../../wire/id.ts";
import type { LaneOutcome } from "../../wire/lane.ts";
import { savepoint } from "../group.ts";
import {
  committedOutcome,
  type Decision,
  decideWrite,
  isRemembered,
  type NewMessage,
  type ParentFacts,
  type ReadWrite,
  type Recipient,
  readWrite,
  rejectedOutcome,
  rememberedOutcome,
  replayed,
  type WriteFacts,
  writeFingerprint,
} from "../rules.ts";
import type {
  Fenced,
  LaneUse,
  ObligationChange,
  OutcomeQuery,
  OutcomeQueryResult,
  Write,
  WriteBatch,
  WriteBatchResult,
} from "../store.ts";
import { type BatchBrake, brakeKeeper } from "./brakes.ts";
import { obligationWriter } from "./obligations.ts";

type ParentRow = {
  senderId: AgentId;
  senderName: string;
  senderRemoved: number;
  threadId: ThreadId;
  received: number;
  obliged: number;
  closedAt: number | null;
};
type ForwardRow = { hops: number };
type Applied = {
  outcome: LaneOutcome;
  recipients: readonly Recipient[];
  obligations: readonly ObligationChange[];
};

/** The verbs about writes. Every call belongs inside a transaction. */
export function writeVerbs(database: Database) {
  const inSavepoint = savepoint(database, "write_of_batch");
  const applyOne = writer(database);
  const brakeOf = brakeKeeper(database);
  const senderThere = database.prepare<unknown, [string]>(
    "SELECT 1 FROM agents WHERE id = ?1 AND removed_at IS NULL",
  );
  const inLane = laneUser(database);
  const grant = database.prepare<{ session: number }, [string, string, number]>(
    `INSERT INTO lanes (store_id, agent_id, session, opened_at)
     SELECT ?1, id, 1, ?3 FROM agents WHERE id = ?2
     ON CONFLICT (store_id) DO UPDATE SET session = session + 1, opened_at = ?3 WHERE agent_id = ?2
     RETURNING session`,
  );

  function applyWrites(batch: WriteBatch, now: number): WriteBatchResult {
    if (senderThere.get(batch.sender) === null) return { status: "sender_removed" };
    const fenced = batch.lane === undefined ? undefined : inLane(batch.sender, batch.lane);
    if (fenced !== undefined) return fenced;
    const brake = brakeOf(batch.sender, now);
    const outcomes: LaneOutcome[] = [];
    const woken = new Set<AgentId>();
    const obligations: ObligationChange[] = [];
    // The first write that was not applied: the ones after it wait, because they must not overtake it.
    let halt: Extract<LaneOutcome, { status: "deferred" }> | undefined;
    for (const write of batch.writes) {
      if (halt !== undefined) {
        outcomes.push({ ...halt, key: write.key });
        continue;
      }
      try {
        const applied = inSavepoint(() => applyOne(batch, write, { now, brake }));
        outcomes.push(applied.outcome);
        for (const { id } of applied.recipients) woken.add(id);
        obligations.push(...applied.obligations);
        if (applied.outcome.status === "deferred") halt = applied.outcome;
      } catch (error) {
        // Only this write is at fault.
        if (!isConstraint(error) || !database.inTransaction) throw error;
        const detail = "Apply a write: the store refused the row of it or of one before it";
        halt = { status: "deferred", key: write.key, code: "internal", detail };
        outcomes.push(halt);
      }
    }
    brake.settle();
    const changed = obligations.length === 0 ? {} : { obligations };
    return { status: "applied", outcomes, woken: [...woken], ...changed };
  }

  const outcome = database.prepare<{ outcome: string }, [string, string]>(
    "SELECT outcome FROM outcomes WHERE agent_id = ?1 AND key = ?2",
  );

  return {
    applyWrites,
    findOutcomes: ({ sender, keys, lane }: OutcomeQuery): OutcomeQueryResult => {
      const fenced = lane === undefined ? undefined : inLane(sender, lane);
      if (fenced !== undefined) return fenced;
      const outcomes = keys.map((key) => {
        const row = outcome.get(sender, key);
        // Written above from the same type.
        return row === null ? undefined : replayed(JSON.parse(row.outcome) as LaneOutcome);
      });
      return { status: "found", outcomes };
    },
    openLane: (storeId: StoreId, agentId: AgentId, now: number): number | undefined =>
      grant.get(storeId, agentId, now)?.session,
  };
}

/**
 * A function that uses a session of a lane: fences all older ones, or says that it is fenced itself. A session that was
 * granted and never used fences nobody, because an opening may arrive long after its sender gave it up.
 */
function laneUser(database: Database): (sender: AgentId, lane: LaneUse) => Fenced | undefined {
  const lanes = database.prepare<{ session: number; used: number }, [string, string]>(
    "SELECT session, used FROM lanes WHERE store_id = ?1 AND agent_id = ?2",
  );
  const use = database.prepare<unknown, [string, number]>("UPDATE lanes SET used = ?2 WHERE store_id = ?1");
  return (sender, { storeId, laneSession }) => {
    const { session, used } = lanes.get(storeId, sender) ?? { session: 0, used: 0 };
    if (laneSession > session || laneSession < used) return { status: "fenced", newestSession: session };
    if (laneSession > used) use.run(storeId, laneSession);
    return undefined;
  };
}

/** Applies one write: remembered outcome, else decision, then the rows that it asks for. */
function writer(database: Database) {
  const facts = factFinder(database);
  const storeMessage = messageWriter(database);
  const remembered = database.prepare<{ fingerprint: string; outcome: string }, [string, string]>(
    "SELECT fingerprint, outcome FROM outcomes WHERE agent_id = ?1 AND key = ?2",
  );
  const remember = database.prepare<unknown, [string, string, string, string, number]>(
    "INSERT INTO outcomes (agent_id, key, fingerprint, outcome, at) VALUES (?1, ?2, ?3, ?4, ?5)",
  );

  return (batch: WriteBatch, write: Write, { now, brake }: { now: number; brake: BatchBrake }): Applied => {
    const unchanged = { recipients: [], obligations: [] };
    const print = writeFingerprint(write);
    const known = remembered.get(batch.sender, write.key);
    if (known !== null) {
      // Written below from the same type.
      const stored = { fingerprint: known.fingerprint, outcome: JSON.parse(known.outcome) as LaneOutcome };
      return { outcome: rememberedOutcome(write, stored, print), ...unchanged };
    }
    const decision = decide(batch, write, { now, brake });
    const message = decision.status === "commit" ? decision.message : undefined;
    const outcome =
      decision.status === "rejected"
        ? rejectedOutcome(write, decision)
        : committedOutcome(write, decision.message.threadId);
    const limited =
      isRemembered(outcome) && brake.fault === undefined
        ? brake.take({ ...costOf(message), ...timeOf(write) })
        : undefined;
    if (limited !== undefined) return { outcome: limitedOutcome(write, limited), ...unchanged };
    const obligations = message === undefined ? [] : storeMessage(message, now);
    if (isRemembered(outcome)) remember.run(batch.sender, write.key, print, JSON.stringify(outcome), now);
    return { outcome, recipients: message?.recipients ?? [], obligations };
  };

  function decide(
    batch: WriteBatch,
    write: Write,
    { now, brake }: { now: number; brake: BatchBrake },
  ): Decision {
    if (brake.fault !== undefined) return { status: "rejected", ...brake.fault };
    const read = readWrite(write, batch, now);
    if (read.status === "rejected") return read;
    const decision = decideWrite(write, read, { ...facts(batch, write, read), brakes: brake.brakes });
    if (batch.late !== true || decision.status === "rejected") return decision;
    return { ...decision, message: { ...decision.message, late: true } };
  }
}

/** When its sender wrote it; a time that cannot be read is now. */
function timeOf({ enqueuedAt }: Write): { writtenAt?: number } {
  const writtenAt = Date.parse(enqueuedAt);
  return Number.isNaN(writtenAt) ? {} : { writtenAt };
}

/** What a write takes of its sender's rate depends on its body and on how many get it. */
function costOf(message: NewMessage | undefined): { body: string | undefined; recipients: number } {
  return { body: message?.body, recipients: message?.recipients.length ?? 0 };
}

function factFinder(database: Database) {
  const idTaken = database.prepare<unknown, [string]>("SELECT 1 FROM messages WHERE id = ?1");
  const audience = audienceFinder(database);
  const forward = database.prepare<ForwardRow, [string, string]>(
    `SELECT hops FROM messages m WHERE m.id = ?1 AND (m.sender_id = ?2
       OR EXISTS (SELECT 1 FROM inbox i WHERE i.message_id = m.id AND i.agent_id = ?2))`,
  );
  const parentRow = database.prepare<ParentRow, [string, string]>(
    `SELECT m.sender_id AS senderId, s.name AS senderName,
       s.removed_at IS NOT NULL AS senderRemoved, m.thread_id AS threadId,
       i.seq IS NOT NULL AS received, o.message_id IS NOT NULL AS obliged, o.closed_at AS closedAt
     FROM messages m JOIN agents s ON s.id = m.sender_id
     LEFT JOIN inbox i ON i.message_id = m.id AND i.agent_id = ?2
     LEFT JOIN obligations o ON o.message_id = m.id AND o.debtor_id = ?2
     WHERE m.id = ?1`,
  );

  return (batch: WriteBatch, write: Write, read: ReadWrite): Omit<WriteFacts, "brakes"> => {
    const row = read.parentId === undefined ? null : parentRow.get(read.parentId, batch.sender);
    return {
      sender: batch.sender,
      messageIdTaken: idTaken.get(write.messageId) !== null,
      recipients: row !== null || read.to === undefined ? undefined : audience(batch.sender, read, read.to),
      parent: row === null ? undefined : parentFacts(row),
      forwarded:
        read.forwardOf === undefined ? undefined : (forward.get(read.forwardOf, batch.sender) ?? undefined),
    };
  };
}

/** A function that finds who is meant by a name, a channel or everyone; nobody but one agent may mean itself. */
function audienceFinder(database: Database) {
  const holder = database.prepare<Recipient, [string]>(
    "SELECT id, name FROM agents WHERE name = ?1 AND removed_at IS NULL",
  );
  const channel = database.prepare<unknown, [string]>("SELECT 1 FROM channels WHERE name = ?1");
  const members = database.prepare<Recipient, [string, string, number]>(
    `SELECT a.id, a.name FROM channel_members c CROSS JOIN agents a ON a.id = c.agent_id
     WHERE c.channel = ?1 AND c.agent_id <> ?2 ORDER BY c.agent_id LIMIT ?3`,
  );
  const others = database.prepare<Recipient, [string, number]>(
    "SELECT id, name FROM agents WHERE id > '' AND id <> ?1 AND kind = 'agent' AND removed_at IS NULL ORDER BY id LIMIT ?2",
  );
  const few = limits.fanOutMax + 1;
  return (sender: AgentId, { audience }: ReadWrite, to: string): readonly Recipient[] | undefined => {
    if (audience === "everyone") return others.all(sender, few);
    if (audience === "channel") return channel.get(to) === null ? undefined : members.all(to, sender, few);
    const one = holder.get(to);
    return one === null ? undefined : [one];
  };
}

function parentFacts(row: ParentRow): ParentFacts {
  const open = row.closedAt === null ? "open" : "closed";
  return {
    sender: { id: row.senderId, name: row.senderName },
    senderRemoved: row.senderRemoved === 1,
    threadId: row.threadId,
    received: row.received === 1,
    obligation: row.obliged === 1 ? open : "none",
  };
}

function messageWriter(database: Database) {
  const insertMessage = database.prepare(
    `INSERT INTO messages (id, sender_id, recipient, thread_id, reply_to, forward_of, hops, urgent, late, body,
       created_at, trace)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`,
  );
  const nextSeq = database.prepare<{ seq: number }, [string]>(
    "UPDATE agents SET newest_seq = newest_seq + 1 WHERE id = ?1 RETURNING newest_seq AS seq",
  );
  const insertInbox = database.prepare(
    "INSERT INTO inbox (agent_id, seq, message_id, expects_reply) VALUES (?1, ?2, ?3, ?4)",
  );
  const obligations = obligationWriter(database);
  const answered = database.prepare(
    "UPDATE inbox SET replied_at = ?3 WHERE message_id = ?1 AND agent_id = ?2 AND replied_at IS NULL",
  );

  return (message: NewMessage, now: number): ObligationChange[] => {
    const changes: ObligationChange[] = [];
    const { id, sender, to, recipients, threadId, replyTo, forwardOf, hops, expectsReply } = message;
    insertMessage.run(
      id,
      sender,
      to,
      threadId,
      replyTo ?? null,
      forwardOf ?? null,
      hops,
      message.priority === "urgent" ? 1 : 0,
      message.late ? 1 : 0,
      message.body,
      now,
      message.trace ?? null,
    );
    for (const recipient of recipients) {
      const seq = nextSeq.get(recipient.id)?.seq;
      if (seq === undefined)
        throw new Error(`Store message ${id}: its recipient ${recipient.id} has no inbox`);
      insertInbox.run(recipient.id, seq, id, expectsReply ? 1 : 0);
      if (expectsReply) changes.push(obligations.open(message, recipient, now));
    }
    if (replyTo === undefined) return changes;
    answered.run(replyTo, sender, now);
    if (message.discharges) changes.push(...obligations.discharge(message, replyTo, now));
    return changes;
  };
}

/** The outcome of a write over its sender's rate: it is sent again later, with what comes after it. */
function limitedOutcome(
  write: Write,
  { waitMs, detail }: { waitMs: number; detail: string },
): Extract<LaneOutcome, { status: "deferred" }> {
  const { key } = write;
  return {
    status: "deferred",
    key,
    code: "rate_limited",
    detail: `Apply a write: ${detail}`,
    retryAfterMs: Math.max(waitMs, limits.rateRetryMs),
  };
}

function isConstraint(error: unknown): boolean {
  return error instanceof Error && "code" in error && `${error.code}`.startsWith("SQLITE_CONSTRAINT");
}
