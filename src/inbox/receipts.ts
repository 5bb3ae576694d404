/**
 * Tells the relay that messages are in the conversation, and that they were read: one request at a time, in this order.
 * What could not be told is told again after a while, and when the relay is back. Steps may be missing: receipts allow that.
 */
import { backoff } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { persistentWork } from "../base/persistent.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";

const stages = ["injected", "read"] as const;
export type Stage = (typeof stages)[number];

export type Receipts = {
  report(stage: Stage, messages: readonly string[]): void;
  /** The relay answers again. */
  retry(): void;
  /** Resolves when nothing is left to tell, or the relay did not take it. */
  flush(): Promise<void>;
  /** Tells nothing more by itself. */
  close(): void;
};

export type ReceiptOptions = {
  /** Tells the relay; rejects when that failed. */
  send(stage: Stage, messages: string[]): Promise<unknown>;
  clock: Pick<Clock, "after">;
  random: Random;
  limits: Pick<
    Limits,
    "inboxPageMax" | "handedWaitingMax" | "deliveryBackoffBaseMs" | "deliveryBackoffCapMs"
  >;
  log: Log;
};

/** Collects what is to be told. */
export function createReceipts(options: ReceiptOptions): Receipts {
  const { send, clock, random, limits, log } = options;
  const waiting: Record<Stage, Set<string>> = { injected: new Set(), read: new Set() };
  const next = () => stages.find((stage) => waiting[stage].size > 0);
  const telling = persistentWork({
    wanted: () => next() !== undefined,
    async work() {
      const stage = next() ?? "read";
      const page = [...waiting[stage]].slice(0, limits.inboxPageMax);
      await send(stage, page);
      for (const id of page) waiting[stage].delete(id);
    },
    failed: (error) => log.debug("Receipts were not reported", { error }),
    clock,
    delays: backoff({ baseMs: limits.deliveryBackoffBaseMs, capMs: limits.deliveryBackoffCapMs, random }),
  });
  return {
    report(stage, messages) {
      for (const id of messages) if (waiting[stage].size < limits.handedWaitingMax) waiting[stage].add(id);
      telling.wake();
    },
    retry: () => void telling.now(),
    flush: telling.now,
    close: telling.close,
  };
}
