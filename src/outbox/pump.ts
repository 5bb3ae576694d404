/**
 * Delivers the queue, first in, first out: one batch under way at a time, the same keys on every attempt. It
 * decides when to send and when to wait; what an outcome means for a record is decided by record.ts.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { deadline, orAbort } from "../base/signals.ts";
import type { Limits } from "../limits.ts";
import type { LaneOutcome, LaneRecord } from "../wire/lane.ts";
import type { NeutralResult } from "../wire/receipt.ts";
import { type Deliverer, DeliveryError, type DeliveryFailureKind, type LaneOpening } from "../wire/write.ts";
import { createGate } from "./gate.ts";
import { Patience, type Rest } from "./patience.ts";
import type { Entry, Queue } from "./queue.ts";
import type { RecordEvent } from "./record.ts";

export type PumpParts = {
  queue: Queue;
  deliverer: Deliverer;
  limits: Limits;
  clock: Clock;
  random: Random;
  log: Log;
  /** Commits that an attempt with these records may begin. */
  mark(ids: number[]): Promise<void>;
  /** Arguments of records that are not at hand. */
  payloads(ids: number[]): Promise<{ id: number; record: LaneRecord }[]>;
  /** Takes a record through its machine and stores what follows. */
  apply(entry: Entry, event: RecordEvent, result?: NeutralResult): void;
  /** Nothing is sent for now: records that were only marked for sending wait again. */
  waiting(): void;
  /** The relay was found not to answer: who waits for an outcome is told `queued`. */
  stalled(): void;
};

/** Why nothing will be sent until someone acts. */
export type PauseReason = "revoked" | "fenced" | "removed";
export type PumpPhase = "idle" | "delivering" | "waiting" | "paused" | "closed";
type Failed = (error: DeliveryError, batch: readonly Entry[]) => Promise<void>;

/** Begins to deliver when it is made, ends when it is closed. */
export class Pump {
  readonly #parts: PumpParts;
  readonly #stop = new AbortController();
  readonly #gate;
  readonly #patience: Patience;
  readonly #ended: Promise<void>;
  #phase: PumpPhase = "idle";
  #pausedBy: PauseReason | undefined;
  #lastError: string | undefined;
  #held = false;
  #lane: LaneOpening | undefined;
  #generation: number | undefined;
  /** Records up to this id are sent one by one, because a batch with them failed. */
  #singlyUntil = 0;

  constructor(parts: PumpParts) {
    this.#parts = parts;
    this.#gate = createGate(parts.clock);
    this.#patience = new Patience({ ...parts, gate: this.#gate, stop: this.#stop.signal });
    this.#ended = this.#run();
  }

  get phase(): PumpPhase {
    return this.#phase;
  }

  get pausedBy(): PauseReason | undefined {
    return this.#pausedBy;
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** A record that is stored now will be sent at once. */
  get live(): boolean {
    const sends = this.#phase === "idle" || this.#phase === "delivering";
    return this.#lane !== undefined && !this.#held && sends;
  }

  /** A record was added. */
  added(): void {
    this.#gate.open("write");
  }

  /** Ends a wait early, also a pause for a revoked token; never one for a fenced lane. */
  kick(): void {
    if (this.#pausedBy === "revoked") this.#pausedBy = undefined;
    this.#gate.open("kick");
  }

  /** While held no attempt begins: the store has failed. */
  hold(held: boolean): void {
    this.#held = held;
    this.#gate.open("kick");
  }

  /** Ends; an attempt under way is given up and its outcome stays open. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#gate.open("kick");
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#next();
      } catch (error) {
        // The store failed, or this program did: nothing is known to be lost, so try again.
        this.#parts.log.error("Delivery stopped for a moment", { error });
        this.#lastError = error instanceof Error ? error.message : String(error);
        await this.#rest({ ms: this.#patience.delays.next(), outage: false, kickable: true });
      }
    }
    this.#phase = "closed";
  }

  async #next(): Promise<void> {
    if (this.#held) {
      await this.#gate.wait();
      return;
    }
    this.#expire();
    if (this.#pausedBy !== undefined) await this.#gate.wait(this.#untilNextExpiry());
    else if (this.#parts.queue.size > 0 || this.#lane === undefined) await this.#turn();
    else {
      this.#phase = "idle";
      await this.#gate.wait();
    }
  }

  /** Opens the lane when it is not open, then delivers one batch. */
  async #turn(): Promise<void> {
    const { queue, limits, log } = this.#parts;
    const batch: Entry[] = [];
    try {
      const { laneSession } = await this.#openLane();
      this.#expire();
      const singly = (queue.oldest?.id ?? 0) <= this.#singlyUntil;
      batch.push(...queue.batch(singly ? 1 : limits.batchRecordsMax));
      if (batch.length === 0) {
        this.#patience.delays.reset();
        return;
      }
      const records = await this.#prepare(batch);
      if (this.#stop.signal.aborted || this.#held) return;
      this.#phase = "delivering";
      for (const entry of batch) this.#parts.apply(entry, { type: "attempt" });
      const { deliverer } = this.#parts;
      this.#settle(
        batch,
        await this.#attempt("Deliver", (signal) => deliverer.deliver(records, laneSession, signal)),
      );
    } catch (error) {
      if (!(error instanceof DeliveryError)) throw error;
      this.#lastError = error.message;
      log.warn("Delivery failed", { kind: error.kind, sent: error.sent, records: batch.length, error });
      // Records whose outcome was read before the failure showed are no longer sending.
      const open = batch.filter(({ life }) => life.state === "sending");
      await this.#afterFailure[error.kind](error, open);
      return;
    }
    // A relay that put records off is given time before it gets them again.
    if (batch.some(({ id }) => queue.get(id) !== undefined))
      await this.#rest({ ms: this.#patience.delays.next(), outage: false, kickable: true });
  }

  async #openLane(): Promise<LaneOpening> {
    if (this.#lane !== undefined) return this.#lane;
    const { deliverer, log } = this.#parts;
    const opening = await this.#attempt("Open the lane", (signal) => deliverer.open(signal));
    if (this.#generation !== undefined && this.#generation !== opening.generation)
      log.warn("The relay's database was restored: what it had confirmed before may be missing", {
        before: this.#generation,
        now: opening.generation,
      });
    this.#generation = opening.generation;
    this.#lane = opening;
    this.#patience.outageEnded();
    this.#lastError = undefined;
    return opening;
  }

  /** What is sent of a batch, once the file says that its records may be under way. */
  async #prepare(batch: readonly Entry[]): Promise<LaneRecord[]> {
    const absent = batch.filter(({ payload }) => payload === undefined).map(({ id }) => id);
    const unmarked = batch.filter(({ marked }) => !marked);
    const [fetched] = await Promise.all([
      absent.length === 0 ? [] : this.#parts.payloads(absent),
      unmarked.length === 0 ? undefined : this.#parts.mark(unmarked.map(({ id }) => id)),
    ]);
    for (const entry of unmarked) entry.marked = true;
    const byId = new Map(fetched.map(({ id, record }) => [id, record]));
    return batch.map(({ id, payload }) => {
      const record = payload ?? byId.get(id);
      if (record === undefined) throw new Error(`Deliver record ${id}: its arguments are not in the store`);
      return record;
    });
  }

  /** One question to the receiver, with a deadline; whatever it throws becomes a DeliveryError. */
  async #attempt<Value>(action: string, ask: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    const { clock, limits } = this.#parts;
    using limit = deadline(clock, limits.deliveryAttemptMs, { action, parent: this.#stop.signal });
    try {
      const value = await orAbort(ask(limit.signal), limit.signal);
      if (value !== undefined) return value;
    } catch (error) {
      if (error instanceof DeliveryError) throw error;
      const words = error instanceof Error ? error.message : String(error);
      throw new DeliveryError("unreachable", "unknown", `${action}: ${words}`, { cause: error });
    }
    const late = `no answer within ${limits.deliveryAttemptMs} ms`;
    const words = this.#stop.signal.aborted ? "given up because the outbox closes" : late;
    throw new DeliveryError("unreachable", "unknown", `${action}: ${words}`);
  }

  #settle(batch: readonly Entry[], outcomes: readonly LaneOutcome[]): void {
    for (const [index, entry] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined || outcome.key !== entry.key) {
        const got = `the answer has ${outcome?.key ?? "nothing"} in place ${index + 1}`;
        throw new DeliveryError("unreachable", "unknown", `Deliver: ${got}, ${entry.key} was wanted`);
      }
      if (outcome.status === "deferred") this.#defer(entry, outcome, batch.length === 1);
      else {
        this.#patience.delays.reset();
        this.#lastError = undefined;
        if (outcome.status === "committed") this.#parts.apply(entry, { type: "committed" }, outcome.result);
        else {
          const { code, detail } = outcome;
          this.#parts.apply(entry, { type: "rejected", code, detail: `${code}: ${detail}` });
        }
      }
    }
  }

  /** Only a relay that failed on the record counts against it, and only when the record came alone. */
  #defer(entry: Entry, outcome: Extract<LaneOutcome, { status: "deferred" }>, alone: boolean): void {
    const detail = `${outcome.code}: ${outcome.detail}`;
    this.#lastError = detail;
    const failed = outcome.code === "internal";
    if (failed) this.#singlyUntil = Math.max(this.#singlyUntil, entry.id);
    const now = this.#parts.clock.now();
    this.#parts.apply(
      entry,
      failed && alone ? { type: "failedAlone", detail, sent: "no", now } : { type: "deferred", detail },
    );
  }

  readonly #afterFailure: Record<DeliveryFailureKind, Failed> = {
    unreachable: async (error, batch) => {
      // The next opening fences whatever of this attempt is still on its way.
      this.#lane = undefined;
      const answers = await this.#patience.probe();
      const [only] = batch;
      const { message: detail, sent } = error;
      if (answers && only !== undefined && batch.length === 1)
        this.#parts.apply(only, { type: "failedAlone", detail, sent, now: this.#parts.clock.now() });
      else this.#takeBack(error, batch);
      if (answers) this.#sendSingly(batch);
      else this.#patience.outageBegan();
      await this.#rest({ ms: this.#patience.delays.next(), outage: !answers, kickable: true });
    },
    overloaded: async (error, batch) => {
      this.#takeBack(error, batch);
      const asked = error.retryAfterMs ?? this.#patience.delays.next();
      const ms = Math.min(asked, this.#parts.limits.probeDurationMs);
      await this.#rest({ ms, outage: false, kickable: false });
    },
    unauthorized: async (error, batch) => {
      this.#takeBack(error, batch);
      await this.#rest({ ms: this.#patience.delays.next(), outage: false, kickable: true });
    },
    revoked: async (error, batch) => this.#pause("revoked", error, batch),
    fenced: async (error, batch) => this.#pause("fenced", error, batch),
    removed: async (error, batch) => {
      for (const entry of [...this.#parts.queue.entries()])
        this.#parts.apply(entry, { type: "rejected", code: "agent_removed", detail: error.message });
      this.#pause("removed", error, batch);
    },
    refused: async (error, batch) => {
      const [only] = batch;
      if (only === undefined)
        await this.#rest({ ms: this.#patience.delays.next(), outage: false, kickable: true });
      else if (batch.length === 1)
        this.#parts.apply(only, { type: "rejected", code: undefined, detail: error.message });
      else {
        this.#takeBack(error, batch);
        this.#sendSingly(batch);
      }
    },
  };

  #takeBack(error: DeliveryError, batch: readonly Entry[]): void {
    const type = error.sent === "no" ? "notSent" : "lost";
    for (const entry of batch) this.#parts.apply(entry, { type, detail: error.message });
  }

  #sendSingly(batch: readonly Entry[]): void {
    this.#singlyUntil = Math.max(this.#singlyUntil, batch.at(-1)?.id ?? 0);
  }

  #pause(reason: PauseReason, error: DeliveryError, batch: readonly Entry[]): void {
    this.#takeBack(error, batch);
    this.#parts.log.error("Nothing will be delivered until someone acts", { reason, error });
    this.#lane = undefined;
    this.#pausedBy = reason;
    this.#phase = "paused";
    this.#parts.waiting();
    this.#parts.stalled();
  }

  async #rest(rest: Rest): Promise<void> {
    this.#phase = "waiting";
    this.#parts.waiting();
    await this.#patience.rest(rest);
  }

  /** Gives up what is too old to be sent, or older than the keys that the relay remembers. */
  #expire(): void {
    const { queue, limits, clock } = this.#parts;
    const ageMaxMs = Math.min(limits.recordAgeMaxMs, this.#lane?.keyWindowMs ?? limits.recordAgeMaxMs);
    for (const entry of queue.entries()) {
      if (clock.now() - entry.enqueuedAt <= ageMaxMs) return;
      const last = entry.life.detail === undefined ? "" : `; last: ${entry.life.detail}`;
      this.#parts.apply(entry, { type: "expired", detail: `not delivered within ${ageMaxMs} ms${last}` });
    }
  }

  #untilNextExpiry(): number | undefined {
    const { queue, limits, clock } = this.#parts;
    if (queue.oldest === undefined) return undefined;
    return Math.max(1, queue.oldest.enqueuedAt + limits.recordAgeMaxMs - clock.now() + 1);
  }
}
