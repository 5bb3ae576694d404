/**
 * The ledger an agent of the demo keeps: JSON lines, appended and synced one by one, so that what it was about to
 * do and what it was told survive its own death. The verdict is read from these lines, not from the agent's words.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { z } from "zod";
import { deliveries } from "../../src/wire/receipt.ts";

/** `at`: wall clock, ms since 1970. `run`: which start of the agent wrote the line. */
const head = { at: z.number(), run: z.string() };
const number = z.number().int().positive();

export const ledgerLineSchema = z.discriminatedUnion("type", [
  /** The agent began (again) and has listed its tools. */
  z.object({
    type: z.literal("start"),
    ...head,
    pid: number,
    protocol: z.string(),
    tools: z.array(z.string()),
  }),
  /** It is about to send message `n` under this key; the same number always has the same key. */
  z.object({ type: z.literal("intent"), ...head, n: number, key: z.string() }),
  /** The call returned. `validated`: the SDK client checked the answer against the tool's output schema. */
  z.object({
    type: z.literal("told"),
    ...head,
    n: number,
    delivery: z.enum(deliveries),
    messageId: z.string(),
    validated: z.boolean(),
  }),
  /** It has read a message it had not read before. */
  z.object({
    type: z.literal("read"),
    ...head,
    seq: number,
    id: z.string(),
    from: z.string(),
    body: z.string(),
  }),
  /** A read call was answered with an error result, as it must be while the relay is away. */
  z.object({ type: z.literal("away"), ...head, text: z.string() }),
  /** It wrote to a name that nobody has, while the relay was away, and this is what it was told. */
  z.object({
    type: z.literal("stray"),
    ...head,
    to: z.string(),
    key: z.string(),
    delivery: z.enum(deliveries),
    messageId: z.string(),
  }),
  /** The result of some call told it that the stray message was refused. */
  z.object({ type: z.literal("bounced"), ...head, messageId: z.string(), via: z.string(), text: z.string() }),
  /** A notice about one of its own writes came back. */
  z.object({ type: z.literal("notice"), ...head, reason: z.string(), key: z.string() }),
  /**
   * Something threw. `transport`: a call got no answer. `protocol`: it got a JSON-RPC error or an answer that broke
   * the tool's schema. `stream`: what the client says outside of calls.
   */
  z.object({
    type: z.literal("fault"),
    ...head,
    kind: z.enum(["transport", "protocol", "stream"]),
    action: z.string(),
    text: z.string(),
  }),
  /** It has sent all and read all. */
  z.object({ type: z.literal("done"), ...head }),
]);

/** One line of a ledger. */
export type LedgerLine = z.infer<typeof ledgerLineSchema>;
/** A line of one type. */
export type LineOf<Type extends LedgerLine["type"]> = Extract<LedgerLine, { type: Type }>;

/**
 * The lines of a ledger's text. A last line that was cut short by a kill is left out; any other bad line throws.
 */
export function parseLedger(text: string): LedgerLine[] {
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => ledgerLineSchema.parse(JSON.parse(line)));
}

/** Lines of one type, in order. */
export function linesOf<Type extends LedgerLine["type"]>(
  lines: readonly LedgerLine[],
  type: Type,
): LineOf<Type>[] {
  return lines.filter((line): line is LineOf<Type> => line.type === type);
}

/** What a ledger says about messages sent so far. */
export type Progress = { begun: number; sent: number; queued: number; read: number; open: number[] };

/** Counts distinct messages; `open` are the numbers with an intent and no answer: calls in flight. */
export function progressOf(lines: readonly LedgerLine[]): Progress {
  const begun = new Set(linesOf(lines, "intent").map(({ n }) => n));
  const told = new Map(linesOf(lines, "told").map(({ n, delivery }) => [n, delivery]));
  const answers = [...told.values()];
  return {
    begun: begun.size,
    sent: answers.filter((delivery) => delivery === "sent").length,
    queued: answers.filter((delivery) => delivery === "queued").length,
    read: new Set(linesOf(lines, "read").map(({ id }) => id)).size,
    open: [...begun].filter((n) => !told.has(n)),
  };
}

/** Opens a ledger for appending; every line is on disk before `append` returns. A half line left by a kill is cut off. */
export function openLedger(path: string): Disposable & { append(line: LedgerLine): void } {
  const file = openSync(path, "a+", 0o600);
  const text = readFileSync(path);
  ftruncateSync(file, text.lastIndexOf("\n") + 1);
  return {
    append(line) {
      writeSync(file, `${JSON.stringify(line)}\n`);
      fsyncSync(file);
    },
    [Symbol.dispose]: () => closeSync(file),
  };
}

const bodyPattern = /^message (\d+) of \d+ from (\S+)$/;

/** The text of message `n`. */
export function bodyOf(n: number, count: number, sender: string): string {
  return `message ${n} of ${count} from ${sender}`;
}

/** The number and sender a body names, or undefined when it is not one of ours. */
export function parseBody(body: string): { n: number; sender: string } | undefined {
  const match = bodyPattern.exec(body);
  return match === null ? undefined : { n: Number(match[1]), sender: match[2] ?? "" };
}
