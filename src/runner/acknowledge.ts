/**
 * Tells the relay how far messages have got on this machine: handed to this runner, and seen by the agent. Of what was
 * seen only the highest seq counts. One request of each kind is under way at a time, and a failed one is made again
 * when the relay is back: until then the messages are simply shown again.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { limits } from "../limits.ts";

export type Acknowledger = {
  /** This runner has the message. */
  handed(messageId: string): void;
  /** The agent has seen everything up to this seq. */
  seen(seq: number): void;
  /** The relay answers again. */
  retry(): void;
};

/** How the relay is told; both reject when that failed. */
export type AcknowledgeBy = {
  seen(seq: number): Promise<unknown>;
  handed(messageIds: string[]): Promise<unknown>;
};

/** What was handed over is reported in bundles: a request for each message would use up what the runner may ask. */
export function acknowledger(
  relay: AcknowledgeBy,
  { clock, log }: { clock: Pick<Clock, "after">; log: Log },
): Acknowledger {
  let wanted = 0;
  let done = 0;
  const seen = single(
    () => done < wanted,
    async () => {
      const seq = wanted;
      await relay.seen(seq);
      done = seq;
    },
    (error) => log.debug("The inbox was not acknowledged", { error, seq: wanted }),
  );
  const waiting = new Set<string>();
  let lingering = false;
  const handed = single(
    () => waiting.size > 0,
    async () => {
      const ids = [...waiting].slice(0, limits.inboxPageMax);
      await relay.handed(ids);
      for (const id of ids) waiting.delete(id);
    },
    (error) => log.debug("That messages were handed over was not reported", { error, count: waiting.size }),
  );
  return {
    handed(messageId) {
      // Beyond the bound a step of a receipt is missing, which receipts allow.
      if (waiting.size < limits.handedWaitingMax) waiting.add(messageId);
      if (lingering) return;
      lingering = true;
      clock.after(limits.handedLingerMs, () => {
        lingering = false;
        handed();
      });
    },
    seen(seq) {
      wanted = Math.max(wanted, seq);
      seen();
    },
    retry() {
      seen();
      handed();
    },
  };
}

/** A function that does the work while there is some, once at a time, and stops at a failure. */
function single(
  isWanted: () => boolean,
  work: () => Promise<void>,
  failed: (error: unknown) => void,
): () => void {
  let busy = false;
  const run = async () => {
    if (busy) return;
    busy = true;
    try {
      while (isWanted()) await work();
    } catch (error) {
      failed(error);
    } finally {
      busy = false;
    }
  };
  return () => void run();
}
