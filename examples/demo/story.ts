/**
 * The plot of the demo: two agents talk through two runners; the relay is killed at a third and comes back at two
 * thirds; in between one runner is killed and started again. Ends with a verdict. The fault test plays it too, with
 * a proxy between runners and relay.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { Clock } from "../../src/base/clock.ts";
import { limits } from "../../src/limits.ts";
import { parseInbox, readDatabase, sameInbox } from "./database.ts";
import { type LedgerLine, linesOf, type Progress, parseLedger, progressOf } from "./ledger.ts";
import { endLeftovers, firstLine, launch, type Program, stopAll, tail, until } from "./programs.ts";
import { judge, type Span, type Verdict } from "./verdict.ts";

/** What happened, and how far each agent had got by its ledger. */
export type Moment = { atMs: number; text: string; progress: Record<string, Progress> };

/** A process that was killed, and the calls that were in flight at that moment, by agent. */
export type Kill = { what: string; pid: number; inFlight: Record<string, number[]> };

export type StoryOptions = {
  /** An empty folder; everything the story makes is in it. */
  folder: string;
  /** Messages each way. */
  count: number;
  /** From one call of an agent to its next, ms. */
  paceMs: number;
  /** Kill and restart a runner during the outage. */
  killRunner: boolean;
  environment: Record<string, string | undefined>;
  clock: Clock;
  signal: AbortSignal;
  report(moment: Moment): void;
  /** The address runners are given instead of the relay's own. */
  gate?(relayUrl: string): Promise<string>;
  /** Any step that takes longer is given up, ms. */
  stepMs?: number;
};

export type StoryResult = { verdict: Verdict; kills: Kill[]; outage: Span; outageCalls: number };

const root = resolve(import.meta.dir, "../..");
const program = join(root, "bin", "agent-relay");
const eras = { alice: "legacy", bob: "modern" } as const;
type Name = keyof typeof eras;
const names = Object.keys(eras) as Name[];
/** A name that nobody has: alice writes to it in the outage, and the relay must refuse that. */
const strayName = "carol";
/** Longest wait for one step, longest silence on the timeline, and time to end when asked, ms. */
const defaultStepMs = 60_000;
const quietMs = 2_000;
const stopMs = 6_000;
const readySchema = z.object({ event: z.literal("ready"), url: z.url(), operatorTokenFile: z.string() });

/** Plays the story and judges it. Throws when a step does not come about; every process it started has ended then. */
export async function playStory(options: StoryOptions): Promise<StoryResult> {
  const stage = new Stage(options);
  try {
    return await plot(stage, options);
  } finally {
    await stage.clear();
  }
}

async function plot(stage: Stage, options: StoryOptions): Promise<StoryResult> {
  const { count, clock } = options;
  const relay = await stage.startRelay(0);
  stage.tell(`relay is up at ${relay.url} (process ${relay.program.pid})`);
  if (count >= limits.writesBurst) await stage.allowBurst(relay.url, relay.operatorTokenFile, 2 * count);
  const gate = (await options.gate?.(relay.url)) ?? relay.url;
  const start = (name: Name) => stage.startRunner(name, gate, relay.operatorTokenFile);
  const runners = { alice: start("alice"), bob: start("bob") };
  await stage.everyone("both agents to start", (name) => linesOf(stage.ledger(name), "start").length > 0);
  stage.tell("alice (MCP 2025-11-25) and bob (MCP 2026-07-28) are connected");

  await stage.everyone("a third of the messages", (name) => stage.progress(name).begun >= count / 3);
  const kills = [await stage.kill(relay.program, "relay", names)];
  const outage = { fromMs: clock.now(), toMs: Number.POSITIVE_INFINITY };

  const runnerAway: Span[] = [];
  if (options.killRunner) {
    await stage.everyone("half of the messages", (name) => stage.progress(name).begun >= count / 2);
    const away = { fromMs: clock.now(), toMs: Number.POSITIVE_INFINITY };
    runnerAway.push(away);
    kills.push(await stage.kill(runners.bob, "bob's runner", ["bob"]));
    const before = linesOf(stage.ledger("bob"), "start").length;
    runners.bob = start("bob");
    await stage.until(
      "bob's agent to start again",
      () => linesOf(stage.ledger("bob"), "start").length > before,
    );
    away.toMs = clock.now();
    stage.tell("bob's runner is back, its agent goes on from its ledger; the relay is still down");
  }

  await stage.everyone("two thirds of the messages", (name) => stage.progress(name).begun >= (count * 2) / 3);
  outage.toMs = clock.now();
  await stage.startRelay(Number(new URL(relay.url).port));
  stage.tell("relay is back on the same port");
  await stage.until(
    "alice to hear of her refused message",
    () => linesOf(stage.ledger("alice"), "bounced").length > 0,
  );
  const [bounced] = linesOf(stage.ledger("alice"), "bounced");
  stage.tell(`alice is told with the result of ${bounced?.via}: ${noticeOf(bounced?.text ?? "")}`);
  await stage.everyone("both agents to finish", (name) => linesOf(stage.ledger(name), "done").length > 0);
  stage.tell("both agents have sent all and read all");

  const printed = await stage.readInboxes(relay.url, relay.operatorTokenFile);
  await stage.clear();
  const database = readDatabase(stage.relayHome, options.folder);
  const party = (name: Name) => ({
    name,
    ledger: stage.ledger(name),
    inbox: database.get(name) ?? [],
    runnerAway: name === "bob" ? runnerAway : [],
  });
  const verdict = judge({ count, outage, parties: [party("alice"), party("bob")] });
  for (const name of names)
    if (!sameInbox(printed[name], database.get(name) ?? []))
      verdict.faults.push(`${name}: the inbox command and the database differ`);
  for (const { what, inFlight } of kills)
    if (Object.values(inFlight).some((open) => open.length === 0))
      verdict.faults.push(`${what} was killed with no call in flight`);
  const outageCalls = verdict.conduct.reduce((sum, conduct) => sum + conduct.outageCalls, 0);
  return { verdict: { ...verdict, ok: verdict.faults.length === 0 }, kills, outage, outageCalls };
}

/** The line of a notices block that says what was refused and why. */
function noticeOf(text: string): string {
  const line = text.split("\n").find((one) => one.startsWith("- ")) ?? text;
  return line.slice(2).split(". It began:")[0] ?? line;
}

/** The processes and ledgers of one story. */
class Stage {
  readonly relayHome: string;
  readonly #runnerHome: string;
  readonly #options: StoryOptions;
  readonly #programs: Program[] = [];
  /** Programs that may end. */
  readonly #mayEnd = new Set<Program>();
  readonly #lines: Record<Name, LedgerLine[]> = { alice: [], bob: [] };
  readonly #sizes: Record<Name, number> = { alice: 0, bob: 0 };
  readonly #begun: number;
  #told: number;

  constructor(options: StoryOptions) {
    this.#options = options;
    this.relayHome = join(options.folder, "relay-home");
    this.#runnerHome = join(options.folder, "runner-home");
    this.#begun = options.clock.monotonic();
    this.#told = this.#begun;
    for (const home of [this.relayHome, this.#runnerHome]) mkdirSync(home, { recursive: true, mode: 0o700 });
    for (const name of names) mkdirSync(join(options.folder, name), { mode: 0o700 });
  }

  /** Reports a moment with the counters of both agents. */
  tell(text: string): void {
    this.#told = this.#options.clock.monotonic();
    this.#options.report({
      atMs: this.#told - this.#begun,
      text,
      progress: { alice: this.progress("alice"), bob: this.progress("bob") },
    });
  }

  #launch(name: string, command: string[]): Program {
    const { folder, environment } = this.#options;
    const started = launch({ name, command, folder, environment });
    this.#programs.push(started);
    return started;
  }

  async startRelay(port: number) {
    const skip = this.#sizeOf(join(this.#options.folder, "relay.out"));
    const command = [program, "up", "--port", String(port), "--home", this.relayHome, "--json"];
    const started = this.#launch("relay", command);
    const line = await this.until("the relay's ready line", () => firstLine(started, skip));
    return { program: started, ...readySchema.parse(JSON.parse(line)) };
  }

  startRunner(name: Name, relayUrl: string, tokenFile: string): Program {
    const { count, paceMs, stepMs } = this.#options;
    return this.#launch(name, [
      ...[program, "run", "exec", "--name", name, "--relay", relayUrl, "--token-file", tokenFile],
      ...["--home", this.#runnerHome, "--", join(root, "tools", "bun")],
      ...[join(root, "examples", "demo", "agent.ts"), "--to", name === "alice" ? "bob" : "alice"],
      ...["--count", String(count), "--era", eras[name], "--pace-ms", String(paceMs)],
      ...(name === "alice" ? ["--stray", strayName] : []),
      ...["--ledger", this.#ledgerFile(name), "--deadline-ms", String((stepMs ?? defaultStepMs) * 4)],
    ]);
  }

  #ledgerFile(name: Name): string {
    return join(this.#options.folder, name, "ledger.jsonl");
  }

  #sizeOf(path: string): number {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** The ledger so far; read again only when it has grown. */
  ledger(name: Name): LedgerLine[] {
    const file = this.#ledgerFile(name);
    const size = this.#sizeOf(file);
    if (size !== this.#sizes[name]) {
      this.#lines[name] = parseLedger(readFileSync(file, "utf8"));
      this.#sizes[name] = size;
    }
    return this.#lines[name];
  }

  progress(name: Name): Progress {
    return progressOf(this.ledger(name));
  }

  /** Waits until it holds, and reports the counters now and then. */
  until<Value>(what: string, probe: () => Value | undefined | false): Promise<Value> {
    const { clock, signal, stepMs } = this.#options;
    return until({ what, forMs: stepMs ?? defaultStepMs, clock, signal }, () => {
      for (const started of this.#programs) this.#mustRun(started);
      if (clock.monotonic() - this.#told > quietMs) this.tell("");
      return probe() || undefined;
    });
  }

  /** Throws when a program has ended that was neither killed by the story nor done. */
  #mustRun(started: Program): void {
    if (started.running() || this.#mayEnd.has(started)) return;
    const agent = names.find((name) => name === started.name);
    if (agent !== undefined && linesOf(this.ledger(agent), "done").length > 0) return;
    throw new Error(`${started.name} ended early: ${tail(started)}`);
  }

  async everyone(what: string, holds: (name: Name) => boolean): Promise<void> {
    await this.until(what, () => names.every(holds));
  }

  /** Freezes a program until each of these agents waits for an answer, then kills it. */
  async kill(victim: Program, what: string, waiting: readonly Name[]): Promise<Kill> {
    victim.signal("SIGSTOP");
    const inFlight = await this.until(`calls in flight before ${what} is killed`, () => {
      const open = waiting.map((name) => [name, this.progress(name).open] as const);
      return open.every(([, numbers]) => numbers.length > 0) ? Object.fromEntries(open) : undefined;
    });
    this.#mayEnd.add(victim);
    victim.signal("SIGKILL");
    await victim.ended;
    const calls = Object.entries(inFlight).map(([name, numbers]) => `${name} ${numbers.join(" ")}`);
    this.tell(`${what} is killed (SIGKILL), in flight: ${calls.join(", ")}`);
    return { what, pid: victim.pid, inFlight };
  }

  /** Lets agents write so much at once: the relay slows one down that writes more than people read. */
  async allowBurst(url: string, tokenFile: string, burst: number): Promise<void> {
    const where = ["--relay", url, "--token-file", tokenFile];
    await this.#command("profile", ["profile", "set", "default", "--burst", String(burst), ...where]);
  }

  async readInboxes(url: string, tokenFile: string) {
    const read = async (name: Name) => {
      const command = ["inbox", name, "--relay", url, "--token-file", tokenFile, "--json"];
      return parseInbox(await this.#command(`inbox-${name}`, command));
    };
    return { alice: await read("alice"), bob: await read("bob") };
  }

  /** What a command of the program prints; it must end well. */
  async #command(name: string, args: string[]): Promise<string> {
    const started = this.#launch(name, [program, ...args]);
    this.#mayEnd.add(started);
    const code = await started.ended;
    if (code !== 0) throw new Error(`Run agent-relay ${args.join(" ")}: exit code ${code}: ${tail(started)}`);
    return readFileSync(started.outFile, "utf8");
  }

  /** Ends every process: runners first, so that nothing is left to retry when the relay goes. */
  async clear(): Promise<void> {
    const live = this.#programs.filter(({ running }) => running());
    const { clock } = this.#options;
    await stopAll(
      live.filter(({ name }) => name !== "relay"),
      stopMs,
      clock,
    );
    await stopAll(
      live.filter(({ name }) => name === "relay"),
      stopMs,
      clock,
    );
    for (const name of names)
      endLeftovers(
        new Set(linesOf(this.ledger(name), "start").map(({ pid }) => pid)),
        this.#ledgerFile(name),
      );
  }
}
