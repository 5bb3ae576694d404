/**
 * Backups while the relay runs: one at a time, each a private file in the relay's own folder. Whoever asked may wait
 * a moment and then ask again; the work itself belongs to the relay.
 */
import type { Clock } from "../base/clock.ts";
import { sleep } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { limits } from "../limits.ts";
import type { RelayStore } from "../store/store.ts";
import { RelayError } from "../wire/error.ts";
import type { Audit, AuditEvent } from "./audit.ts";

/** A backup: under way, there, or not made. */
export type Backup = {
  id: string;
  state: "running" | "done" | "failed";
  /** Where it is on the relay's machine. */
  file: string;
  /** ms since 1970. */
  startedAt: number;
  endedAt?: number;
  bytes?: number;
  why?: string;
};

export type Backups = {
  /**
   * Begins a backup, and waits for it for at most `limits.backupWaitMs`.
   * @throws RelayError unavailable while another one is under way
   */
  begin(by: AuditEvent["by"]): Promise<Backup>;
  /** One of the last ones. @throws RelayError not_found */
  find(id: string): Backup;
};

export type BackupParts = {
  store: RelayStore;
  clock: Clock;
  log: Log;
  audit: Audit;
  /** The folder for backups, made private; called before each. */
  folder(): string;
};

/** The backups of one process. */
export function createBackups(parts: BackupParts): Backups {
  const { store, clock, folder } = parts;
  const known = new Map<string, Backup>();
  const running = () => [...known.values()].find(({ state }) => state === "running");

  return {
    async begin(by) {
      const other = running();
      if (other !== undefined) {
        throw new RelayError("unavailable", `Make a backup: ${other.id} is under way, one at a time is made`);
      }
      const startedAt = clock.now();
      const id = `${new Date(startedAt).toISOString().replaceAll(/[:.]/g, "-")}-g${store.identity.generation}`;
      const backup: Backup = { id, state: "running", file: `${folder()}/relay-${id}.sqlite`, startedAt };
      known.set(id, backup);
      const oldest = known.size > limits.backupsKnownMax ? known.keys().next().value : undefined;
      if (oldest !== undefined) known.delete(oldest);
      await Promise.race([write(parts, backup, by), sleep(clock, limits.backupWaitMs)]);
      return { ...backup };
    },
    find(id) {
      const backup = known.get(id);
      if (backup !== undefined) return { ...backup };
      throw new RelayError(
        "not_found",
        `Find backup '${id}': this relay has made none of that id since it started`,
      );
    },
  };
}

/** Never rejects: what became of it is kept in the backup. */
async function write(
  { store, clock, log, audit }: BackupParts,
  backup: Backup,
  by: AuditEvent["by"],
): Promise<void> {
  const { id, file } = backup;
  try {
    const bytes = await store.backup(file);
    Object.assign(backup, { bytes });
    await audit({ kind: "backup_made", by, subject: file, facts: { bytes } });
    Object.assign(backup, { state: "done", endedAt: clock.now() });
    log.info("A backup was made", { id, file, bytes });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    Object.assign(backup, { state: "failed", endedAt: clock.now(), why });
    log.error("A backup failed", { id, file, error });
  }
}
