/** Who belongs to a process, on machines made of rows. */
import { describe, expect, test } from "bun:test";
import { realClock } from "./clock.ts";
import { endFamily, familyOf, type ProcessAccess } from "./process-family.ts";
import type { ProcessRow } from "./process-table.ts";

/** A machine of rows: SIGTERM ends what is polite, SIGKILL ends everything. */
function machine(rows: (ProcessRow & { stubborn?: boolean })[]) {
  let alive = [...rows];
  const signals: [number, string][] = [];
  const access: ProcessAccess = {
    self: 99,
    read: () => alive,
    kill(pid, signal) {
      signals.push([pid, signal]);
      alive = alive.filter(
        (row) => row.pid !== pid || (signal !== "SIGKILL" && (signal !== "SIGTERM" || row.stubborn === true)),
      );
      return true;
    },
  };
  return { access, signals, remove: (pid: number) => (alive = alive.filter((row) => row.pid !== pid)) };
}
const row = (pid: number, parent: number, group: number, startTime = `start of ${pid}`) => ({
  pid,
  parent,
  group,
  startTime,
});
const wait = { clock: realClock, askMs: 20, forceMs: 20 };

describe("a family", () => {
  test("holds the group, and descendants that left the group", () => {
    const { access, signals } = machine([row(10, 1, 10), row(11, 10, 10), row(12, 11, 12), row(50, 1, 50)]);
    expect(familyOf({ pid: 10, group: 10, startTime: "start of 10" }, access).signal("SIGTERM")).toBe(3);
    expect(signals.map(([pid]) => pid).sort()).toEqual([10, 11, 12]);
  });

  test("without a group of its own never holds its group mates, its starter least of all", () => {
    const { access, signals } = machine([row(99, 1, 5), row(98, 1, 5), row(10, 99, 5), row(11, 10, 5)]);
    familyOf({ pid: 10, group: undefined, startTime: "start of 10" }, access).signal("SIGTERM");
    expect(signals.map(([pid]) => pid).sort()).toEqual([10, 11]);
  });

  test("keeps a member whose parent has ended, and what that member starts later", () => {
    const rows = [row(10, 99, 5), row(11, 10, 5), row(12, 1, 5)];
    const world = machine(rows);
    const family = familyOf({ pid: 10, group: undefined, startTime: "start of 10" }, world.access);
    expect(family.alive()).toBe(2);
    world.remove(10);
    rows[2] = row(12, 11, 5);
    expect(family.alive()).toBe(1);
  });

  test("is stopped before it is killed", () => {
    const { access, signals } = machine([row(10, 1, 10), row(11, 10, 10)]);
    familyOf({ pid: 10, group: 10, startTime: "start of 10" }, access).signal("SIGKILL");
    expect(signals.map(([, signal]) => signal)).toEqual(["SIGSTOP", "SIGSTOP", "SIGKILL", "SIGKILL"]);
  });

  test("does not hold the members of a group whose leader is another process of the same number", () => {
    const { access } = machine([row(10, 1, 10, "a later start"), row(11, 10, 10)]);
    expect(familyOf({ pid: 10, group: 10, startTime: "start of 10" }, access).alive()).toBe(0);
  });
});

describe("ending a recorded process", () => {
  const recorded = { pid: 10, group: 10, startTime: "start of 10" };

  test("a number that was given to another process is not signalled", async () => {
    const { access, signals } = machine([row(10, 1, 10, "a later start"), row(11, 10, 10)]);
    expect(await endFamily(recorded, access, wait)).toBe("recycled");
    expect(signals).toEqual([]);
  });

  test("a process that is gone is not signalled", async () => {
    const { access, signals } = machine([row(11, 1, 10)]);
    expect(await endFamily(recorded, access, wait)).toBe("gone");
    expect(signals).toEqual([]);
  });

  test("a polite family is asked only", async () => {
    const { access, signals } = machine([row(10, 1, 10), row(11, 10, 10)]);
    expect(await endFamily(recorded, access, wait)).toBe("ended");
    expect(signals).toEqual([
      [10, "SIGTERM"],
      [11, "SIGTERM"],
    ]);
  });

  test("a stubborn one is forced", async () => {
    const { access, signals } = machine([row(10, 1, 10), { ...row(11, 10, 10), stubborn: true }]);
    expect(await endFamily(recorded, access, wait)).toBe("ended");
    expect(signals.at(-1)).toEqual([11, "SIGKILL"]);
  });

  test("one that cannot be ended is reported as alive", async () => {
    const { access } = machine([row(10, 1, 10)]);
    const immune: ProcessAccess = { ...access, kill: () => false };
    expect(await endFamily(recorded, immune, wait)).toBe("alive");
  });
});
