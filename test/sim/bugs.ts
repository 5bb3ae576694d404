/**
 * Bugs that an outbox or a relay could have, planted in the model around the product: its port to the disk, its
 * connection, the facts the relay is given. Each must be found; a check that finds none of them proves nothing.
 */
import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { fileOf } from "../../src/outbox/files.ts";
import type {
  LifeChange,
  LoadRequest,
  NewRecord,
  OutboxMethods,
  SaveRequest,
} from "../../src/outbox/rows.ts";
import { asId, uuidV7 } from "../../src/wire/id.ts";
import type { LaneRecord } from "../../src/wire/lane.ts";
import type { Deliverer } from "../../src/wire/write.ts";
import type { Chance } from "./chance.ts";
import type { Answered } from "./disk.ts";
import type { ViolationKind } from "./ledger.ts";
import type { Patch } from "./parts.ts";

export type Bug = {
  /** What somebody might have done. */
  readonly what: string;
  /** How it shows; one of these is enough. */
  readonly shows: readonly ViolationKind[];
  readonly patch: Patch;
};

export const bugs = {
  "key per attempt": {
    what: "Each attempt has a key of its own, so that the relay cannot tell a repeat",
    shows: ["doubled", "phantom", "lost"],
    patch: { deliverer: keyPerAttempt },
  },
  "deleted before the answer": {
    what: "A record counts as done as soon as its attempt begins",
    shows: ["lost"],
    patch: { worker: () => ({ value: endAtMark }) },
  },
  "told before the fsync": {
    what: "A call is answered when its record is written, not when the disk has it",
    shows: ["lost"],
    patch: { worker: () => ({ lostWithinMs: 4 }) },
  },
  "no fencing": {
    what: "The relay takes records of every lane session",
    shows: ["inversion"],
    patch: { relay: { batch: ({ lane: _, ...batch }) => batch } },
  },
  "fencing at the opening": {
    what: "An opening of the lane fences older sessions at once, also one that arrives when nobody waits for it",
    shows: ["stuck"],
    patch: { relay: { fencesAtOpening: true } },
  },
  "ambiguity forgotten": {
    what: "The flag that an attempt may have worked is not stored",
    shows: ["lie"],
    patch: { worker: () => ({ argument: forgetAmbiguity }) },
  },
  "attempt forgotten at opening": {
    what: "Opening the store puts records under way back as if nothing had been sent",
    shows: ["lie"],
    patch: { worker: () => ({ opening: forgetAttempts }) },
  },
  "no guard for calls made again": {
    what: "An equal call whose answer was not seen is a new write",
    shows: ["doubled"],
    patch: { worker: () => ({ argument: withoutGuard }) },
  },
  "newest first": {
    what: "A live write goes ahead of those that wait",
    shows: ["inversion"],
    patch: { deliverer: newestFirst },
  },
  "notice not with the end": {
    what: "The end of a record is stored, its notice is only kept in memory",
    shows: ["lost"],
    patch: { worker: () => ({ value: keepNoticesInMemory, argument: withoutNotices }) },
  },
} as const satisfies Record<string, Bug>;

export type BugName = keyof typeof bugs;

function keyPerAttempt(inner: Deliverer, chance: Chance): Deliverer {
  return {
    ...inner,
    async deliver(records, session, signal) {
      const renewed = records.map((record): LaneRecord => {
        const messageId = uuidV7(1_800_000_000_000, chance.bytes(10));
        return { ...record, key: asId(`attempt-${messageId}`), messageId };
      });
      const outcomes = await inner.deliver(renewed, session, signal);
      return outcomes.map((outcome, index) => ({ ...outcome, key: records[index]?.key ?? outcome.key }));
    },
  };
}

function newestFirst(inner: Deliverer): Deliverer {
  return {
    ...inner,
    async deliver(records, session, signal) {
      const outcomes = await inner.deliver(records.toReversed(), session, signal);
      return outcomes.toReversed();
    },
  };
}

/** Ends the records in the file when they are marked for sending, or stored as marked. */
function endAtMark({ method, argument: given, value, methods }: Answered): unknown {
  const stored = value as { status?: string; id?: number };
  const isLive = method === "enqueue" && (given as NewRecord).attemptNow && stored.id !== undefined;
  const ids = method === "mark" ? (given as { ids: number[] }).ids : isLive ? [stored.id ?? 0] : [];
  if (ids.length === 0) return value;
  const life = { state: "sent", attempts: 1, ambiguous: false, failures: 0 } as const;
  const end = { at: 0, result: undefined, notice: undefined };
  const changes = ids.map((id) => ({
    id,
    life: { ...life, firstFailureAt: undefined, detail: undefined },
    end,
  }));
  methods.save({ changes, seenRecords: [], seenNotices: [], now: 0 });
  return value;
}

function forgetAmbiguity(method: string, given: unknown): unknown {
  if (method !== "save") return given;
  const request = given as SaveRequest;
  const changes = request.changes.map((change) => ({
    ...change,
    life: { ...change.life, ambiguous: false },
  }));
  return { ...request, changes };
}

function forgetAttempts(dir: string): void {
  if (!existsSync(fileOf(dir))) return;
  const database = new Database(fileOf(dir));
  database.run("UPDATE records SET state = 'queued' WHERE state = 'sending'");
  database.close();
}

function withoutGuard(method: string, given: unknown): unknown {
  if (method !== "load") return given;
  const request = given as LoadRequest;
  return { ...request, limits: { ...request.limits, reissueWindowMs: -1 } };
}

function withoutNotices(method: string, given: unknown): unknown {
  if (method !== "save") return given;
  const request = given as SaveRequest;
  const changes = request.changes.map(({ end, ...change }) =>
    end === undefined ? change : { ...change, end: { ...end, notice: undefined }, kept: end.notice },
  );
  return { ...request, changes };
}

/** The notices that were not written, made up for the memory of the outbox. */
function keepNoticesInMemory({ method, argument: given, value, methods }: Answered): unknown {
  if (method !== "save") return value;
  const request = given as { now: number; changes: (LifeChange & { kept?: string })[] };
  const notices = request.changes.flatMap(({ id, life, kept }) => {
    const record = kept === undefined ? undefined : methods.find({ id });
    if (record === undefined) return [];
    const { key, messageId, tool, enqueuedAt } = record;
    const about = { key, messageId, tool, enqueuedAt, to: undefined, excerpt: "", detail: life.detail ?? "" };
    return [{ ...about, seq: 1_000_000 + id, recordId: id, reason: kept, endedAt: request.now, more: 0 }];
  });
  return { ...(value as ReturnType<OutboxMethods["save"]>), notices };
}
