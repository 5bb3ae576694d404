/** What every operation of the relay works with. Made by the wiring, passed to each room's functions. */
import type { Clock } from "../base/clock.ts";
import type { FailedLogins } from "../base/failed-logins.ts";
import type { Holds } from "../base/holds.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { RelayStore } from "../store/store.ts";
import type { Access } from "./access.ts";
import type { Audit } from "./audit.ts";
import type { Backups } from "./backup.ts";
import type { KeptCounts } from "./counts.ts";
import type { Hub } from "./hub.ts";
import type { Metrics } from "./metrics.ts";
import type { ObligationTimer } from "./obligation-timer.ts";
import type { Refusals } from "./refusals.ts";
import type { Streams } from "./streams.ts";

export type Relay = {
  readonly store: RelayStore;
  readonly access: Access;
  readonly hub: Hub;
  readonly streams: Streams;
  /** Keeps the time of replies that are owed. */
  readonly obligations: ObligationTimer;
  /** Writes down who did what; resolves once it is durable, never rejects. */
  readonly audit: Audit;
  readonly backups: Backups;
  readonly metrics: Metrics;
  /** Counts refusals and writes them into the audit log, bounded. */
  readonly refusals: Refusals;
  /** Slows down guesses at tokens. */
  readonly failedLogins: FailedLogins;
  /** Slows down loops: refusals of requests over the rate. */
  readonly rateHolds: Holds;
  /** Counts of the store, kept for a moment. */
  readonly counts: KeptCounts;
  /** Memory of this process. */
  readonly residentBytes: () => number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly version: string;
  /** ms since 1970. */
  readonly startedAt: number;
};

/** A time as the API gives it: ISO 8601 in UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
