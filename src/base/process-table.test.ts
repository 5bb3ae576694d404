/** Reading the process table of both systems, and trees in it. */
import { describe, expect, test } from "bun:test";
import { type ProcessRow, parsePs, parseStat, treeOf } from "./process-table.ts";

const stat = (name: string, state: string) =>
  `812 (${name}) ${state} 800 812 812 0 -1 4194304 76 0 0 0 0 0 0 0 20 0 1 0 171773 2990080 420 0\n`;

describe("a line of /proc/<pid>/stat", () => {
  const row = { pid: 812, parent: 800, group: 812, startTime: "boot/171773" };
  const cases: [string, string, ProcessRow | undefined][] = [
    ["a plain name", stat("sleep", "S"), row],
    ["a name with parentheses and blanks", stat("a) R 1 1 (b", "S"), row],
    ["a name with a newline", stat("a\nb", "R"), row],
    ["a zombie", stat("sleep", "Z"), undefined],
    ["an empty text", "", undefined],
    ["half a line", "812 (sleep) S 800", undefined],
  ];
  test.each(cases)("%s", (_, text, wanted) => {
    expect(parseStat(text, "boot")).toEqual(wanted);
  });

  test("the same start after a reboot is another start", () => {
    const text = stat("sleep", "S");
    expect(parseStat(text, "boot")?.startTime).not.toBe(parseStat(text, "next boot")?.startTime);
  });
});

test("the output of ps, zombies left out", () => {
  const text = [
    "    1     0     1 Ss   Sat Nov 22 10:00:00 2026    ",
    "  812   800   812 S+   Sat Nov 22 19:10:03 2026    ",
    "  813   812   812 Z+   Sat Nov 22 19:10:04 2026    ",
    "",
  ].join("\n");
  expect(parsePs(text)).toEqual([
    { pid: 1, parent: 0, group: 1, startTime: "Sat Nov 22 10:00:00 2026" },
    { pid: 812, parent: 800, group: 812, startTime: "Sat Nov 22 19:10:03 2026" },
  ]);
});

describe("a tree of processes", () => {
  const row = (pid: number, parent: number): ProcessRow => ({ pid, parent, group: pid, startTime: "t" });
  const rows = [row(5, 3), row(1, 0), row(3, 2), row(2, 1), row(4, 2), row(9, 1)];

  test("holds the root first, then children, then theirs", () => {
    expect(treeOf(2, rows).map(({ pid }) => pid)).toEqual([2, 3, 4, 5]);
  });

  test("of a process that is not there is empty", () => {
    expect(treeOf(77, rows)).toEqual([]);
  });

  test("ends, also when the rows go in a circle", () => {
    expect(treeOf(2, [row(2, 3), row(3, 2)]).map(({ pid }) => pid)).toEqual([2, 3]);
  });
});
