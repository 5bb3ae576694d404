/**
 * The relay of a simulated world: the product's handler, operations and SQL over a database in memory. Only the
 * thread of its store is replaced: calls wait a moment, share a commit, and are answered after it. A kill loses all
 * that was not committed.
 */
import type { Database } from "bun:sqlite";
import { silentLog } from "../../src/base/log.ts";
import { openSqlite } from "../../src/base/sqlite.ts";
import { createAccess } from "../../src/relay/access.ts";
import { doorOf } from "../../src/relay/door.ts";
import { createHandler, type Handler } from "../../src/relay/handler.ts";
import { createHub } from "../../src/relay/hub.ts";
import { createMcpEndpoint } from "../../src/relay/mcp.ts";
import { createObservers } from "../../src/relay/observers.ts";
import type { Relay } from "../../src/relay/relay.ts";
import { createStreams } from "../../src/relay/streams.ts";
import { groupCommit } from "../../src/store/group.ts";
import { migrate } from "../../src/store/migrate.ts";
import { agentVerbs } from "../../src/store/sqlite/agents.ts";
import { auditVerbs } from "../../src/store/sqlite/audit.ts";
import { messageVerbs } from "../../src/store/sqlite/messages.ts";
import { profileVerbs, seedProfiles } from "../../src/store/sqlite/profiles.ts";
import { renewalVerbs } from "../../src/store/sqlite/renewals.ts";
import { tokenVerbs } from "../../src/store/sqlite/tokens.ts";
import { readIdentity, upkeepVerbs } from "../../src/store/sqlite/upkeep.ts";
import type { NewToken, RelayStore, WriteBatch, WriteBatchResult } from "../../src/store/store.ts";
import { type AgentId, asId, type StoreId, type TokenId, uuidOf } from "../../src/wire/id.ts";
import { scopesOf } from "../../src/wire/scope.ts";
import { tokenHash, tokenText } from "../../src/wire/token.ts";
import type { Chance } from "./chance.ts";
import { clockOf, type Life, type SimClock } from "./clock.ts";
import type { Ledger } from "./ledger.ts";

/** Where the simulated relay believes to listen. */
export const relayPort = 4850;

/** How a planted bug changes the relay. */
export type RelayPatch = { batch?(batch: WriteBatch): WriteBatch; fencesAtOpening?: boolean };
export type RelayParts = { clock: SimClock; chance: Chance; ledger: Ledger; patch: RelayPatch };

type Verbs = Omit<RelayStore, "identity" | "close" | "backup">;
type Committed = { messageId: string; sender: string; body: string; recipient: string };

export class SimRelay {
  readonly #parts: RelayParts;
  readonly #database: Database;
  readonly #verbs;
  readonly #group;
  readonly #identity;
  /** Probability that a commit of the store fails. */
  failing = 0;
  #life: Life = { alive: false };
  #handler: Handler | undefined;
  #relay: Relay | undefined;
  #cut: (() => void)[] = [];
  readonly #newest;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#database = openSqlite({ path: ":memory:", exclusive: false });
    const version = migrate(this.#database);
    const fresh = { relayId: uuidOf("relay"), now: parts.clock.now() };
    this.#identity = readIdentity(this.#database, fresh, version);
    // A row that the database refuses whatever is asked: the poison of the outbox.
    this.#database.run(
      `CREATE TRIGGER poison BEFORE INSERT ON messages WHEN new.body LIKE '%poison%'
       BEGIN SELECT raise(ABORT, 'poison'); END`,
    );
    seedProfiles(this.#database, fresh.now);
    const tokens = tokenVerbs(this.#database);
    this.#verbs = {
      ...tokens,
      ...renewalVerbs(this.#database, tokens),
      ...agentVerbs(this.#database, tokens),
      ...profileVerbs(this.#database),
      ...messageVerbs(this.#database),
      ...upkeepVerbs(this.#database),
      ...auditVerbs(this.#database),
    };
    this.#group = groupCommit(this.#database);
    this.#newest = this.#database.query<{ session: number }, [string]>(
      "SELECT used AS session FROM lanes WHERE store_id = ?1",
    );
    this.start();
  }

  get relayId(): string {
    return this.#identity.relayId;
  }

  get up(): boolean {
    return this.#life.alive;
  }

  start(): void {
    if (this.up) return;
    const life = { alive: true };
    const { clock: world, chance } = this.#parts;
    const clock = clockOf(world, life);
    const store = this.#store(life);
    const relay: Relay = {
      store,
      clock,
      random: chance,
      log: silentLog,
      version: "0",
      startedAt: clock.now(),
      access: createAccess({ store, clock }),
      streams: createStreams(clock),
      obligations: { opened() {}, close: async () => {} },
      ...createObservers({ store, clock, log: silentLog }),
      hub: createHub({ clock, seen: () => {} }),
    };
    this.#life = life;
    this.#relay = relay;
    this.#handler = createHandler(relay, createMcpEndpoint(relay), {
      door: doorOf({ port: relayPort, tls: false }),
    });
  }

  kill(): void {
    this.#life.alive = false;
    this.#handler = undefined;
    for (const cut of this.#cut.splice(0)) cut();
  }

  /** The response to a request; undefined when the relay was killed before it was ready. */
  async serve(request: Request): Promise<{ status: number; text: string } | undefined> {
    const handler = this.#handler;
    if (handler === undefined) return undefined;
    const { promise: killed, resolve: cut } = Promise.withResolvers<undefined>();
    const give = () => cut(undefined);
    this.#cut.push(give);
    const answer = async () => {
      const response = await handler(request, () => {}, "sim");
      return { status: response.status, text: await response.text() };
    };
    const served = await Promise.race([answer(), killed]);
    this.#cut = this.#cut.filter((other) => other !== give);
    return served;
  }

  /** Gives the name to a new runner token, which revokes the one before; the token's text. */
  enrol(name: string, secret: Uint8Array): string {
    const now = this.#parts.clock.now();
    const text = tokenText("runner", secret);
    const agentId = asId<AgentId>(uuidOf("agent", name));
    const machine = "sim";
    const token: NewToken = {
      id: asId<TokenId>(uuidOf("token", text)),
      kind: "runner",
      hash: tokenHash(text),
      agentId,
      scopes: scopesOf("runner"),
      note: "",
    };
    const bounds = { takeover: true, mayTakeOver: true, displacedUntil: now, leaseUntil: now };
    this.#group.all([
      () => {
        const held = this.#verbs.agentByName(name)?.lease?.holder;
        const revoked = held === undefined ? [] : (this.#verbs.revokeToken(held, now)?.revoked ?? []);
        this.#verbs.enrol(
          { agentId, name, provider: "sim", machine, profile: undefined, token, ...bounds },
          now,
        );
        this.#relay?.access.forget(revoked);
      },
    ]);
    return text;
  }

  /** A copy of the store, somewhere else, opens the lane and uses it. */
  grant(store: string, agent: string): void {
    const [storeId, sender] = [asId<StoreId>(store), this.agentId(agent)];
    const now = this.#parts.clock.now();
    this.#group.all([
      () => {
        const laneSession = this.#verbs.openLane(storeId, sender, now);
        if (laneSession !== undefined)
          this.#verbs.findOutcomes({ sender, keys: [], lane: { storeId, laneSession } });
      },
    ]);
  }

  agentId(name: string): AgentId {
    return asId(uuidOf("agent", name));
  }

  /** Everything that was committed, in the order of the commits. */
  committed(): Committed[] {
    return this.#database
      .query<Committed, []>(
        `SELECT m.id AS messageId, s.name AS sender, m.body, m.recipient FROM messages m
         JOIN agents s ON s.id = m.sender_id ORDER BY m.rowid`,
      )
      .all();
  }

  /** An inbox, in the order of its seq. */
  inbox(name: string): { seq: number; messageId: string }[] {
    return this.#database
      .query<{ seq: number; messageId: string }, [string]>(
        "SELECT seq, message_id AS messageId FROM inbox WHERE agent_id = ?1 ORDER BY seq",
      )
      .all(this.agentId(name));
  }

  close(): void {
    this.kill();
    this.#database.close();
  }

  /** The store as the handler knows it. */
  #store(life: Life): RelayStore {
    const { clock, chance } = this.#parts;
    let queue: { run: () => void; fail: (error: unknown) => void; done: () => void }[] = [];
    const flush = () => {
      const calls = queue;
      queue = [];
      if (!life.alive) return;
      const broken = chance.is(this.failing);
      const fail = () => {
        throw new Error("simulated disk failure");
      };
      try {
        this.#group.all([...calls.map(({ run }) => run), ...(broken ? [fail] : [])]);
      } catch (error) {
        for (const call of calls) call.fail(error);
        return;
      }
      clock.after(chance.between(0.01, 0.5), () => {
        if (life.alive) for (const call of calls) call.done();
      });
    };
    const call = <Value>(work: () => Value): Promise<Value> =>
      new Promise((resolve, reject) => {
        let settle = () => {};
        const run = () => {
          try {
            const value = this.#group.call(work);
            settle = () => resolve(value);
          } catch (error) {
            settle = () => reject(error);
          }
        };
        queue.push({ run, fail: reject, done: () => settle() });
        if (queue.length === 1) clock.after(chance.between(0.2, 3), flush);
      });
    return { identity: this.#identity, ...this.#async(call), close: async () => {}, backup: async () => 0 };
  }

  #async(call: <Value>(work: () => Value) => Promise<Value>): Verbs {
    const verbs = {
      ...this.#verbs,
      applyWrites: (batch: WriteBatch, now: number) => this.#apply(batch, now),
      openLane: (storeId: StoreId, sender: AgentId, now: number) => {
        const laneSession = this.#verbs.openLane(storeId, sender, now);
        if (this.#parts.patch.fencesAtOpening === true && laneSession !== undefined)
          this.#verbs.findOutcomes({ sender, keys: [], lane: { storeId, laneSession } });
        return laneSession;
      },
    };
    const later = Object.entries(verbs).map(([name, verb]) => {
      const run = verb as (...args: unknown[]) => unknown;
      return [name, (...args: unknown[]) => call(() => run(...args))];
    });
    // Every verb of the contract is one of the SQL verbs under the same name; the names are lost in the entries.
    return Object.fromEntries(later) as Verbs;
  }

  #apply(batch: WriteBatch, now: number): WriteBatchResult {
    const { patch, ledger, clock } = this.#parts;
    const result = this.#verbs.applyWrites(patch.batch?.(batch) ?? batch, now);
    const { lane } = batch;
    const newest = lane === undefined ? undefined : this.#newest.get(lane.storeId)?.session;
    if (result.status === "applied" && lane?.laneSession !== newest)
      ledger.broke(
        "inversion",
        `records of session ${lane?.laneSession} took effect, the newest was ${newest}`,
      );
    const said =
      result.status === "applied" ? result.outcomes.map(({ status }) => status).join() : result.status;
    ledger.trace(
      clock.monotonic(),
      `relay apply ${batch.writes.map(({ messageId }) => messageId).join()} ${said}`,
    );
    return result;
  }
}
