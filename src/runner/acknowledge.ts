/**
 * Tells the relay which messages the agent has seen. Only the highest seq counts, one request is under way at a
 * time, and a failed one is tried again when the relay is back: until then the messages are simply shown again.
 */
import type { Log } from "../base/log.ts";

export type Acknowledger = {
  /** The agent has seen everything up to this seq. */
  seen(seq: number): void;
  /** The relay answers again. */
  retry(): void;
};

/** @param send acknowledges at the relay; rejects when that failed */
export function acknowledger(send: (seq: number) => Promise<unknown>, log: Log): Acknowledger {
  let wanted = 0;
  let done = 0;
  let busy = false;
  const flush = async () => {
    if (busy) return;
    busy = true;
    try {
      while (done < wanted) {
        const seq = wanted;
        await send(seq);
        done = seq;
      }
    } catch (error) {
      log.debug("The inbox was not acknowledged", { error, seq: wanted });
    } finally {
      busy = false;
    }
  };
  return {
    seen(seq) {
      wanted = Math.max(wanted, seq);
      void flush();
    },
    retry: () => void flush(),
  };
}
