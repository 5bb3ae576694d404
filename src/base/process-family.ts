/**
 * A process with everything it has started: its process group, its descendants, and those that were found before
 * their parent ended. Every number is checked against its start time before it is signalled, because numbers are
 * given to new processes again.
 */
import { type Clock, sleep } from "./clock.ts";
import { type ProcessRow, treeOf } from "./process-table.ts";

/** Enough to find a process again, also after a restart of this program. */
export type ProcessIdentity = {
  pid: number;
  /** The process group that belongs to it alone; undefined when it shares the group of its starter. */
  group: number | undefined;
  /** As `ProcessRow.startTime`. */
  startTime: string;
};

export type Family = {
  /** How many of its processes are alive now. */
  alive(): number;
  /** Signals all of them; how many there were. SIGKILL stops them first, so that none forks away in between. */
  signal(signal: NodeJS.Signals): number;
};

/** What a family needs of the machine. */
export type ProcessAccess = {
  read(): readonly ProcessRow[];
  /** False when there is no such process or group. A negative number is a group. */
  kill(pid: number, signal: NodeJS.Signals): boolean;
  /** This program's own process: never a member. */
  self: number;
};

/** The family of one process. Remembers every member it has found, so that orphans stay members. */
export function familyOf(identity: ProcessIdentity, access: ProcessAccess): Family {
  const known = new Map<number, string>([[identity.pid, identity.startTime]]);
  const members = () => {
    const rows = access.read();
    for (const row of [...descendants(identity, rows), ...groupMembers(identity, rows)]) {
      if (row.pid !== access.self && row.pid > 1) known.set(row.pid, row.startTime);
    }
    const found = rows.filter((row) => known.get(row.pid) === row.startTime);
    // Children of remembered orphans are members too.
    const more = found.flatMap((row) => treeOf(row.pid, rows)).filter((row) => row.pid !== access.self);
    for (const row of more) known.set(row.pid, row.startTime);
    return [...new Map(more.map((row) => [row.pid, row])).values()];
  };
  const signalOnce = (signal: NodeJS.Signals) => {
    const found = members();
    for (const row of found) access.kill(row.pid, signal);
    return found.length;
  };
  return {
    alive: () => members().length,
    signal(signal) {
      if (signal !== "SIGKILL") return signalOnce(signal);
      signalOnce("SIGSTOP");
      return signalOnce("SIGKILL");
    },
  };
}

/** What became of a recorded process: it was gone, its number belongs to another, it was ended, or it will not end. */
export type FamilyEnd = "gone" | "recycled" | "ended" | "alive";

/**
 * Ends a recorded process and its family: SIGTERM, after `askMs` SIGKILL. Signals nothing when the number now belongs
 * to another process. When the recorded process itself is gone, what it left behind cannot be told from others and
 * is left alone.
 */
export async function endFamily(
  identity: ProcessIdentity,
  access: ProcessAccess,
  wait: { clock: Clock; askMs: number; forceMs: number },
): Promise<FamilyEnd> {
  const row = access.read().find(({ pid }) => pid === identity.pid);
  if (row === undefined) return "gone";
  if (row.startTime !== identity.startTime) return "recycled";
  const family = familyOf(identity, access);
  family.signal("SIGTERM");
  if (await familyGone(family, wait.clock, wait.askMs)) return "ended";
  family.signal("SIGKILL");
  return (await familyGone(family, wait.clock, wait.forceMs)) ? "ended" : "alive";
}

/** True as soon as no member is alive, false after `ms`. */
export async function familyGone(family: Family, clock: Clock, ms: number): Promise<boolean> {
  const end = clock.monotonic() + ms;
  for (let pause = 2; family.alive() > 0; pause = Math.min(50, pause * 2)) {
    if (clock.monotonic() >= end) return false;
    await sleep(clock, pause);
  }
  return true;
}

function descendants(identity: ProcessIdentity, rows: readonly ProcessRow[]): ProcessRow[] {
  return isSame(identity, rows) ? treeOf(identity.pid, rows) : [];
}

function groupMembers(identity: ProcessIdentity, rows: readonly ProcessRow[]): ProcessRow[] {
  const leader = rows.find(({ pid }) => pid === identity.group);
  // A group number is not given away while the group has members: only a leader of another start time disproves it.
  if (identity.group === undefined || (leader !== undefined && !isSame(identity, rows))) return [];
  return rows.filter(({ group }) => group === identity.group);
}

function isSame(identity: ProcessIdentity, rows: readonly ProcessRow[]): boolean {
  return rows.some((row) => row.pid === identity.pid && row.startTime === identity.startTime);
}
