/**
 * The ledger of one agent of the rig: JSON lines, appended and synced one by one. What the agent was about to do,
 * what it was told, what it was shown, what it read. The checker reads these lines and the relay's rows, nothing else.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { z } from "zod";
import { deliveries, noticeReasons } from "../../../src/wire/receipt.ts";

const number = z.number().int().positive();

export const lineSchema = z.discriminatedUnion("type", [
  /** It is about to make write `n`, for the first time or again. */
  z.object({ type: z.literal("intent"), n: number }),
  /** The call was answered. `replayed`: as the answer to an earlier, equal call. */
  z.object({
    type: z.literal("told"),
    n: number,
    delivery: z.enum(deliveries),
    messageId: z.string(),
    reason: z.string().optional(),
    replayed: z.boolean(),
    /** From the call to its answer, ms. */
    tookMs: z.number(),
  }),
  /** The call ended without an answer. */
  z.object({ type: z.literal("gone"), n: number, text: z.string() }),
  /** A notice was shown, in the result of any call. */
  z.object({ type: z.literal("notice"), reason: z.enum(noticeReasons), messageId: z.string() }),
  /** It read a message from its inbox. */
  z.object({
    type: z.literal("read"),
    seq: number,
    id: z.string(),
    from: z.string(),
    body: z.string(),
  }),
]);

export type Line = z.infer<typeof lineSchema>;
export type LineOf<Type extends Line["type"]> = Extract<Line, { type: Type }>;

export type Journal<Value> = Disposable & { append(...values: Value[]): void };

/** Appends values to a file; each is on disk before `append` returns. A half line left by a kill is cut off. */
export function openJournal<Value>(path: string): Journal<Value> {
  const file = openSync(path, "a+", 0o600);
  ftruncateSync(file, readFileSync(path).lastIndexOf("\n") + 1);
  return {
    append(...values) {
      for (const value of values) writeSync(file, `${JSON.stringify(value)}\n`);
      fsyncSync(file);
    },
    [Symbol.dispose]: () => closeSync(file),
  };
}

/** The lines of a ledger's file; a last line that a kill cut short is left out. */
export function readLedger(path: string): Line[] {
  return readLines(path).map((line) => lineSchema.parse(line));
}

/** The values of a journal's file. */
export function readLines(path: string): unknown[] {
  const text = readFileSync(path, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
}

/** Lines of one type, in order. */
export function linesOf<Type extends Line["type"]>(lines: readonly Line[], type: Type): LineOf<Type>[] {
  return lines.filter((line): line is LineOf<Type> => line.type === type);
}

/** The text of write `n` of a lane. */
export function bodyOf(lane: string, n: number, padding = ""): string {
  return padding === "" ? `rig ${lane} ${n}` : `rig ${lane} ${n} ${padding}`;
}

/** The lane and number a body names; undefined when it is not one of ours. */
export function parseBody(body: string): { lane: string; n: number } | undefined {
  const match = /^rig (\S+) (\d+)(?: |$)/.exec(body);
  return match === null ? undefined : { lane: match[1] ?? "", n: Number(match[2]) };
}
