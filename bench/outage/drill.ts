/**
 * The outage drill over one path: clients work, the upstream is broken in every way of the table, and what the clients
 * noticed is counted.
 */
import { firstLine, launch, type Program, stopAll, until } from "../../examples/demo/programs.ts";
import { type Clock, sleep } from "../../src/base/clock.ts";
import type { Era, Target } from "../../test/fixtures/sdk-client.ts";
import { type Agent, enlist, work } from "./agents.ts";
import { type FaultName, type Played, schedule } from "./faults.ts";
import { type DrillReport, reportOf } from "./report.ts";

/** A way from the clients to the upstream; `undefined` when its process ended by itself. */
export type Path = { readonly name: string; readonly target: Target; close(): Promise<void> };

export type DrillOptions = {
  /** How the upstream's program is started, without its arguments. */
  readonly command: readonly string[];
  readonly folder: string;
  readonly clock: Clock;
  readonly seconds: number;
  readonly clients: number;
  open(upstreamUrl: string): Promise<Path>;
  /** Told as it happens. */
  say(line: string): void;
};

/** After the upstream is back its tools change this much later; a client may hear of the last change within the other, ms. */
const changeAfterMs = 250;
const lastChangeMs = 10_000;
const callTimeoutMs = 10_000;

/** Plays the drill and takes everything down again. */
export async function drill(options: DrillOptions): Promise<DrillReport> {
  const { clock, clients, seconds } = options;
  const upstream = new Upstream(options);
  const stop = new AbortController();
  let path: Path | undefined;
  const agents: Agent[] = [];
  try {
    path = await options.open(await upstream.start());
    for (let index = 0; index < clients; index += 1) {
      const era: Era = index % 2 === 0 ? "legacy" : "modern";
      agents.push(await enlist(path.target, era));
    }
    let silent = false;
    const quiet = () => silent;
    const working = agents.map((agent) => work(agent, { clock, stop: stop.signal, quiet, callTimeoutMs }));
    const begun = clock.monotonic();
    const played: Played[] = [];
    for (const fault of schedule(seconds * 1_000)) {
      await sleep(clock, fault.fromMs - (clock.monotonic() - begun));
      silent = false;
      const times = `${(fault.fromMs / 1_000).toFixed(1)}–${(fault.toMs / 1_000).toFixed(1)} s`;
      options.say(`${path.name}: ${times} ${fault.name}`);
      const end = () => sleep(clock, Math.max(0, fault.toMs - (clock.monotonic() - begun)));
      await upstream.suffer(fault.name, end);
      const backMs = clock.monotonic();
      await sleep(clock, changeAfterMs / 2);
      silent = true;
      await sleep(clock, changeAfterMs / 2);
      await upstream.toggle();
      played.push({ fault, backMs, changedMs: clock.monotonic() });
    }
    await sleep(clock, Math.max(0, seconds * 1_000 - (clock.monotonic() - begun)));
    const lastMs = clock.monotonic();
    await upstream.toggle();
    await heard(agents, lastMs, clock);
    stop.abort();
    await Promise.race([Promise.all(working), sleep(clock, 2_000)]);
    return reportOf({ path: path.name, agents, played, lastMs, begunMs: begun });
  } finally {
    stop.abort();
    await Promise.allSettled(agents.map(({ witness }) => witness?.client.close()));
    await path?.close();
    await upstream.stop();
  }
}

/** Waits until every client has heard of a change since then, or the time for it is over. */
async function heard(agents: readonly Agent[], sinceMs: number, clock: Clock): Promise<void> {
  const end = clock.monotonic() + lastChangeMs;
  const missing = () =>
    agents.some(({ witness }) => witness !== undefined && (witness.changes.at(-1) ?? 0) < sinceMs);
  while (missing() && clock.monotonic() < end) await sleep(clock, 20);
}

/** The upstream's process, which is always at the same address. */
class Upstream {
  readonly #options: DrillOptions;
  #program: Program | undefined;
  #url = "";
  #starts = 0;
  #extra = false;

  constructor(options: DrillOptions) {
    this.#options = options;
  }

  async start(): Promise<string> {
    const { command, folder, clock } = this.#options;
    this.#starts += 1;
    const name = `upstream-${this.#starts}`;
    const port = this.#url === "" ? "0" : new URL(this.#url).port;
    const extra = this.#extra ? ["--extra"] : [];
    const program = launch({
      name,
      command: [...command, "--port", port, ...extra],
      folder,
      environment: process.env,
    });
    this.#program = program;
    const wait = { what: name, forMs: 10_000, clock, signal: new AbortController().signal };
    const { url } = JSON.parse(await until(wait, () => firstLine(program, 0))) as { url: string };
    this.#url = url;
    return url;
  }

  /** Plays one fault until `end` resolves; resolves when connections are accepted and answered again. */
  async suffer(name: FaultName, end: () => Promise<void>): Promise<void> {
    const status = /^answers (\d+)$/.exec(name)?.[1];
    if (status !== undefined) return this.#during({ status: Number(status) }, { status: 0 }, end);
    switch (name) {
      case "killed and started again":
        this.#program?.signal("SIGKILL");
        await this.#program?.ended;
        await end();
        await this.start();
        return;
      case "paused (SIGSTOP)":
        this.#program?.signal("SIGSTOP");
        await end();
        this.#program?.signal("SIGCONT");
        return;
      case "cuts every stream":
        return this.#during({ cut: true }, { cut: false }, end);
      default:
        return this.#during({ slowMs: 600 }, { slowMs: 0 }, end);
    }
  }

  /** The tool that comes and goes comes or goes. */
  async toggle(): Promise<void> {
    this.#extra = !this.#extra;
    await this.#control({ extra: this.#extra });
  }

  async stop(): Promise<void> {
    if (this.#program !== undefined) await stopAll([this.#program], 1_000, this.#options.clock);
  }

  async #during(on: object, off: object, end: () => Promise<void>): Promise<void> {
    await this.#control(on);
    await end();
    await this.#control(off);
  }

  async #control(change: object): Promise<void> {
    const address = new URL("/control", this.#url);
    const response = await fetch(address, {
      method: "POST",
      headers: { connection: "close" },
      body: JSON.stringify(change),
    });
    if (!response.ok) throw new Error(`Tell the upstream ${JSON.stringify(change)}: HTTP ${response.status}`);
  }
}
