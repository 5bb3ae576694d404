/**
 * Reads which processes there are: parents, groups, and when each was started, which is what tells a process from a
 * later one with the same number. Linux: `/proc`; macOS: `ps`, run by the caller. Starts and signals nothing.
 */
import { readdirSync, readFileSync } from "node:fs";

/** One living process. */
export type ProcessRow = {
  pid: number;
  parent: number;
  group: number;
  /** Equal for the same process only; to be compared, not read. Differs after a reboot. */
  startTime: string;
};

/** The arguments of `ps` whose output `parsePs` reads. */
export const psArguments = ["-A", "-o", "pid=,ppid=,pgid=,stat=,lstart="] as const;

/** A line of `/proc/<pid>/stat` (proc_pid_stat(5)); undefined when it is damaged or the process is a zombie. */
export function parseStat(text: string, bootId: string): ProcessRow | undefined {
  // The program's name is in parentheses and may hold anything, further parentheses too.
  const pid = Number.parseInt(text, 10);
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .trim()
    .split(" ");
  const [state, parent, group] = fields;
  const ticks = fields[19];
  if (state === undefined || ticks === undefined || state === "Z" || state === "X") return undefined;
  const row = { pid, parent: Number(parent), group: Number(group), startTime: `${bootId}/${ticks}` };
  return [row.pid, row.parent, row.group].every(Number.isInteger) ? row : undefined;
}

/** The output of `ps` with `psArguments`, zombies left out. */
export function parsePs(text: string): ProcessRow[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line);
    if (match === null) return [];
    const [, pid, parent, group, state = "", startTime = ""] = match;
    if (state.startsWith("Z")) return [];
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group), startTime }];
  });
}

/** Every living process by `/proc`; undefined where there is no such folder. */
export function readProcFolder(): ProcessRow[] | undefined {
  const bootId = readBootId();
  if (bootId === undefined) return undefined;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readEntry(name, bootId));
}

/** The process of that number by `/proc`, in an array of at most one; undefined where there is no such folder. */
export function readProcEntry(pid: number): ProcessRow[] | undefined {
  const bootId = readBootId();
  return bootId === undefined ? undefined : readEntry(String(pid), bootId);
}

/** The processes started by `root`, by those that it started, and so on; `root` itself first when it is alive. */
export function treeOf(root: number, rows: readonly ProcessRow[]): ProcessRow[] {
  const tree = rows.filter((row) => row.pid === root);
  const seen = new Set([root]);
  const parents = [root];
  for (const parent of parents) {
    for (const row of rows) {
      if (row.parent !== parent || seen.has(row.pid)) continue;
      seen.add(row.pid);
      parents.push(row.pid);
      tree.push(row);
    }
  }
  return tree;
}

function readEntry(name: string, bootId: string): ProcessRow[] {
  const text = readText(`/proc/${name}/stat`);
  const row = text === undefined ? undefined : parseStat(text, bootId);
  return row === undefined ? [] : [row];
}

function readBootId(): string | undefined {
  return readText("/proc/sys/kernel/random/boot_id")?.trim();
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
