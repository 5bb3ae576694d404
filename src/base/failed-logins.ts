/**
 * Slows down whoever guesses at a secret: after some failures within a time each further one is answered late. Who
 * shows the right secret is never asked here, so never kept waiting. One for each server, shared by all of them.
 */
import type { Limits } from "../limits.ts";
import type { Clock } from "./clock.ts";
import { createHolds } from "./holds.ts";

export type FailedLogins = {
  /**
   * Counts a failed login.
   * @param peer who it came from: an address, or one word where peers cannot be told apart
   * @returns undefined when it may be answered now, else a promise that resolves when it may; it never rejects
   */
  count(peer: string): Promise<void> | undefined;
  /** Lets everything that is held be answered; nothing is held from now on. */
  close(): void;
};

export type FailedLoginsOptions = {
  clock: Clock;
  limits: Pick<
    Limits,
    | "failedLoginsMax"
    | "failedLoginsWindowMs"
    | "failedLoginDelayMs"
    | "failedLoginPeersMax"
    | "failedLoginsHeldMax"
  >;
};

type Window = { until: number; failures: number };

/** All peers for whom there is no room. */
const crowd = "";

/** The failed logins of one server. */
export function createFailedLogins({ clock, limits }: FailedLoginsOptions): FailedLogins {
  /** By peer, the oldest first: all last equally long, so those that are over stand at the front. */
  const windows = new Map<string, Window>();
  const holds = createHolds({ clock, ms: limits.failedLoginDelayMs, max: limits.failedLoginsHeldMax });

  const windowOf = (peer: string): Window => {
    const now = clock.monotonic();
    for (const [key, { until }] of windows) {
      if (until > now) break;
      windows.delete(key);
    }
    const key = windows.has(peer) || windows.size < limits.failedLoginPeersMax ? peer : crowd;
    const window = windows.get(key) ?? { until: now + limits.failedLoginsWindowMs, failures: 0 };
    windows.set(key, window);
    return window;
  };

  return {
    count(peer) {
      const window = windowOf(peer);
      window.failures += 1;
      return window.failures > limits.failedLoginsMax ? holds.hold(peer) : undefined;
    },
    close: () => holds.close(),
  };
}
