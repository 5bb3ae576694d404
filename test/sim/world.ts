/**
 * One simulated world from a seed: a relay, runners with their agents, a network, disks. Things happen for a number
 * of steps; then the trouble ends, everything is given time, and the ledgers are compared.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ErrorCode } from "../../src/wire/error.ts";
import { Agent } from "./agent.ts";
import { type Chance, chanceOf } from "./chance.ts";
import { check } from "./checker.ts";
import { pass, SimClock } from "./clock.ts";
import { Coverage } from "./coverage.ts";
import { Ledger, type Violation } from "./ledger.ts";
import { type Ambush, calmNetwork, Network } from "./network.ts";
import type { Parts, Patch } from "./parts.ts";
import { probe } from "./probe.ts";
import { SimRelay } from "./relay.ts";
import { Runner } from "./runner.ts";
import { settle } from "./settle.ts";
import { badDisk, badNetwork, type Climate, climateOf, goodDisk, type Happening, next } from "./weather.ts";

export type WorldOptions = {
  seed: number;
  /** How many things happen before the world settles. */
  ops: number;
  /** Folder for the files of the world, best in memory. */
  folder: string;
  patch?: Patch;
  /** Keep the trace for printing. */
  keep?: boolean;
};

export type WorldResult = {
  seed: number;
  violations: Violation[];
  /** Equal for equal worlds. */
  digest: string;
  events: number;
  lines: readonly string[];
  coverage: Coverage;
  /** Writes that were meant, answers told, messages committed. */
  sizes: { intents: number; told: number; committed: number; notices: number };
};

const agentNames = ["ann", "bob", "cid"] as const;

/** Runs a world to its end. */
export async function runWorld(options: WorldOptions): Promise<WorldResult> {
  const folder = mkdtempSync(join(options.folder, `world-${options.seed}-`));
  const world = new World(options, folder);
  try {
    return await world.run();
  } finally {
    world.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

class World {
  readonly parts: Parts;
  readonly #options: WorldOptions;
  readonly #climate: Climate;
  readonly #chance: Chance;
  readonly #agents: Agent[] = [];
  #taken = 0;
  #isSettling = false;

  constructor(options: WorldOptions, folder: string) {
    const { seed, patch = {}, keep = false } = options;
    const clock = new SimClock();
    const ledger = new Ledger(keep);
    const coverage = new Coverage();
    const count = (what: string) => coverage.fault(what);
    const relay = new SimRelay({ clock, ledger, chance: chanceOf(seed, "relay"), patch: patch.relay ?? {} });
    const network = new Network({ clock, ledger, relay, count, chance: chanceOf(seed, "network") });
    this.#options = options;
    this.#climate = climateOf(seed);
    this.#chance = chanceOf(seed, "world");
    const limits = { ...this.#climate.limits, ...patch.limits };
    this.parts = {
      ...{ seed, folder, clock, ledger, coverage, relay, network, patch, limits },
      disk: { ...goodDisk },
      writeWaitMs: 1_500,
      observe: ({ before, event, after }) => {
        coverage.cell(before.state, event.type);
        for (const wrong of probe(after, { limits, coverage })) ledger.broke("lie", wrong);
      },
    };
    for (const name of agentNames) this.#join(name, name);
  }

  async run(): Promise<WorldResult> {
    const { seed, ops } = this.#options;
    const { ledger, coverage, relay } = this.parts;
    for (const { runner } of this.#agents) runner.start();
    await this.#pass(50);
    for (let op = 0; op < ops; op += 1) {
      await this.#happen(next(this.#climate, this.#chance));
      await this.#pass(this.#chance.wait(this.#climate.paceMs));
    }
    this.#isSettling = true;
    await settle(this.parts, this.#agents, (agent) => this.#newToken(agent));
    const violations = check(ledger, relay);
    const told = ledger.intents.reduce((sum, intent) => sum + intent.told.length, 0);
    const sizes = {
      intents: ledger.intents.length,
      told,
      committed: relay.committed().length,
      notices: ledger.notices.length,
    };
    const { events, lines } = ledger;
    return { seed, violations, digest: ledger.digest(), events, lines, coverage, sizes };
  }

  close(): void {
    for (const { runner } of this.#agents) runner.kill();
    this.parts.relay.close();
  }

  #pass(ms: number): Promise<void> {
    return pass(this.parts.clock, ms);
  }

  #join(name: string, agent: string, from?: Runner): Agent {
    const token = from?.token ?? this.#newToken(agent);
    const copy =
      from === undefined
        ? {}
        : { dir: from.snapshot(), lineage: { ...from.lineage, store: name, taken: [...from.lineage.taken] } };
    const runner = new Runner(this.parts, { name, agent, token, ...copy });
    const others = agentNames.filter((other) => other !== agent);
    const joined = new Agent(this.parts, runner, { manners: this.#climate.manners, others });
    this.#agents.push(joined);
    return joined;
  }

  #newToken(agent: string): string {
    const { relay, seed } = this.parts;
    return relay.enrol(agent, chanceOf(seed, `token ${++this.#taken}`).bytes(32));
  }

  #one(): Agent | undefined {
    return this.#agents[this.#chance.below(this.#agents.length)];
  }

  async #happen(what: Happening): Promise<void> {
    const agent = this.#one();
    if (agent === undefined) return;
    this.parts.ledger.trace(this.parts.clock.monotonic(), `${what} ${agent.runner.name}`);
    await this.#happenings[what](agent);
  }

  readonly #happenings: Record<Happening, (agent: Agent) => void | Promise<void>> = {
    write: (agent) => agent.write(),
    burst: (agent) => this.#burst(agent),
    read: (agent) => void agent.read(1 + this.#chance.below(5)),
    poll: (agent) => void agent.poll(),
    "restart client": (agent) => agent.restart(),
    drop: (agent) => this.#drop(agent),
    kick: ({ runner }) => runner.outbox?.kick(),
    kill: ({ runner }) => this.#killSoon(runner, 0),
    stop: ({ runner }) => {
      runner.stop().then(() => this.#later(1_000, () => runner.start()));
    },
    copy: async (agent) => {
      await this.#backlog(agent);
      const { runner } = agent;
      this.#copy(runner);
      this.#ambush(agent, (storeId) => {
        if (storeId !== undefined && runner.copies > 0) this.parts.relay.grant(storeId, runner.agent);
      });
    },
    "take over": async (agent) => {
      if (this.#agents.length >= 6) return;
      await this.#backlog(agent);
      this.#ambush(agent, () => {
        if (this.#agents.length >= 6 || this.#isSettling) return;
        this.parts.coverage.fault("agent taken over");
        const { agent: name } = agent.runner;
        this.#join(`${name}.${this.#agents.length}`, name).runner.start();
      });
    },
    "kill relay": () => {
      const { relay, coverage } = this.parts;
      coverage.fault("relay killed");
      relay.kill();
      this.#later(4_000, () => relay.start());
    },
    cut: ({ runner }) => {
      const { cut } = this.parts.network;
      cut.add(runner.name);
      this.#later(5_000, () => cut.delete(runner.name));
    },
    "network weather": async (agent) => {
      if (this.#chance.is(0.5)) await this.#backlog(agent);
      const { network, relay } = this.parts;
      network.faults = badNetwork(this.#chance);
      relay.failing = this.#chance.is(0.3) ? 0.3 : 0;
      this.#later(6_000, () => {
        network.faults = calmNetwork;
        relay.failing = 0;
      });
    },
    "disk weather": () => {
      const { disk } = this.parts;
      Object.assign(disk, badDisk(this.#chance));
      this.#later(3_000, () => Object.assign(disk, goodDisk));
    },
    "remove agent": async (agent) => {
      const { network, coverage } = this.parts;
      if (network.removed.size > 0) return;
      await this.#backlog(agent);
      this.#ambush(agent, () => {
        coverage.fault("agent removed");
        network.removed.add(agent.runner.agent);
      });
    },
    "enrol again": async (agent) => {
      const { runner } = agent;
      await this.#backlog(agent);
      this.#ambush(agent, () => {
        this.parts.coverage.fault("credential revoked");
        const token = this.#newToken(runner.agent);
        this.#later(1_500, () => {
          runner.token = token;
          runner.outbox?.kick();
        });
      });
    },
    "answer in between": async (agent) => {
      const code = this.#chance.of<ErrorCode>(["rate_limited", "unauthorized", "too_large"]);
      const load = this.#chance.of<Ambush["load"]>(["opening", "any", "any", "batch", "batch"]);
      const isFatal = this.#chance.is(0.2);
      const strike = () => {
        this.parts.coverage.fault(`answered in between ${code}`);
        if (isFatal) this.#killSoon(agent.runner, 40);
        return code;
      };
      this.parts.network.ambushes.set(agent.runner.name, { load, strike });
      await this.#backlog(agent);
    },
    "long pause": () => this.#pass(this.#chance.between(2_000, 25_000)),
  };

  #burst(agent: Agent): void {
    for (let count = 2 + this.#chance.below(5); count > 0; count -= 1) agent.write();
  }

  /** Some happen at once, most when the agent's next delivery is about to reach the relay. */
  #ambush({ runner }: Agent, strike: (storeId: string | undefined) => void): void {
    if (this.#chance.is(0.2)) strike(undefined);
    else
      this.parts.network.ambushes.set(runner.name, {
        load: this.#chance.is(0.5) ? "batch" : "any",
        strike(storeId) {
          strike(storeId);
          return undefined;
        },
      });
  }

  /** The agent has many writes that wait, and the network is there again. */
  async #backlog(agent: Agent): Promise<void> {
    const { cut } = this.parts.network;
    const { name, outbox } = agent.runner;
    cut.add(name);
    this.#burst(agent);
    await this.#pass(this.#chance.between(20, 300));
    cut.delete(name);
    outbox?.kick();
  }

  /** The process ends within about so many ms, and comes back later. */
  #killSoon(runner: Runner, ms: number): void {
    this.#later(ms, () => {
      runner.kill();
      this.#later(3_000, () => runner.start());
    });
  }

  #later(mean: number, callback: () => void): void {
    this.parts.clock.after(this.#chance.wait(mean), () => {
      if (!this.#isSettling) callback();
    });
  }

  /** A person takes out a record; in haste, the one that is on its way. */
  #drop(agent: Agent): void {
    if (this.#chance.is(0.5)) this.#dropNow(agent, this.#chance.fraction());
    else {
      this.#burst(agent);
      this.#ambush(agent, () => this.#dropNow(agent, 0));
    }
  }

  #dropNow({ runner }: Agent, place: number): void {
    const { outbox } = runner;
    if (outbox === undefined) return;
    const isKicked = this.#chance.is(0.3);
    const isFatal = this.#chance.is(0.2);
    const afterMs = this.#chance.between(0, 60);
    outbox.records({ limit: 20 }).then(
      (records) => {
        const open = records.filter(({ state }) => state === "queued" || state === "sending");
        const picked = open[Math.floor(place * open.length)];
        if (picked === undefined) return;
        if (isKicked) outbox.kick();
        this.parts.clock.after(isKicked ? afterMs : 0, () => {
          if (runner.outbox !== outbox) return;
          outbox.drop([picked.id]).catch(() => {});
          if (isFatal) this.#killSoon(runner, 5);
        });
      },
      () => {
        // The disk failed: the person sees an error.
      },
    );
  }

  #copy(runner: Runner): void {
    if (!runner.alive || this.#agents.length >= 6) return;
    const { coverage, ledger } = this.parts;
    coverage.fault("store copied");
    const copy = this.#join(`${runner.agent}.${this.#agents.length}`, runner.agent, runner).runner;
    runner.copies += 1;
    copy.copies += 1;
    for (const { messageId } of runner.lineage.taken) ledger.copied.add(messageId);
    this.#later(2_000, () => copy.start());
  }
}
