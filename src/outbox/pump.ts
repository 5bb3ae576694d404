/**
 * Delivers the queue, first in, first out: one batch under way at a time, the same keys on every attempt. It
 * decides when to send and when to wait; what an outcome means for a record is decided by record.ts.
 */
import type { LaneOutcome, LaneRecord } from "../wire/lane.ts";
import { DeliveryError, type DeliveryFailureKind, type LaneOpening } from "../wire/write.ts";
import { type Ages, createAges } from "./age.ts";
import { attempt } from "./attempt.ts";
import { type Conclude, concluder } from "./conclude.ts";
import { createGate } from "./gate.ts";
import { Lane } from "./lane.ts";
import { Patience, type Rest } from "./patience.ts";
import type { PauseReason, PumpParts, PumpPhase } from "./pump-parts.ts";
import type { Entry } from "./queue.ts";
import type { RecordEvent } from "./record.ts";

export type { PauseReason, PumpParts, PumpPhase } from "./pump-parts.ts";

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
  readonly #lane: Lane;
  /** Records up to this id are sent one by one, because a batch with them failed. */
  #singlyUntil = 0;
  /** A person has stopped delivery. */
  #suspended = false;
  readonly #ages: Ages;
  readonly #conclude: Conclude;
  /** A delivery or a question about outcomes is under way: they take turns. */
  #busy: Promise<void> = Promise.resolve();

  constructor(parts: PumpParts) {
    this.#parts = parts;
    this.#suspended = parts.suspended === true;
    this.#gate = createGate(parts.clock);
    this.#ages = createAges(parts.clock, parts.limits);
    this.#lane = new Lane({
      ...parts,
      ask: () => this.#attempt("Open the lane", (signal) => parts.deliverer.open(signal)),
      opened: (opening) => this.#opened(opening),
    });
    this.#conclude = concluder({
      ...parts,
      ages: this.#ages,
      stop: this.#stop.signal,
      fence: () => {
        this.#lane.forget();
        return this.#lane.open();
      },
      attempt: (ask) => this.#attempt("Ask about keys", ask, parts.limits.askOutcomesMs),
    });
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
    return this.#lane.opening !== undefined && !this.#held && !this.#suspended && sends;
  }

  get suspended(): boolean {
    return this.#suspended;
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

  /** A person stops delivery, or lets it go on; an attempt under way is not broken off. */
  suspend(suspended: boolean): void {
    this.#suspended = suspended;
    if (suspended) {
      this.#parts.waiting();
      this.#parts.stalled();
    }
    this.#gate.open("kick");
  }

  /** Takes records out; one that may have been sent only after the relay was asked about it. */
  async drop(entries: readonly Entry[], detail: string): Promise<void> {
    const { deliverer, queue } = this.#parts;
    const event: RecordEvent = { type: "dropped", detail };
    if (deliverer.outcomesOf === undefined) for (const entry of entries) this.#parts.apply(entry, event);
    else
      await this.#inTurn(() => {
        const there = entries.filter(({ id }) => queue.get(id) !== undefined);
        return this.#conclude(there, () => event);
      });
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
    if (this.#old().length > 0) await this.#inTurn(() => this.#expire());
    if (this.#pausedBy !== undefined || this.#suspended) await this.#gate.wait(this.#untilNextExpiry());
    else if (this.#parts.queue.size > 0 || this.#lane.opening === undefined) await this.#turn();
    else {
      this.#phase = "idle";
      await this.#gate.wait();
    }
  }

  /** Opens the lane when it is not open, then delivers one batch. */
  async #turn(): Promise<void> {
    const { queue, log } = this.#parts;
    const batch: Entry[] = [];
    try {
      await this.#inTurn(() => this.#deliver(batch));
      if (batch.length === 0) return;
    } catch (error) {
      if (!(error instanceof DeliveryError)) throw error;
      this.#lastError = error.message;
      this.#parts.counted?.(error.kind);
      log.warn("Delivery failed", { kind: error.kind, sent: error.sent, records: batch.length, error });
      // Records whose outcome was read before the failure showed are no longer sending.
      const open = batch.filter(({ life }) => life.state === "sending");
      await this.#afterFailure[error.kind](error, open);
      return;
    }
    // A relay that put records off is given time before it gets them again.
    if (batch.some(({ id }) => queue.get(id) !== undefined))
      await this.#rest({ ms: this.#patience.pause(), outage: false, kickable: true });
  }

  /** Sends one batch, whose records are put into `batch`; none when there is nothing to send now. */
  async #deliver(batch: Entry[]): Promise<void> {
    const { queue, limits, deliverer } = this.#parts;
    await this.#lane.open();
    await this.#expire();
    // Asking about what expired may have opened it once more.
    const { laneSession } = await this.#lane.open();
    await this.#parts.settled();
    const singly = (queue.oldest?.id ?? 0) <= this.#singlyUntil;
    const taken = queue.batch(singly ? 1 : limits.batchRecordsMax);
    if (taken.length === 0) this.#patience.delays.reset();
    else {
      const records = await this.#prepare(taken);
      if (this.#stop.signal.aborted || this.#held || this.#suspended) return;
      this.#phase = "delivering";
      batch.push(...taken);
      for (const entry of taken) this.#parts.apply(entry, { type: "attempt" });
      const outcomes = await this.#attempt("Deliver", (signal) =>
        deliverer.deliver(records, laneSession, signal),
      );
      this.#parts.counted?.("delivered");
      await this.#settle(taken, outcomes);
      if (queue.size === 0) this.#phase = "idle";
    }
  }

  /** Runs when no delivery and no question is under way. */
  async #inTurn(work: () => Promise<void>): Promise<void> {
    const before = this.#busy;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#busy = promise;
    await before;
    try {
      await work();
    } finally {
      resolve();
    }
  }

  #opened(opening: LaneOpening): void {
    this.#ages.heard(opening.relayTimeMs);
    this.#parts.opened?.(opening);
    this.#patience.outageEnded();
    this.#lastError = undefined;
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

  /** One question to the receiver, with a deadline; rejects with DeliveryError only. */
  #attempt<Value>(
    action: string,
    ask: (signal: AbortSignal) => Promise<Value>,
    ms = this.#parts.limits.deliveryAttemptMs,
  ): Promise<Value> {
    return attempt(ask, { action, ms, clock: this.#parts.clock, stop: this.#stop.signal });
  }

  async #settle(batch: readonly Entry[], outcomes: readonly LaneOutcome[]): Promise<void> {
    for (const [index, entry] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined || outcome.key !== entry.key) {
        const got = `the answer has ${outcome?.key ?? "nothing"} in place ${index + 1}`;
        throw new DeliveryError("unreachable", "unknown", `Deliver: ${got}, ${entry.key} was wanted`);
      }
      if (outcome.status === "deferred") await this.#defer(entry, outcome, batch.length === 1);
      else {
        this.#patience.delays.reset();
        this.#lastError = undefined;
        if (outcome.status === "committed") this.#parts.apply(entry, { type: "committed" }, outcome.result);
        else {
          const { code, detail } = outcome;
          await this.#conclude([entry], () => ({ type: "rejected", code, detail: `${code}: ${detail}` }));
        }
      }
    }
  }

  /** Only a relay that failed on the record counts against it, and only when the record came alone. */
  async #defer(
    entry: Entry,
    outcome: Extract<LaneOutcome, { status: "deferred" }>,
    alone: boolean,
  ): Promise<void> {
    const detail = `${outcome.code}: ${outcome.detail}`;
    this.#lastError = detail;
    this.#patience.asked(outcome.retryAfterMs ?? 0);
    const failed = outcome.code === "internal";
    if (failed) this.#singlyUntil = Math.max(this.#singlyUntil, entry.id);
    const now = this.#parts.clock.now();
    await this.#conclude([entry], () =>
      failed && alone ? { type: "failedAlone", detail, sent: "no", now } : { type: "deferred", detail },
    );
  }

  readonly #afterFailure: Record<DeliveryFailureKind, Failed> = {
    unreachable: async (error, batch) => {
      // The next opening fences whatever of this attempt is still on its way.
      this.#lane.forget();
      const answers = await this.#patience.probe();
      const [only] = batch;
      const { message: detail, sent } = error;
      const now = this.#parts.clock.now();
      if (answers && only !== undefined && batch.length === 1)
        await this.#inTurn(() => this.#conclude([only], () => ({ type: "failedAlone", detail, sent, now })));
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
        await this.#inTurn(() =>
          this.#conclude([only], () => ({ type: "rejected", code: undefined, detail: error.message })),
        );
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
    this.#lane.forget();
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

  get #ageMaxMs(): number {
    const { recordAgeMaxMs } = this.#parts.limits;
    return Math.min(recordAgeMaxMs, this.#lane.opening?.keyWindowMs ?? recordAgeMaxMs);
  }

  #old(): Entry[] {
    const old: Entry[] = [];
    for (const entry of this.#parts.queue.entries()) {
      if (this.#ages.of(entry.enqueuedAt) <= this.#ageMaxMs) break;
      old.push(entry);
    }
    return old;
  }

  /** Gives up what is too old to be sent, or older than the keys that the relay remembers. */
  async #expire(): Promise<void> {
    const old = this.#old();
    if (old.length === 0) return;
    const ageMaxMs = this.#ageMaxMs;
    await this.#conclude(old, ({ life }) => {
      const last = life.detail === undefined ? "" : `; last: ${life.detail}`;
      return { type: "expired", detail: `not delivered within ${ageMaxMs} ms${last}` };
    });
  }

  #untilNextExpiry(): number | undefined {
    const { queue, limits } = this.#parts;
    if (queue.oldest === undefined) return undefined;
    const left = limits.recordAgeMaxMs - this.#ages.of(queue.oldest.enqueuedAt);
    return Math.min(limits.timerStepMs, Math.max(1, left + 1));
  }
}
