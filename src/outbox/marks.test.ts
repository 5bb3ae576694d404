/** The marks say again exactly what was accepted, however keys, ids and times follow each other. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mintedKey, uuidOf } from "../wire/id.ts";
import { type Accepted, Marks, readMarks } from "./marks.ts";

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});

const head = { storeId: "store", relayId: "relay", agentId: "agent", lastId: 0 };
const tool = "relay_send_message";

function minted(id: number, at: number): Accepted {
  const messageId = uuidOf("message", String(id));
  return { id, key: mintedKey(tool, messageId), messageId, tool, at };
}

function own(id: number, at: number, key = `own "${id}"`): Accepted {
  return { id, key, messageId: uuidOf("own", String(id)), tool, at };
}

const written: [string, Accepted[]][] = [
  ["minted in one millisecond", [minted(1, 5), minted(2, 5), minted(3, 5)]],
  ["minted over several", [minted(1, 5), minted(2, 6), minted(3, 6), minted(4, 5)]],
  ["ids with a gap", [minted(1, 5), minted(3, 5), minted(4, 5)]],
  ["own keys between minted ones", [minted(1, 5), own(2, 5), minted(3, 5), own(4, 6), minted(5, 5)]],
  ["a key that only looks minted", [own(1, 5, mintedKey(tool, uuidOf("another"))), minted(2, 5)]],
];

test.each(written)("%s, as they were added and after the file was written anew", (_, accepted) => {
  const dir = mkdtempSync(join(tmpdir(), "marks-"));
  dirs.push(dir);
  const marks = new Marks(dir, { ...head }, []);
  marks.add(accepted, []);
  marks.close();
  const byId = new Map(accepted.map((one) => [one.id, one]));
  expect(readMarks(dir)).toMatchObject({ open: byId, lastId: accepted.at(-1)?.id, unreadable: 0 });
  new Marks(dir, { ...head }, accepted).close();
  expect(readMarks(dir)?.open).toEqual(byId);
});
