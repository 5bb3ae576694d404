/** The machine of one message is the table of SPEC.md, and never goes back from its end. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { itemEvents, itemStates, itemTable, newItem, nextItem } from "./item.ts";

test("the table of SPEC.md is the table of the program", () => {
  const spec = readFileSync(join(import.meta.dir, "SPEC.md"), "utf8");
  const rows = spec.split("\n").filter((line) => /^\| `\w+` \|/.test(line));
  const written = rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const wanted = itemEvents.map((event) => [
    `\`${event}\``,
    ...itemStates.map((state) => itemTable[state][event] ?? "·"),
  ]);
  expect(written).toEqual(wanted);
});

test("whatever happens, what is read stays read, and attempts only grow", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...itemEvents), { maxLength: 30 }), (events) => {
      let item = newItem;
      for (const event of events) {
        const next = nextItem(item, event);
        expect(next.attempt).toBeGreaterThanOrEqual(item.attempt);
        expect(item.state === "read" ? next.state : "read").toBe("read");
        item = next;
      }
    }),
  );
});
