/** `agent-relay doctor`: what is wrong on this machine, and what to do about it. Changes nothing. */
import { diagnose, type Finding } from "../../outboxes.ts";
import { type RelayOptions, relayUrlOf } from "../context.ts";
import { describeFailure, exitCodes, type Printer } from "../print.ts";

/** Prints every finding; the exit code is 1 when something is wrong. */
export async function doctor(options: RelayOptions & { home: string }, print: Printer): Promise<number> {
  const findings = await diagnose(options.home, relayOf(options));
  print.data({ findings });
  const width = Math.max(...findings.map(({ subject }) => subject.length));
  for (const { level, subject, detail } of findings)
    print.line(`${marks[level]}  ${subject.padEnd(width)}  ${detail}`);
  return findings.some(({ level }) => level === "bad") ? exitCodes.failed : exitCodes.ok;
}

const marks: Record<Finding["level"], string> = { good: "ok  ", note: "note", bad: "BAD " };

function relayOf(options: RelayOptions): { url: string } | { why: string } {
  try {
    return { url: relayUrlOf(options) };
  } catch (error) {
    return { why: describeFailure(error).message };
  }
}
