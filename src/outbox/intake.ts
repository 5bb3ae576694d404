/**
 * The way of a call: whether it can be taken, its record on disk, and the answer. Every call is answered: what cannot
 * be stored is refused, with the reason.
 */
import { messageIdOf, uuidV7 } from "../wire/id.ts";
import type { WriteAnswer, WriteCall } from "../wire/write.ts";
import {
  type AnsweredWrite,
  answerOf,
  notStored,
  type Outcome,
  outcomeOfRecord,
  pauseWords,
  refused,
} from "./answers.ts";
import { draftOf, keyOf, refusalOf } from "./draft.ts";
import type { Ends } from "./ends.ts";
import type { OutboxOptions } from "./handle.ts";
import { InFlight } from "./in-flight.ts";
import { type Counts, countOne } from "./metrics.ts";
import type { Pump } from "./pump.ts";
import type { Entry, Queue } from "./queue.ts";
import { newLife } from "./record.ts";
import type { Recovery } from "./recovery.ts";
import type { KnownRecord } from "./rows.ts";
import { DiskFailedError, DiskFullError, failureReason, type OutboxStore } from "./store.ts";
import type { Waiters } from "./waiters.ts";

export type IntakeParts = Pick<
  OutboxOptions,
  "agentId" | "clock" | "limits" | "log" | "random" | "recipientId" | "parentOf" | "validate"
> & {
  store: OutboxStore;
  queue: Queue;
  pump: Pick<Pump, "live" | "pausedBy" | "suspended">;
  recovery: Recovery;
  waiters: Waiters;
  ends: Ends;
  counts: Counts;
  isClosed(): boolean;
  /** A record was stored: it waits for delivery from now on. */
  added(entry: Entry): void;
};

/** Takes the calls of one outbox. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #inFlight = new InFlight();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Stores the call and waits at most `waitMs` for its outcome; never rejects. */
  async write(call: WriteCall, waitMs: number): Promise<WriteAnswer> {
    const { clock, random } = this.#parts;
    const freshUuid = uuidV7(clock.now(), random.bytes(10));
    const parallel = this.#inFlight.begin(call);
    try {
      return await this.#take(call, { freshUuid, parallel, waitMs });
    } catch (error) {
      return this.#failed(call, { error, freshUuid });
    } finally {
      this.#inFlight.end(call);
    }
  }

  async #take(
    call: WriteCall,
    { freshUuid, parallel, waitMs }: { freshUuid: string; parallel: string[]; waitMs: number },
  ): Promise<WriteAnswer> {
    const { agentId, clock, limits, store, pump, added } = this.#parts;
    const facts = { agentId, now: clock.now(), freshUuid, directory: this.#parts, parallel };
    const draft = draftOf(call, { ...facts, attemptNow: pump.live });
    const { record } = draft;
    const reason = this.#refusal(call) ?? refusalOf(draft, limits);
    if (reason !== undefined) return this.#refuse(record, reason);
    const reply = await store.enqueue(record);
    const { tool, key, messageId, now: enqueuedAt, bytes, attemptNow: marked } = record;
    if (reply.status === "known") return this.#again(reply.record, call.session, waitMs);
    if (reply.status !== "stored") return this.#refuse(draft.record, notStored(reply, key));
    const { id } = reply;
    const base = { id, tool, key, messageId, enqueuedAt, bytes, life: newLife };
    const entry: Entry = { ...base, marked, payload: draft.payload };
    added(entry);
    const outcome = await this.#outcome(entry, call.session, waitMs);
    return answerOf({ tool, key, messageId, recordId: id, replayed: false }, outcome);
  }

  /** Why nothing can be stored now. */
  #refusal(call: WriteCall): string | undefined {
    const { pump, recovery, validate, isClosed } = this.#parts;
    if (isClosed()) return "shutting_down: the outbox is closing";
    if (recovery.damaged !== undefined) return `outbox_damaged: ${recovery.damaged}`;
    if (pump.pausedBy !== undefined) return pauseWords[pump.pausedBy];
    return validate?.(call);
  }

  #refuse(write: Pick<AnsweredWrite, "tool" | "key" | "messageId">, reason: string): WriteAnswer {
    countOne(this.#parts.counts.refused, reason.split(":")[0] ?? reason);
    return refused(write, reason);
  }

  /** The store did not take it, or this program failed on the way: nothing will be sent. */
  #failed(call: WriteCall, { error, freshUuid }: { error: unknown; freshUuid: string }): WriteAnswer {
    const { tool } = call;
    const { agentId, log, recovery, isClosed } = this.#parts;
    const [key, origin] = keyOf(call, freshUuid);
    log.error("A write was refused", { tool, error });
    if (error instanceof DiskFailedError) recovery.discard(key);
    const failed = error instanceof DiskFullError || error instanceof DiskFailedError;
    if (failed && !isClosed()) recovery.failed(error);
    const messageId = messageIdOf(agentId, key, origin === "minted");
    return this.#refuse({ tool, key, messageId }, failureReason(error));
  }

  /** The answer to a call that was made before: how its write stands now, in time. */
  async #again(record: KnownRecord, session: string, waitMs: number): Promise<WriteAnswer> {
    const { counts, queue, ends, store } = this.#parts;
    const { id, tool, key, messageId } = record;
    counts.duplicatesSuppressed += 1;
    const write: AnsweredWrite = { tool, key, messageId, recordId: id, replayed: true };
    const entry = queue.get(id);
    if (entry !== undefined) return answerOf(write, await this.#outcome(entry, session, waitMs));
    if (ends.isUntold(id)) await store.save().catch(() => {});
    const unsaved = ends.isUntold(id) ? undefined : store.unsaved(id);
    const expiresAt = this.#expiry(record.enqueuedAt);
    if (unsaved?.end !== undefined)
      return answerOf(write, outcomeOfRecord({ ...unsaved.life, ...unsaved.end, expiresAt }));
    // It may have ended while the question was on its way.
    const known = (await store.find(id)) ?? record;
    return answerOf(write, outcomeOfRecord({ ...known, expiresAt }));
  }

  async #outcome(entry: Entry, session: string, waitMs: number): Promise<Outcome> {
    const { pump, queue, waiters, isClosed } = this.#parts;
    const waits = waitMs > 0 && !isClosed() && !pump.suspended;
    const known = waits ? await waiters.outcome(entry.id, session, waitMs) : undefined;
    return (
      known ?? {
        delivery: "queued",
        lanePosition: queue.position(entry.id),
        expiresAt: this.#expiry(entry.enqueuedAt),
      }
    );
  }

  #expiry(enqueuedAt: number): string {
    return new Date(enqueuedAt + this.#parts.limits.recordAgeMaxMs).toISOString();
  }
}
