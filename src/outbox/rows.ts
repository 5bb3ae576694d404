/** What passes between the outbox and the worker that holds its file. Plain data only. */
import type { IdempotencyKey, MessageId } from "../wire/id.ts";
import type { LaneRecord } from "../wire/lane.ts";
import type { NeutralResult } from "../wire/receipt.ts";
import type { RecordDetail, RecordView } from "../wire/write.ts";
import type { Owner } from "./files.ts";
import type { NoticeReason, RecordLife, RecordState } from "./record.ts";
import type { KeyOrigin } from "./reissue.ts";

/** A write that asks to be stored. */
export type NewRecord = {
  key: IdempotencyKey;
  origin: KeyOrigin;
  messageId: MessageId;
  tool: string;
  fingerprint: string;
  callId: string | undefined;
  /** Call ids in flight now in the same session. */
  parallel: string[];
  /** The arguments as JSON, as they are delivered. */
  argumentsJson: string;
  bytes: number;
  to: string | undefined;
  recipientId: string | undefined;
  parent: { from: string; threadId: string } | undefined;
  /** W3C trace context; for finding it again, so no part of the checksum. */
  trace?: string | undefined;
  now: number;
  /** Of what never changes while it can be sent; made before the record is handed to the worker. */
  checksum: string;
  /** The pump will deliver it at once: store it as `sending`, which saves a commit of its own. */
  attemptNow: boolean;
};

/** A record that waits, as the queue in memory holds it; its arguments are fetched when needed. */
export type OpenRecord = {
  id: number;
  key: IdempotencyKey;
  messageId: MessageId;
  tool: string;
  bytes: number;
  enqueuedAt: number;
  life: RecordLife;
};

/** An earlier write that a call turned out to be. */
export type KnownRecord = {
  id: number;
  key: IdempotencyKey;
  messageId: MessageId;
  tool: string;
  state: RecordState;
  detail: string | undefined;
  enqueuedAt: number;
  /** The relay's own result, when it was sent. */
  result: NeutralResult | undefined;
};

export type EnqueueReply =
  | { status: "stored"; id: number }
  | { status: "known"; record: KnownRecord }
  | { status: "reused"; record: KnownRecord }
  | { status: "full"; records: number; bytes: number }
  /** The disk has too little room for new writes. */
  | { status: "noRoom"; freeBytes: number; wantedBytes: number };

/** A notice as it is stored; notices.ts makes the agent's form of it. */
export type NoticeRow = {
  seq: number;
  recordId: number;
  reason: NoticeReason;
  tool: string;
  key: string;
  messageId: string;
  to: string | undefined;
  excerpt: string;
  detail: string;
  enqueuedAt: number;
  endedAt: number;
  /** Further writes that ended after it, when there is no room for a notice each. */
  more: number;
};

/** What has become of one record. */
export type LifeChange = {
  id: number;
  life: RecordLife;
  /** Present when it ended. */
  end?: { at: number; result: NeutralResult | undefined; notice: NoticeReason | undefined };
};

export type SaveRequest = {
  changes: LifeChange[];
  seenRecords: number[];
  seenNotices: number[];
  now: number;
};

/** Bounds the worker applies. */
export type StoreLimits = {
  recordsMax: number;
  bytesMax: number;
  reissueWindowMs: number;
  noticesMax: number;
  tombstoneMs: number;
  tombstonesMax: number;
  /** Largest stored result; a larger one is replayed as a plain receipt. */
  resultBytesMax: number;
  /** Largest database file. */
  fileBytesMax: number;
  /** Free space of the disk below which nothing new is taken. */
  freeBytesMin: number;
  /** Size of the file that is given up on a full disk; 0 for none. */
  reserveBytes: number;
  /** How long the marks of a commit wait for their flush, ms. */
  marksLingerMs: number;
};

export type LoadRequest = {
  dir: string;
  relayId: string;
  agentId: string;
  /** Becomes the id of a store that is made now. */
  newStoreId: string;
  pid: number;
  now: number;
  limits: StoreLimits;
  /** Records after `afterId` with these keys were refused when the disk failed: they must not come to life. */
  discard: { afterId: number; keys: string[] };
  /** Noted for others: this owner only delivers what is left. */
  purpose?: "drain" | undefined;
};

/** What was found when a damaged store was opened. */
export type Damage = {
  why: string;
  /** Where the damaged database file is now; its log beside it. */
  aside: string;
  /** Accepted writes that are missing; each has a notice. */
  lost: number;
  /** False when the record of what was accepted is damaged too, so that more may be missing. */
  counted: boolean;
  /** Records that were kept. */
  kept: number;
};

export type LoadReply =
  | {
      status: "opened";
      storeId: string;
      epoch: number;
      records: OpenRecord[];
      notices: NoticeRow[];
      /** Highest id ever given. */
      lastId: number;
      /** A person has paused it. */
      paused: boolean;
      damage?: Damage;
    }
  | ({ status: "owned" } & Owner)
  | { status: "foreign"; relayId: string; agentId: string }
  | { status: "newer"; version: number };

export type InspectReply =
  | { status: "read"; records: RecordView[]; identity?: { relayId: string; agentId: string } }
  | ({ status: "owned" } & Owner)
  | { status: "newer"; version: number };

export type ListRequest = { limit: number; expiryMs: number };

/** An ended record that a person wants to send again, as a write of its own. */
export type RetryRequest = { id: number; key: IdempotencyKey; messageId: MessageId; now: number };
export type RetryReply =
  | { status: "stored"; record: OpenRecord }
  | { status: "unknown" }
  /** It waits, was sent, may have been sent, or its arguments are gone. */
  | { status: "refused"; reason: string }
  | { status: "full"; records: number; bytes: number };

/** Say that the oldest record waits: at most `step` such notices since it was stored. */
export type DelayedRequest = { id: number; step: number; detail: string; now: number };
/** The relay's generation at this opening, and the time from which writes may be missing when it has changed. */
export type GenerationRequest = { generation: number; now: number; since: number };

/** Figures of the file. */
export type Vitals = { epoch: number; dbBytes: number; freeBytes: number; commits: number; commitMs: number };

/** The worker's verbs. All that arrive together are one transaction with one fsync; replies follow the commit. */
export type OutboxMethods = {
  load(request: LoadRequest): LoadReply;
  enqueue(record: NewRecord): EnqueueReply;
  /** An attempt with these records is about to begin. */
  mark(request: { ids: number[] }): void;
  save(request: SaveRequest): { notices: NoticeRow[] };
  /** What is sent of these records, in their order; records that have ended meanwhile are left out. */
  payloads(request: { ids: number[] }): { id: number; record: LaneRecord }[];
  find(request: { id: number }): KnownRecord | undefined;
  findKey(request: { key: string }): KnownRecord | undefined;
  list(request: ListRequest): RecordView[];
  /** Forgets ended records and seen notices whose time is over; how many rows went. */
  prune(request: { now: number }): number;
  /** One record as people see it, with its arguments when they are asked for and still there. */
  show(request: { id: number; expiryMs: number; body: boolean }): RecordDetail | undefined;
  retry(request: RetryRequest): RetryReply;
  /** Notes that a person has paused it at this time, or with undefined that it goes on. */
  pause(request: { at: number | undefined }): void;
  delayed(request: DelayedRequest): { notices: NoticeRow[] };
  generation(request: GenerationRequest): { notices: NoticeRow[] };
  vitals(request: object): Vitals;
  /** Reads a store that nobody owns; makes nothing. */
  inspect(request: ListRequest & { dir: string }): InspectReply;
  close(request: object): void;
};

/** Name of the error when the disk has no room: nothing of the group was stored, the file is still open. */
export const diskFullName = "OutboxDiskFull";
/** Name of the error when the file failed: it is closed, nothing is promised about the last group. */
export const diskFailedName = "OutboxDiskFailed";
