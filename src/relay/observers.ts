/** The parts of a relay that watch: its audit log, its figures, its counts. Made together, whoever makes a relay. */
import type { Clock } from "../base/clock.ts";
import { createFailedLogins } from "../base/failed-logins.ts";
import { createHolds } from "../base/holds.ts";
import type { Log } from "../base/log.ts";
import { limits } from "../limits.ts";
import type { RelayStore } from "../store/store.ts";
import { createAudit } from "./audit.ts";
import { createBackups } from "./backup.ts";
import { keptCounts } from "./counts.ts";
import { createMetrics } from "./metrics.ts";
import { createRefusals } from "./refusals.ts";
import type { Relay } from "./relay.ts";

export type Observers = Pick<
  Relay,
  "audit" | "backups" | "metrics" | "refusals" | "failedLogins" | "rateHolds" | "counts" | "residentBytes"
>;

/**
 * The observers of a relay.
 * @param options.failedLoginsMax failed logins of one address in a minute that are answered at once
 * @param options.residentBytes memory of the process; 0 where nobody asks
 */
export function createObservers(options: {
  store: RelayStore;
  clock: Clock;
  log: Log;
  failedLoginsMax?: number | undefined;
  residentBytes?: () => number;
  /** The private folder for backups; without it none can be made. */
  backupFolder?: () => string;
}): Observers {
  const { store, clock, log, residentBytes = () => 0, backupFolder = noFolder } = options;
  const { failedLoginsMax = limits.failedLoginsMax } = options;
  const metrics = createMetrics();
  const audit = createAudit({
    store,
    clock,
    failed(kind, error) {
      metrics.count("agent_relay_audit_failures_total");
      log.error("An audit entry could not be written", { kind, error });
    },
  });
  return {
    metrics,
    audit,
    backups: createBackups({ store, clock, log, audit, folder: backupFolder }),
    refusals: createRefusals({ audit, clock }),
    failedLogins: createFailedLogins({ clock, limits: { ...limits, failedLoginsMax } }),
    rateHolds: createHolds({
      clock,
      ms: limits.rateHoldMs,
      max: limits.rateHeldMax,
      eachMax: limits.rateHeldPerTokenMax,
    }),
    counts: keptCounts(
      () => store.counts(),
      () => clock.monotonic(),
    ),
    residentBytes,
  };
}

function noFolder(): never {
  throw new Error("Make a backup: this relay has no folder for it");
}
