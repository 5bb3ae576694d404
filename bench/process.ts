/** CPU time and memory of processes, from /proc (Linux). */
import { readFileSync } from "node:fs";
import { readProcFolder, treeOf } from "../src/base/process-table.ts";

/** Kernel clock ticks per second: 100 on every Linux that Bun runs on. */
const ticksPerSecond = 100;

/** A process and everything it started. */
export function familyOf(pid: number): number[] {
  return treeOf(pid, readProcFolder() ?? []).map((row) => row.pid);
}

/** CPU seconds, user and system, of a process and everything it started. */
export function cpuSeconds(pid: number): number {
  return familyOf(pid).reduce((sum, member) => sum + ticksOf(member), 0) / ticksPerSecond;
}

/** Resident memory of a process and everything it started, MiB. */
export function residentMiB(pid: number): number {
  const kib = familyOf(pid).map((member) => {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${member}/status`, "utf8"));
    return Number(match?.[1] ?? "0");
  });
  return kib.reduce((sum, size) => sum + size, 0) / 1024;
}

function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
