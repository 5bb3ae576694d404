/**
 * The ledger rig: a relay process, the network between, one outbox process and one agent per lane, and recipients
 * that read. At the end everything is well again and has its time, all processes are stopped, and the checker reads
 * the ledgers and the relay's database.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDatabase } from "../../../examples/demo/database.ts";
import { realRandom } from "../../../src/base/random.ts";
import { type Limits, limits } from "../../../src/limits.ts";
import { createClient } from "../../../src/sdk/client.ts";
import { RelayError } from "../../../src/wire/error.ts";
import { tokenHash, tokenText } from "../../../src/wire/token.ts";
import { Agent } from "./agent.ts";
import { check, type Inbox, type Lane, type StoredMessage, type Verdict } from "./checker.ts";
import { type Line, openJournal, readLedger } from "./ledger.ts";
import type { OutboxConfig, OutboxFacts, OutboxReady } from "./outbox-process.ts";
import type { Crash, PointName } from "./points.ts";
import { type Started, type StartOptions, start } from "./process.ts";
import type { Variant } from "./variants.ts";
import { Wire, type WireOptions } from "./wire.ts";

type RelayReady = { url: string; operatorTokenFile: string; relayId: string };
export type Enrolled = { name: string; id: string; runnerToken: string; agentToken: string };

/** The product's waits, as much shorter as a test has less time. Printed in docs/reliability.md. */
export const scaled: Partial<Limits> = {
  writeWaitMs: 500,
  deliveryBackoffBaseMs: 20,
  deliveryBackoffCapMs: 300,
  probeIntervalMs: 25,
  probeAttemptMs: 400,
  deliveryAttemptMs: 1_500,
  lastKnownAnswerMs: 100,
};

/** Asks again for as long as the relay says that this token asks too often. */
async function patiently<Reply>(ask: () => Promise<Reply>): Promise<Reply> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof RelayError && error.code === "rate_limited")) throw error;
      await Bun.sleep(Number(error.data.retryAfterMs ?? 100));
    }
  }
}

export type LaneOptions = {
  limits?: Partial<Limits>;
  variant?: Variant;
  /** Runs the outbox process under another program. */
  under?: readonly string[];
  environment?: Record<string, string>;
  /** Folder of the outbox; one of the rig's own by default. */
  dir?: string;
};

/** One writing agent with its outbox process, which may die and be started again. */
export class RigLane {
  readonly agent: Agent;
  readonly who: Enrolled;
  readonly dir: string;
  readonly ledgerFile: string;
  readonly options: LaneOptions;
  process: Started<OutboxReady> | undefined;
  readonly #rig: Rig;
  readonly #secret = `rig-${crypto.randomUUID()}`;
  #port = 0;

  constructor(rig: Rig, who: Enrolled, options: LaneOptions) {
    this.#rig = rig;
    this.who = who;
    this.options = options;
    this.dir = options.dir ?? join(rig.folder, who.name, "outbox");
    mkdirSync(join(rig.folder, who.name), { recursive: true });
    this.ledgerFile = join(rig.folder, who.name, "ledger.jsonl");
    this.agent = new Agent({
      name: who.name,
      era: rig.lanes.length % 2 === 0 ? "modern" : "legacy",
      address: () => ({ url: `http://127.0.0.1:${this.#port}/mcp`, secret: this.#secret }),
      ledger: openJournal<Line>(this.ledgerFile),
    });
  }

  get name(): string {
    return this.who.name;
  }

  get config(): OutboxConfig {
    const { id, runnerToken, agentToken } = this.who;
    return {
      ...{ dir: this.dir, relayUrl: this.#rig.wire.url, relayId: this.#rig.relayId, agentId: id },
      ...{ runnerToken, agentToken, port: this.#port, secret: this.#secret },
      limits: { ...scaled, ...this.options.limits },
      variant: this.options.variant ?? "product",
    };
  }

  /** Starts the outbox process; undefined when it died of its crash while it opened. */
  async start(crash?: Crash, more: Partial<StartOptions> = {}): Promise<Started<OutboxReady> | undefined> {
    const { under, environment } = this.options;
    this.process = await start<OutboxReady>({
      file: join(import.meta.dir, "outbox-process.ts"),
      argument: JSON.stringify(this.config),
      logFile: join(this.#rig.folder, this.name, "outbox.log"),
      crash,
      ...(under === undefined ? {} : { under }),
      ...(environment === undefined ? {} : { environment }),
      ...more,
    });
    if (this.process !== undefined) this.#port = this.process.ready.port;
    return this.process;
  }

  async ask(path = "/facts"): Promise<OutboxFacts> {
    const url = this.process?.ready.controlUrl;
    const answer = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(10_000) });
    return (await answer.json()) as OutboxFacts;
  }

  /** Waits until the process says so; throws with `what` after `forMs`. */
  async until(what: string, holds: (facts: OutboxFacts) => boolean, forMs = 20_000): Promise<OutboxFacts> {
    const end = performance.now() + forMs;
    for (;;) {
      const facts = await this.ask();
      if (holds(facts)) return facts;
      if (performance.now() > end)
        throw new Error(`Waited ${forMs} ms in vain until ${what}: ${JSON.stringify(facts).slice(0, 300)}`);
      await Bun.sleep(10);
    }
  }

  /** Waits until nothing waits and every notice was shown; what was left. */
  async settle(forMs: number): Promise<OutboxFacts> {
    const end = performance.now() + forMs;
    await this.ask("/kick");
    for (;;) {
      const facts = await this.ask();
      if (facts.notices > 0) await this.agent.look();
      else if (facts.depth === 0 || performance.now() > end) return facts;
      if (performance.now() > end) return facts;
      await Bun.sleep(10);
    }
  }
}

export class Rig implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "agent-relay-rig-"));
  readonly wire: Wire;
  readonly lanes: RigLane[] = [];
  readonly readers: Enrolled[] = [];
  readonly hitsFile = join(this.folder, "hits.txt");
  readonly #own: Partial<Record<PointName, number>> = {};
  relay: Started<RelayReady> | undefined;
  relayId = "";
  #operatorToken = "";

  constructor(options: Omit<WireOptions, "upstream"> = {}) {
    this.wire = new Wire({ upstream: "http://127.0.0.1:1", ...options });
  }

  /** A relay that runs, the wire, and so many recipients `sink-1` …. */
  static async open(options: Omit<WireOptions, "upstream"> = {}, readers = 1): Promise<Rig> {
    const rig = new Rig(options);
    await rig.startRelay();
    // Faults are counted in thousands of writes: the brakes on a sender have tests of their own.
    await rig.operator.setProfile({ name: "default", limits: { burst: 1_000_000, perMinute: 1_000_000 } });
    await rig.wire.up();
    for (let n = 1; n <= readers; n++) rig.readers.push(await rig.enrol(`sink-${n}`));
    return rig;
  }

  get home(): string {
    return join(this.folder, "relay-home");
  }

  async startRelay(crash?: Crash): Promise<Started<RelayReady> | undefined> {
    this.relay = await start<RelayReady>({
      file: join(import.meta.dir, "relay-process.ts"),
      argument: this.home,
      logFile: join(this.folder, "relay.log"),
      crash,
    });
    if (this.relay === undefined) return undefined;
    const { url, relayId, operatorTokenFile } = this.relay.ready;
    this.wire.options.upstream = url;
    this.relayId = relayId;
    this.#operatorToken = readFileSync(operatorTokenFile, "utf8").trim();
    return this.relay;
  }

  client(token: string) {
    return createClient({ url: this.relay?.ready.url ?? "", token: () => token });
  }

  get operator() {
    return this.client(this.#operatorToken);
  }

  enrol(name: string): Promise<Enrolled> {
    return this.#enrol(name, false);
  }

  /** New tokens for an agent whose old ones have ended. */
  enrolAgain(name: string): Promise<Enrolled> {
    return this.#enrol(name, true);
  }

  async #enrol(name: string, takeover: boolean): Promise<Enrolled> {
    const runnerToken = tokenText("runner", realRandom.bytes(32));
    const { agentId } = await this.operator.enrolRunner({
      ...{ agentName: name, provider: "exec", machine: "rig", secretHash: tokenHash(runnerToken) },
      takeover,
    });
    const agentToken = tokenText("agent", realRandom.bytes(32));
    await this.client(runnerToken).mintAgentToken({ secretHash: tokenHash(agentToken) });
    return { name, id: agentId, runnerToken, agentToken };
  }

  /** A new lane, whose process is not started yet. */
  async lane(name: string, options: LaneOptions = {}): Promise<RigLane> {
    const lane = new RigLane(this, await this.enrol(name), options);
    this.lanes.push(lane);
    return lane;
  }

  /** Several lanes, their processes started. */
  async startLanes(count: number, options: LaneOptions = {}): Promise<RigLane[]> {
    const lanes: RigLane[] = [];
    for (let n = 1; n <= count; n++) lanes.push(await this.lane(`lane-${this.lanes.length + 1}`, options));
    await Promise.all(lanes.map((lane) => lane.start()));
    return lanes;
  }

  /** Counts a hit that the test itself has made. */
  hit(point: PointName): void {
    this.#own[point] = (this.#own[point] ?? 0) + 1;
  }

  /** How often each point was really hit. */
  hits(): Partial<Record<string, number>> {
    const lines = existsSync(this.hitsFile) ? readFileSync(this.hitsFile, "utf8").split("\n") : [];
    const counts: Partial<Record<string, number>> = { ...this.#own };
    for (const line of lines.filter((text) => text !== "")) {
      // A kill that came too late was no hit.
      const late = line.endsWith(" was over");
      const point = line.replace(" was over", "");
      counts[point] = (counts[point] ?? 0) + (late ? -1 : 1);
    }
    return counts;
  }

  /** Everything works again: waits until every lane has nothing left, then judges. */
  async judge(forMs = 30_000): Promise<Verdict> {
    this.wire.heal();
    await this.wire.up();
    if (this.relay?.running() !== true) await this.startRelay();
    const lanes: Lane[] = [];
    for (const lane of this.lanes) {
      if (lane.process?.running() !== true) await lane.start();
      const facts = await lane.settle(forMs);
      const { name, ledgerFile } = lane;
      const ledger = readLedger(ledgerFile);
      lanes.push({ name, ledger, waiting: facts.depth, endedUnsent: facts.endedUnsent });
    }
    const reads = new Map<string, StoredMessage[]>();
    for (const reader of this.readers) reads.set(reader.name, await this.#readAll(reader));
    await this.stop();
    const copies = join(this.folder, "copy");
    mkdirSync(copies, { recursive: true });
    const rows = readDatabase(this.home, copies);
    const inboxes: Inbox[] = [...rows].map(([name, stored]) => ({
      rows: stored,
      reads: reads.get(name) ?? [],
    }));
    return check(lanes, inboxes);
  }

  async #readAll(reader: Enrolled): Promise<StoredMessage[]> {
    const client = this.client(reader.runnerToken);
    using journal = openJournal<Line>(join(this.folder, `${reader.name}.jsonl`));
    for (let afterSeq = 0, more = true; more; ) {
      const wanted = { agent: reader.name, afterSeq, limit: limits.inboxPageMax };
      const page = await patiently(() => client.readInbox(wanted));
      const lines = page.messages.map(
        ({ seq, id, from, body }): Line => ({ type: "read", seq, id, from, body }),
      );
      journal.append(...lines);
      afterSeq = page.messages.at(-1)?.seq ?? afterSeq;
      const seen = { agent: reader.name, seq: afterSeq };
      if (page.messages.length > 0) await patiently(() => client.acknowledgeInbox(seen));
      more = page.more;
    }
    const lines = readLedger(join(this.folder, `${reader.name}.jsonl`));
    return lines.flatMap((line) => (line.type === "read" ? [line] : []));
  }

  /** Ends every process of the rig: senders first. */
  async stop(): Promise<void> {
    for (const lane of this.lanes) lane.agent.stop();
    await Promise.all(this.lanes.map((lane) => lane.process?.stop()));
    await this.wire.down();
    await this.relay?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
