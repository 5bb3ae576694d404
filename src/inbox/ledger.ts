/**
 * What is known on this machine of messages that were given to the agent: one line per step, flushed before the step is
 * taken, so that a killed runner's successor knows what may be in the conversation. It holds ids, never a text.
 */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { isMissing, privateFolder, readPrivate, writePrivate } from "../base/file.ts";
import type { Limits } from "../limits.ts";
import type { Item, ItemState } from "./item.ts";

export type Ledger = {
  /** What earlier runs left, by message id. What was under way then is `doubtful`. */
  readonly found: ReadonlyMap<string, Item>;
  /** Writes the step of these messages down; on disk when this returns. Throws when it cannot be. */
  note(state: ItemState, messages: readonly string[], attempt: number): void;
  close(): void;
};

type Line = { state: ItemState; attempt: number; messages: string[] };

/** Opens the ledger of one agent; it has one owner at a time, as the outbox has. */
export function openLedger(
  path: string,
  limits: Pick<Limits, "injectionLedgerLinesMax" | "injectionLedgerReadMax">,
): Ledger {
  privateFolder(dirname(path));
  const found = new Map<string, Item>();
  const text = textOf(path);
  const written = text.split("\n").flatMap(lineOf);
  for (const line of written) apply(found, line);
  const current = new Map(found);
  let handle = openSync(path, "a", 0o600);
  // A line that a crash has cut must not run into the next one.
  if (text !== "" && !text.endsWith("\n")) writeSync(handle, "\n");
  let lines = written.length;
  return {
    found: afterRestart(current),
    note(state, messages, attempt) {
      const line: Line = { state, attempt, messages: [...messages] };
      writeSync(handle, `${JSON.stringify(line)}\n`);
      fsyncSync(handle);
      apply(current, line);
      lines += 1;
      if (lines < limits.injectionLedgerLinesMax) return;
      forgetRead(current, limits.injectionLedgerReadMax);
      rewrite(path, current);
      closeSync(handle);
      handle = openSync(path, "a", 0o600);
      lines = current.size;
    },
    close: () => closeSync(handle),
  };
}

function apply(items: Map<string, Item>, { state, attempt, messages }: Line): void {
  for (const message of messages) {
    // Anew at the end: what was touched last is forgotten last.
    items.delete(message);
    items.set(message, { state, attempt });
  }
}

/** Nothing that was under way can be heard of any more. */
function afterRestart(items: ReadonlyMap<string, Item>): Map<string, Item> {
  const open: readonly ItemState[] = ["offered", "injected"];
  return new Map(
    [...items].map(([id, item]) => [id, open.includes(item.state) ? { ...item, state: "doubtful" } : item]),
  );
}

function forgetRead(items: Map<string, Item>, keep: number): void {
  const read = [...items].filter(([, { state }]) => state === "read").map(([id]) => id);
  for (const id of read.slice(0, Math.max(0, read.length - keep))) items.delete(id);
}

function rewrite(path: string, items: ReadonlyMap<string, Item>): void {
  const lines = [...items].map(([id, { state, attempt }]) =>
    JSON.stringify({ state, attempt, messages: [id] }),
  );
  writePrivate(path, lines.map((line) => `${line}\n`).join(""));
}

function textOf(path: string): string {
  try {
    return readPrivate(path) ?? "";
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}

/** What a line says; a last one that a crash has cut says nothing, and its step was not taken. */
function lineOf(text: string): Line[] {
  if (text === "") return [];
  try {
    const { state, attempt, messages } = JSON.parse(text) as Partial<Line>;
    if (state === undefined || typeof attempt !== "number" || !Array.isArray(messages)) return [];
    return [{ state, attempt, messages }];
  } catch {
    return [];
  }
}
