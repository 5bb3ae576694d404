/**
 * A runner of an agent as a simulated process: the product's outbox, its client of the relay, and the sessions of
 * the agent's MCP client as the proxy keeps them. It can be killed between any two events and opened again.
 */
import { silentLog } from "../../src/base/log.ts";
import { type OutboxHandle, openOutbox } from "../../src/outbox/outbox.ts";
import { newLife, step } from "../../src/outbox/record.ts";
import { type Client, createClient } from "../../src/sdk/client.ts";
import { relayDeliverer } from "../../src/sdk/deliverer.ts";
import type { StoreId } from "../../src/wire/id.ts";
import type { Notice } from "../../src/wire/receipt.ts";
import { type Deliverer, DeliveryError, type WriteAnswer, type WriteCall } from "../../src/wire/write.ts";
import { type Chance, chanceOf } from "./chance.ts";
import { clockOf, type Life } from "./clock.ts";
import { SimWorker, withWorker } from "./disk.ts";
import type { Lineage } from "./ledger.ts";
import type { Parts } from "./parts.ts";
import { relayPort } from "./relay.ts";

/** An answer on its way to the agent. */
type Carried = { recordId: number | undefined; noticeIds: string[]; aborted: boolean; done: boolean };

/** What an answer brings; `arrive` and `abort` say what became of it. */
export type Reply = {
  answer: WriteAnswer | undefined;
  notices: readonly Notice[];
  arrive(): void;
  abort(): void;
};

/** Notices that one answer carries. */
const noticesPerAnswer = 3;
/** A write that waits longer than its time and this is not answered, ms. */
const answerSlackMs = 3_000;

export class Runner {
  readonly name: string;
  readonly agent: string;
  readonly lineage: Lineage;
  token: string;
  outbox: OutboxHandle | undefined;
  client: Client | undefined;
  /** How often it was started. */
  starts = 0;
  /** How many other runners have a copy of its store. */
  copies = 0;
  readonly #parts: Parts;
  readonly #chance: Chance;
  #life: Life = { alive: false };
  #worker: SimWorker | undefined;
  #dir: string;
  #images = 0;
  #sessions = new Map<string, Carried[]>();
  #deaths: (() => void)[] = [];

  constructor(
    parts: Parts,
    facts: { name: string; agent: string; token: string; lineage?: Lineage; dir?: string },
  ) {
    const { name, agent, token } = facts;
    this.#parts = parts;
    this.name = name;
    this.agent = agent;
    this.token = token;
    this.#chance = chanceOf(parts.seed, `runner ${name}`);
    this.lineage = facts.lineage ?? { store: name, agent, taken: [] };
    parts.ledger.lineages.push(this.lineage);
    this.#dir = facts.dir ?? `${parts.folder}/${name}`;
  }

  get alive(): boolean {
    return this.#life.alive;
  }

  start(): void {
    if (this.alive) return;
    const { clock: world, network, relay, limits, ledger, coverage, disk, patch, clock } = this.#parts;
    const life: Life = { alive: true };
    this.#life = life;
    this.starts += 1;
    ledger.trace(world.monotonic(), `${this.name} start`);
    const own = clockOf(world, life);
    this.client = createClient({
      url: `http://127.0.0.1:${relayPort}`,
      token: () => this.token,
      fetch: network.fetchOf(this.name, this.agent, life),
      clock: own,
      timeoutMs: limits.deliveryAttemptMs,
    });
    const worker = new SimWorker({
      ...{ clock, ledger, lineage: this.lineage, faults: disk, name: this.name, dir: this.#dir },
      chance: this.#chance,
      patch: patch.worker?.(this.#chance) ?? {},
      count: (what) => coverage.fault(what),
    });
    this.#worker = worker;
    const opening = withWorker(worker, () =>
      openOutbox({
        dir: this.#dir,
        relayId: relay.relayId,
        agentId: relay.agentId(this.agent),
        limits,
        clock: own,
        random: this.#chance,
        log: silentLog,
        observe: (step) => this.#parts.observe(step),
        deliverer: (storeId) => this.#deliverer(storeId),
      }),
    );
    opening.then(
      (outbox) => {
        if (!life.alive) return;
        this.outbox = outbox;
        // The store takes its records through this step, in its own thread.
        const before = { ...newLife, state: "sending" as const };
        const event = { type: "reopened" as const };
        this.#parts.observe({ before, event, after: step(before, event, limits).life });
      },
      (error: unknown) => {
        if (life.alive) ledger.broke("stuck", `${this.name} cannot open its store: ${error}`);
      },
    );
  }

  /** Ends the process between two events: what was not committed is gone. */
  kill(): void {
    if (!this.alive) return;
    this.#parts.ledger.trace(this.#parts.clock.monotonic(), `${this.name} kill`);
    this.#parts.coverage.fault("runner killed");
    const image = `${this.#parts.folder}/${this.name}@${++this.#images}`;
    this.#worker?.kill(image);
    this.#dir = image;
    this.#gone();
  }

  /** Ends the process in order. */
  async stop(): Promise<void> {
    const { outbox } = this;
    if (!this.alive || outbox === undefined) return;
    this.#parts.ledger.trace(this.#parts.clock.monotonic(), `${this.name} stop`);
    this.outbox = undefined;
    await outbox.close();
    if (this.alive) this.#gone();
  }

  /** A folder with the files as they are now, as a snapshot of the machine would have it. */
  snapshot(): string {
    const image = `${this.#parts.folder}/${this.name}@copy${++this.#images}`;
    this.#worker?.image(image);
    return image;
  }

  /** Calls back when the process ends; the returned function takes that back. */
  onDeath(callback: () => void): () => void {
    this.#deaths.push(callback);
    return () => {
      this.#deaths = this.#deaths.filter((other) => other !== callback);
    };
  }

  /** A request of a session arrives: what was answered before and not aborted has been seen. */
  arrived(session: string): void {
    const { outbox } = this;
    const carried = this.#sessions.get(session) ?? [];
    this.#sessions.set(
      session,
      carried.filter(({ done, aborted }) => !done && !aborted),
    );
    if (outbox === undefined) return;
    for (const { recordId, noticeIds, done, aborted } of carried) {
      if (!done || aborted) continue;
      if (recordId !== undefined) outbox.answered(recordId, session);
      if (noticeIds.length > 0) outbox.noticesAnswered(noticeIds, session);
    }
    outbox.seen(session);
  }

  /** A bufferable call of the agent. Never resolves when the process ends before. */
  async write(call: WriteCall): Promise<Reply> {
    const { outbox } = this;
    const { clock, writeWaitMs, ledger } = this.#parts;
    if (outbox === undefined) throw new Error(`${this.name} has no outbox`);
    this.arrived(call.session);
    const life = this.#life;
    const bound = writeWaitMs + answerSlackMs;
    const cancel = clock.after(bound, () => {
      if (life.alive) ledger.broke("stuck", `${this.name} did not answer a write within ${bound} ms`);
    });
    const answer = await outbox.write(call, writeWaitMs);
    cancel();
    return this.#reply(outbox, call.session, answer);
  }

  /** Any other call of the agent: it brings nothing but notices. */
  poll(session: string): Reply | undefined {
    if (this.outbox === undefined) return undefined;
    this.arrived(session);
    return this.#reply(this.outbox, session, undefined);
  }

  #reply(outbox: OutboxHandle, session: string, answer: WriteAnswer | undefined): Reply {
    const notices = outbox.notices().slice(0, noticesPerAnswer);
    const noticeIds = notices.map(({ id }) => id);
    const carried = { recordId: answer?.recordId, noticeIds, aborted: false, done: false };
    this.#sessions.set(session, [...(this.#sessions.get(session) ?? []), carried]);
    return {
      answer,
      notices,
      arrive: () => {
        carried.done = true;
      },
      abort: () => {
        carried.aborted = true;
      },
    };
  }

  #gone(): void {
    this.#life.alive = false;
    this.outbox = undefined;
    this.client = undefined;
    this.#worker = undefined;
    this.#sessions = new Map();
    for (const callback of this.#deaths.splice(0)) callback();
  }

  /** The product's own deliverer, with what came of each call counted. */
  #deliverer(storeId: StoreId): Deliverer {
    const { patch, coverage, ledger, clock } = this.#parts;
    if (this.client === undefined) throw new Error(`${this.name} has no client`);
    const own = relayDeliverer(this.client, storeId);
    const inner = patch.deliverer?.(own, this.#chance) ?? own;
    const watched = async <Value>(
      load: "opening" | "alone" | "batch",
      work: Promise<Value>,
    ): Promise<Value> => {
      try {
        return await work;
      } catch (error) {
        if (error instanceof DeliveryError) {
          coverage.failure(error.kind, load);
          ledger.trace(clock.monotonic(), `${this.name} ${load} failed: ${error.kind}, sent ${error.sent}`);
        }
        throw error;
      }
    };
    return {
      open: (signal) => watched("opening", inner.open(signal)),
      deliver: (records, session, signal) =>
        watched(records.length === 1 ? "alone" : "batch", inner.deliver(records, session, signal)),
      probe: (signal) => inner.probe(signal),
    };
  }
}
