/**
 * The disk and the worker of a simulated process: the product's own engine on a real SQLite file in memory, behind a
 * port that looks like a Worker. Commits take time, fail, or are cut off by the death of the process.
 */
import { cpSync, existsSync, rmSync } from "node:fs";
import { callsOf } from "../../src/base/call-bundle.ts";
import { realDisk } from "../../src/outbox/disk.ts";
import { Engine } from "../../src/outbox/engine.ts";
import {
  diskFailedName,
  type EnqueueReply,
  type NewRecord,
  type OutboxMethods,
} from "../../src/outbox/rows.ts";
import type { Chance } from "./chance.ts";
import type { SimClock } from "./clock.ts";
import type { Ledger, Lineage } from "./ledger.ts";

export type DiskFaults = {
  /** Probability that a commit finds no room. */
  full: number;
  /** Probability that a commit fails and the file is closed. */
  failed: number;
  /** Probability that a commit is reported as failed and was made all the same. */
  ambiguous: number;
  /** Probability that a commit takes 300 ms. */
  slow: number;
};

type Method = keyof OutboxMethods;
type Call = { id: number; method: Method; argument: unknown };
type Reply = { id: number; value?: unknown; error?: { name: string; message: string } };
type Listener = (event: { data: string }) => void;

/** A call that ran, with the means to do more in its transaction. */
export type Answered = { method: Method; argument: unknown; value: unknown; methods: OutboxMethods };

/** How a planted bug changes the worker. */
export type WorkerPatch = {
  /** Before a call runs; what it returns runs instead. */
  argument?(method: Method, argument: unknown): unknown;
  /** After a call ran, before its answer leaves. */
  value?(call: Answered): unknown;
  /** Before the file is opened. */
  opening?(dir: string): void;
  /** A crash this soon after a commit takes the commit back, ms. */
  lostWithinMs?: number;
};

export type WorkerParts = {
  clock: SimClock;
  chance: Chance;
  ledger: Ledger;
  faults: DiskFaults;
  lineage: Lineage;
  patch: WorkerPatch;
  name: string;
  dir: string;
  /** Counts what happened. */
  count(what: string): void;
};

class DiskError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`simulated ${code}`);
    this.code = code;
  }
}

/** Stands in for the Worker of one outbox. */
export class SimWorker {
  readonly #parts: WorkerParts;
  readonly #engine: Engine;
  #queue: Call[] = [];
  #listener: Listener | undefined;
  #scheduled = false;
  #answeredAt = 0;
  #ended = false;
  /** Texts of refused records that the failed file may hold until it is opened again. */
  readonly #leftBehind = new Set<string>();
  #before: { dir: string; at: number } | undefined;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#engine = new Engine(realDisk, parts.clock);
  }

  addEventListener(type: string, listener: Listener): void {
    if (type === "message") this.#listener = listener;
  }

  /** A bundle of calls, as `workerClient` sends it. */
  postMessage(bundle: string): void {
    if (this.#ended) return;
    this.#queue.push(...(callsOf(bundle) as Call[]));
    if (this.#scheduled) return;
    this.#scheduled = true;
    const { clock, chance, faults } = this.#parts;
    clock.after(chance.is(faults.slow) ? 300 : chance.between(0.2, 3), () => this.#flush());
  }

  terminate(): void {
    this.#end();
  }

  /** The process is gone: what was committed is left in a new folder, everything else is lost. */
  kill(imageDir: string): void {
    const { clock, dir, patch } = this.#parts;
    const { lostWithinMs = 0 } = patch;
    const before = this.#before !== undefined && clock.now() - this.#before.at <= lostWithinMs;
    this.image(imageDir, before ? this.#before?.dir : dir);
    this.#end();
    rmSync(dir, { recursive: true, force: true });
  }

  /** A copy of the files as they are now. */
  image(to: string, from = this.#parts.dir): void {
    this.#noteMaybe();
    // A process that ended before its first event has made nothing yet.
    if (existsSync(from)) cpSync(from, to, { recursive: true });
  }

  #noteMaybe(): void {
    for (const text of this.#leftBehind) this.#parts.ledger.maybeStored.add(text);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#noteMaybe();
    this.#queue = [];
    this.#engine.methods.close({});
    this.#engine.runTogether([]);
    if (this.#before !== undefined) rmSync(this.#before.dir, { recursive: true, force: true });
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#ended) return;
    const calls = this.#queue;
    this.#queue = [];
    const { clock, chance, patch, ledger, name, count } = this.#parts;
    if (patch.lostWithinMs !== undefined) this.#keepBefore();
    const isLoad = calls.some(({ method }) => method === "load");
    const fault = isLoad ? undefined : this.#fault();
    const replies = this.#run(calls, fault);
    const names = calls.map(({ method }) => method).join();
    ledger.trace(clock.monotonic(), `${name} disk ${names} ${fault ?? ""}`);
    if (fault === undefined) this.#note(calls, replies);
    else count(`disk ${fault}`);
    // A port keeps the order of its messages.
    const at = Math.max(this.#answeredAt, clock.monotonic() + chance.between(0.01, 0.5));
    this.#answeredAt = at;
    clock.after(at - clock.monotonic(), () => {
      if (!this.#ended) this.#listener?.({ data: JSON.stringify(replies) });
    });
  }

  #run(calls: readonly Call[], fault: keyof DiskFaults | undefined): Reply[] {
    const replies: Reply[] = [];
    const runs = calls.map((call) => () => {
      replies.push(this.#answer(call));
    });
    const code = fault === "full" ? "SQLITE_FULL" : "SQLITE_IOERR_FSYNC";
    const fail = () => {
      throw new DiskError(code);
    };
    try {
      this.#engine.runTogether(fault === undefined || fault === "ambiguous" ? runs : [...runs, fail]);
      if (fault !== "ambiguous") return replies;
      this.#noteLeftBehind(calls);
      this.#engine.runTogether([fail]);
    } catch (error) {
      const { name, message } =
        error instanceof Error ? error : { name: diskFailedName, message: `${error}` };
      return calls.map(({ id }) => ({ id, error: { name, message } }));
    }
    return replies;
  }

  #answer({ id, method, argument }: Call): Reply {
    const { patch, dir } = this.#parts;
    try {
      if (method === "load") patch.opening?.(dir);
      const given = patch.argument?.(method, argument) ?? argument;
      // The methods are called by name, as the real worker does.
      const run = this.#engine.methods[method] as (argument: unknown) => unknown;
      const value = run(given);
      const { methods } = this.#engine;
      return { id, value: patch.value?.({ method, argument: given, value, methods }) ?? value };
    } catch (error) {
      const { name, message } = error instanceof Error ? error : { name: "Error", message: `${error}` };
      return { id, error: { name, message } };
    }
  }

  #fault(): keyof DiskFaults | undefined {
    const { chance, faults } = this.#parts;
    const drawn = chance.fraction();
    if (drawn < faults.full) return "full";
    if (drawn < faults.full + faults.failed) return "failed";
    return drawn < faults.full + faults.failed + faults.ambiguous ? "ambiguous" : undefined;
  }

  #note(calls: readonly Call[], replies: readonly Reply[]): void {
    const { lineage, ledger, clock, name } = this.#parts;
    for (const [index, { method, argument }] of calls.entries()) {
      const value = replies[index]?.value;
      if (method === "load" && value !== undefined) this.#leftBehind.clear();
      if (method !== "enqueue" || value === undefined) continue;
      const reply = value as EnqueueReply;
      ledger.trace(clock.monotonic(), `${name} disk enqueue ${reply.status}`);
      if (reply.status === "stored")
        lineage.taken.push({ id: reply.id, messageId: (argument as NewRecord).messageId });
    }
  }

  #noteLeftBehind(calls: readonly Call[]): void {
    for (const { method, argument } of calls) {
      if (method !== "enqueue") continue;
      this.#leftBehind.add(String(JSON.parse((argument as NewRecord).argumentsJson).body));
    }
  }

  #keepBefore(): void {
    const { dir, clock } = this.#parts;
    const before = `${dir}.before`;
    rmSync(before, { recursive: true, force: true });
    this.image(before);
    this.#before = { dir: before, at: clock.now() };
  }
}

/** Runs `start`, which makes its Worker before its first await, with a simulated one. */
export function withWorker<Value>(worker: SimWorker, start: () => Value): Value {
  const real = globalThis.Worker;
  // A constructor that returns an object gives that object to `new`.
  Reflect.set(globalThis, "Worker", function made() {
    return worker;
  });
  try {
    return start();
  } finally {
    Reflect.set(globalThis, "Worker", real);
  }
}
