/**
 * Tells the relay how far messages have got on this machine: handed to this runner, and seen by the agent. Of what was
 * seen only the highest seq counts. One request of each kind is under way at a time, and a failed one is made again after
 * a while, or when the relay is back: until then the messages are simply shown again.
 */
import { backoff } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { persistentWork } from "../base/persistent.ts";
import type { Random } from "../base/random.ts";
import { limits } from "../limits.ts";

export type Acknowledger = {
  /** This runner has the message. */
  handed(messageId: string): void;
  /** The agent has seen everything up to this seq. */
  seen(seq: number): void;
  /** The relay answers again. */
  retry(): void;
  /** Tells nothing more by itself. */
  close(): void;
};

/** How the relay is told; both reject when that failed. */
export type AcknowledgeBy = {
  seen(seq: number): Promise<unknown>;
  handed(messageIds: string[]): Promise<unknown>;
};

/** What was handed over is reported in bundles: a request for each message would use up what the runner may ask. */
export function acknowledger(
  relay: AcknowledgeBy,
  { clock, random, log }: { clock: Pick<Clock, "after">; random: Random; log: Log },
): Acknowledger {
  let wanted = 0;
  let done = 0;
  const pauses = () =>
    backoff({ baseMs: limits.deliveryBackoffBaseMs, capMs: limits.deliveryBackoffCapMs, random });
  const seen = persistentWork({
    wanted: () => done < wanted,
    async work() {
      const seq = wanted;
      await relay.seen(seq);
      done = seq;
    },
    failed: (error) => log.debug("The inbox was not acknowledged", { error, seq: wanted }),
    clock,
    delays: pauses(),
  });
  const waiting = new Set<string>();
  let lingering = false;
  const handed = persistentWork({
    wanted: () => waiting.size > 0,
    async work() {
      const ids = [...waiting].slice(0, limits.inboxPageMax);
      await relay.handed(ids);
      for (const id of ids) waiting.delete(id);
    },
    failed: (error) =>
      log.debug("That messages were handed over was not reported", { error, count: waiting.size }),
    clock,
    delays: pauses(),
  });
  return {
    handed(messageId) {
      // Beyond the bound a step of a receipt is missing, which receipts allow.
      if (waiting.size < limits.handedWaitingMax) waiting.add(messageId);
      if (lingering) return;
      lingering = true;
      clock.after(limits.handedLingerMs, () => {
        lingering = false;
        handed.wake();
      });
    },
    seen(seq) {
      wanted = Math.max(wanted, seq);
      seen.wake();
    },
    retry() {
      void seen.now();
      void handed.now();
    },
    close() {
      seen.close();
      handed.close();
    },
  };
}
