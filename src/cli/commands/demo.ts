/** `agent-relay demo`: two agents, a relay that is killed in the middle, and a verdict from ledgers and database. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Progress } from "../../../examples/demo/ledger.ts";
import { type Moment, playStory, type StoryResult } from "../../../examples/demo/story.ts";
import type { Conduct, Flow } from "../../../examples/demo/verdict.ts";
import { type Clock, waitingClock } from "../../base/clock.ts";
import { exitCodes, type Printer } from "../print.ts";
import { untilStopped } from "../process.ts";

export type DemoOptions = { messages: number; keep?: boolean };

/** What the demo needs of the machine. */
export type DemoWorld = {
  clock: Clock;
  environment: Record<string, string | undefined>;
  signal: AbortSignal;
};

/** From one call of an agent to its next, ms: slow enough to watch, and that many calls fall into the outage. */
const paceMs = 35;

/** Exit code after a Ctrl-C, as shells have it. */
const interrupted = 130;

/** Plays the demo until its verdict or Ctrl-C; the exit code. */
export async function demo(options: DemoOptions, print: Printer): Promise<number> {
  const ending = new AbortController();
  void untilStopped().then(() => ending.abort());
  // Between two looks at the ledgers nothing but the clock's timers keeps the process alive.
  return runDemo(options, print, {
    clock: waitingClock,
    environment: process.env,
    signal: ending.signal,
  });
}

/** The demo with its world given: 0 when every promise held, 1 when not. */
export async function runDemo(options: DemoOptions, print: Printer, world: DemoWorld): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-demo-"));
  print.line(
    print.bold(`Two agents send each other ${options.messages} messages; the relay dies in between.`),
  );
  print.line();
  try {
    const result = await playStory({
      ...world,
      folder,
      count: options.messages,
      paceMs,
      killRunner: true,
      report: (moment) => report(moment, print),
    });
    conclude(result, print);
    return result.verdict.ok ? exitCodes.ok : exitCodes.failed;
  } catch (error) {
    if (!world.signal.aborted) throw error;
    print.line("Stopped.");
    return interrupted;
  } finally {
    if (options.keep === true) {
      print.line(`Ledgers, logs and homes: ${folder}`);
      print.data({ event: "kept", folder });
    } else rmSync(folder, { recursive: true, force: true });
  }
}

function report(moment: Moment, print: Printer): void {
  const { atMs, text, progress } = moment;
  print.data({ event: "moment", atMs: Math.round(atMs), text, progress });
  const time = `${(atMs / 1000).toFixed(1).padStart(5)} s`;
  if (text !== "") print.line(`${time}  ${text}`);
  const counters = Object.entries(progress).map(([name, counts]) => `${name} ${counterText(counts)}`);
  print.line(print.dim(`${text === "" ? time : " ".repeat(time.length)}  ${counters.join("   ")}`));
}

function counterText(counts: Progress): string {
  const cell = (value: number) => String(value).padStart(3);
  return `sent ${cell(counts.sent)} queued ${cell(counts.queued)} read ${cell(counts.read)}`;
}

function conclude(result: StoryResult, print: Printer): void {
  const { verdict, kills, outage, outageCalls } = result;
  print.data({ event: "verdict", ...verdict, kills, outage, outageCalls });
  print.line();
  print.table(
    ["", "sent", "committed", "read", "lost", "doubled", "out of order"],
    verdict.flows.map((flow: Flow) => [
      `${flow.from} to ${flow.to}`,
      ...[flow.sent, flow.committed, flow.read, flow.lost, flow.doubled, flow.outOfOrder].map(String),
    ]),
  );
  print.line();
  const sum = (count: (conduct: Conduct) => number) =>
    verdict.conduct.reduce((total, conduct) => total + count(conduct), 0);
  print.line(
    `${outageCalls} calls while the relay was dead: ${sum((c) => c.outageQueued)} answered queued, in the tool's form`,
  );
  print.line(
    `${sum((c) => c.faults.length)} calls ended without an answer (besides ${sum((c) => c.excusedFaults)} under the killed runner)`,
  );
  print.line(
    `${sum((c) => c.astray)} message to a name that nobody has was queued too, refused later, and its sender was told`,
  );
  print.line("Counted from the agents' ledgers, the relay's inboxes and its database.");
  print.line();
  for (const fault of verdict.faults) print.line(`  not as promised: ${fault}`);
  print.line(
    print.bold(verdict.ok ? "Nothing lost, nothing doubled, nothing out of order." : "The demo FAILED."),
  );
}
