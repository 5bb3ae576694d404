/**
 * Tells the relay that messages are in the conversation, and that they were read. Each stage has one request under way
 * at a time; what could not be told is told when the relay is back. Steps may be missing: receipts allow that.
 */
import type { Log } from "../base/log.ts";

export type Stage = "injected" | "read";

export type Receipts = {
  report(stage: Stage, messages: readonly string[]): void;
  /** The relay answers again. */
  retry(): void;
  /** Resolves when nothing is left to tell, or the relay did not take it. */
  flush(): Promise<void>;
};

export type ReceiptOptions = {
  /** Tells the relay; rejects when that failed. */
  send(stage: Stage, messages: string[]): Promise<unknown>;
  /** Messages of one request, and messages that may wait. */
  pageMax: number;
  waitingMax: number;
  log: Log;
};

/** Collects what is to be told. */
export function createReceipts({ send, pageMax, waitingMax, log }: ReceiptOptions): Receipts {
  const waiting: Record<Stage, Set<string>> = { injected: new Set(), read: new Set() };
  let running: Promise<void> | undefined;
  const work = async () => {
    for (const stage of ["injected", "read"] as const)
      while (waiting[stage].size > 0) {
        const page = [...waiting[stage]].slice(0, pageMax);
        await send(stage, page);
        for (const id of page) waiting[stage].delete(id);
      }
  };
  const start = (): Promise<void> => {
    running ??= work()
      .catch((error: unknown) => log.debug("Receipts were not reported", { error }))
      .finally(() => {
        running = undefined;
      });
    return running;
  };
  return {
    report(stage, messages) {
      for (const id of messages) if (waiting[stage].size < waitingMax) waiting[stage].add(id);
      void start();
    },
    retry: () => void start(),
    flush: start,
  };
}
