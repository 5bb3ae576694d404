/**
 * Tells the relay what the agent does: at every change, and again as a heartbeat so that it goes on being believed. One
 * request at a time; only the newest state is ever told.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { ReportedState } from "../wire/presence.ts";

export type PresenceReporter = {
  /** What the agent does now; undefined when that is not known any more. */
  is(state: ReportedState | undefined): void;
  /** The relay answers again. */
  retry(): void;
  close(): void;
};

export type PresenceOptions = {
  /** Tells the relay; rejects when that failed. */
  report(state: ReportedState): Promise<unknown>;
  /** Between two heartbeats, ms. */
  heartbeatMs: number;
  clock: Clock;
  log: Log;
};

/** Reports from now on until it is closed. */
export function presenceReporter({ report, heartbeatMs, clock, log }: PresenceOptions): PresenceReporter {
  let state: ReportedState | undefined;
  let told: ReportedState | undefined;
  let busy = false;
  let closed = false;
  let cancel = () => {};
  const send = async () => {
    if (busy) return;
    busy = true;
    try {
      while (!closed && state !== undefined && state !== told) {
        const now = state;
        await report(now);
        told = now;
      }
    } catch (error) {
      log.debug("What the agent does was not reported", { error });
    } finally {
      busy = false;
    }
  };
  const beat = () => {
    cancel = clock.after(heartbeatMs, () => {
      told = undefined;
      void send();
      beat();
    });
  };
  beat();
  return {
    is(next) {
      state = next;
      void send();
    },
    retry() {
      told = undefined;
      void send();
    },
    close() {
      closed = true;
      cancel();
    },
  };
}
