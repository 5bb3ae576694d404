/**
 * One endpoint in memory with everything that can happen to it: requests of an agent, changes of authorization and
 * context, a relay that fails, restarts with the same memory. After every event the oracle judges.
 */
import { silentLog } from "../../src/base/log.ts";
import { seededRandom } from "../../src/base/random.ts";
import { limits } from "../../src/limits.ts";
import type { Ask } from "../../src/proxy/ask.ts";
import type { Core } from "../../src/proxy/core.ts";
import type { EndpointOptions } from "../../src/proxy/options.ts";
import type { Policy, ToolPolicy } from "../../src/proxy/policy.ts";
import { asId, type IdempotencyKey } from "../../src/wire/id.ts";
import { receipt, receiptResult } from "../../src/wire/receipt.ts";
import type { Scope } from "../../src/wire/scope.ts";
import type { Outbox, WriteCall } from "../../src/wire/write.ts";
import { testAsker } from "../fixtures/upstreams/asker.ts";
import { Allowed, scopeNames, toolFacts, toolNames, type Worktree } from "./allowed.ts";
import { type Grant, ModelRelay, modes } from "./model-relay.ts";
import type { Product } from "./product.ts";
import { SteppedClock, settled } from "./stepped-clock.ts";

export type Setting = { readonly kind: "relay" | "foreign"; readonly staticList: boolean };
type Json = Record<string, unknown>;
/** A call on its way: everything that was allowed at a moment at which it may have been decided. */
type OpenCall = { readonly name: string; readonly until: number; ever: boolean };

/** What happened in all runs: a property about nothing would show zeros here. */
export type Counts = Record<
  | "lists"
  | "tools shown"
  | "calls"
  | "calls that reached the relay"
  | "writes"
  | "replayed"
  | "replays refused",
  number
>;
export const noCounts = (): Counts => ({
  lists: 0,
  "tools shown": 0,
  calls: 0,
  "calls that reached the relay": 0,
  writes: 0,
  replayed: 0,
  "replays refused": 0,
});

const worktrees: readonly Worktree[] = ["isolated", "shared", "none"];
const waits = [1, 30, 300, 520, 2_500, 16_000];
/** A call is decided at once, or when the list was asked for once more. */
const decisionMs = limits.lastKnownAnswerMs + 1;
const uuid = "0198c0de-0000-7000-8000-000000000001";
const encoder = new TextEncoder();

export class World {
  readonly violations: string[] = [];
  readonly #product: Product;
  readonly #setting: Setting;
  readonly #counts: Counts;
  readonly #clock = new SteppedClock();
  readonly #random = seededRandom(1);
  readonly #memory = new Map<string, unknown>();
  readonly #allowed: Allowed;
  readonly #relay: ModelRelay;
  readonly #replies: Promise<void>[] = [];
  readonly #calls: OpenCall[] = [];
  readonly #queued: WriteCall[] = [];
  /** What the relay grants the agent; the runner learns of it with its next token. */
  #granted: Grant = { profile: "default", scopes: ["message:send", "message:read", "workspace"] };
  #before = this.#granted;
  #tokens = 0;
  #token = "";
  /** Everything that might be shown at some moment since the last event. */
  #shownNow: ReadonlySet<string>[] = [];
  #core: Core | undefined;

  constructor(product: Product, setting: Setting, counts: Counts) {
    this.#product = product;
    this.#setting = setting;
    this.#counts = counts;
    this.#allowed = new Allowed(setting.staticList, setting.kind === "relay");
    this.#allowed.answerSeen = () => this.#note();
    this.#relay = new ModelRelay({
      product,
      clock: this.#clock,
      allowed: this.#allowed,
      called: (name, args) => this.#called("reached the relay", name, args),
    });
  }

  /** Everything that can happen, by name. `which` chooses among its cases. */
  readonly events: Record<string, (which: number) => void | Promise<void>> = {
    list: (which) => this.#list(which),
    call: (which) => this.#call(which),
    "new scopes": (which) => this.#newScopes(which),
    "the scopes before": () => {
      this.#granted = this.#before;
      this.#mint(this.#granted);
    },
    "the relay takes scopes away": (which) => this.#takeAway(which),
    "token rotation": (which) => {
      if (which % 2 === 0) this.#relay.tokens.delete(this.#token);
      this.#mint(this.#allowed.authorization);
    },
    context: (which) => {
      this.#allowed.worktree = worktrees[which % worktrees.length] ?? "none";
      this.#running.recheck();
    },
    "relay mode": (which) => {
      this.#relay.mode = modes[which % modes.length] ?? "up";
    },
    "relay recovers": () => {
      this.#relay.mode = "up";
    },
    "relay is slow": () => {
      this.#relay.mode = "slow";
    },
    "relay list change": (which) => this.#changeList(which),
    "late answer": (which) => this.#relay.release(which),
    time: (which) => this.#clock.advance(waits[which % waits.length] ?? 1, () => this.#judge()),
    restart: () => this.start(),
    replay: () => this.#replay(),
  };

  /** Plays one event and judges. */
  async play(event: string, which: number): Promise<void> {
    await this.events[event]?.(which);
    await settled();
    this.#judge();
  }

  /** Starts the endpoint, with whatever an earlier run has left in the memory. */
  async start(): Promise<void> {
    this.#core?.lists.close();
    this.#clock.clear();
    this.#relay.forget();
    this.#replies.length = 0;
    if (this.#token === "") this.#mint(this.#granted);
    const core = this.#product.core.createCore(this.#options());
    this.#core = core;
    await core.load();
    core.lists.follow();
  }

  /** Lets what was asked for be answered, and looks at every answer. */
  async end(): Promise<void> {
    await this.#clock.advance(decisionMs, () => this.#judge());
    await settled();
    await Promise.all(this.#replies);
    this.#core?.lists.close();
  }

  get #running(): Core {
    if (this.#core === undefined) throw new Error("The endpoint was not started");
    return this.#core;
  }

  /** The same as an endpoint does when it is told that its authorization changed. */
  #tell(): void {
    const core = this.#core;
    if (core === undefined) return;
    core.recheck();
    this.#replies.push(core.lists.load().then(() => core.recheck()));
    core.lists.follow();
  }

  #mint(grant: Grant): void {
    this.#tokens += 1;
    this.#token = `token-${this.#tokens}`;
    this.#relay.tokens.set(this.#token, grant);
    const replaced = this.#allowed.authorization;
    this.#allowed.authorization = grant;
    if (JSON.stringify(replaced) === JSON.stringify(grant)) return;
    this.#before = replaced;
    this.#note();
    this.#tell();
  }

  #newScopes(which: number): void {
    const scopes = scopeNames.filter((_, bit) => ((which >> bit) & 1) === 1);
    this.#granted = { profile: which % 5 === 0 ? "narrow" : "default", scopes };
    if (which % 3 === 0) this.#relay.tokens.clear();
    this.#mint(this.#granted);
  }

  /** The runner learns of it when its token is refused. */
  #takeAway(which: number): void {
    const { profile, scopes } = this.#granted;
    this.#granted = { profile, scopes: scopes.filter((_, index) => index !== which % 4) };
    this.#relay.tokens.clear();
  }

  #changeList(which: number): void {
    const name = toolNames[which % toolNames.length] ?? "";
    if (!this.#relay.offered.delete(name)) this.#relay.offered.add(name);
    if (which % 3 !== 0) this.#running.lists.follow();
  }

  #list(which: number): void {
    this.#counts.lists += 1;
    const ask = this.#ask(which % 2 === 0, "tools/list", {});
    const reply = this.#product.requests.answerRequest(this.#running, ask).then((outcome) => {
      const bounds = this.#bounds();
      const body = JSON.parse(outcome === "streaming" ? "{}" : String(outcome.text)) as {
        result?: { tools?: { name: string }[] };
      };
      const names = (body.result?.tools ?? []).map(({ name }) => name);
      this.#counts["tools shown"] += names.length;
      if (!bounds.some((bound) => names.every((name) => bound.has(name))))
        this.violations.push(`shown ${names.join()}; allowed ${[...(bounds.at(-1) ?? [])].join()}`);
    });
    this.#replies.push(reply);
  }

  #call(which: number): void {
    this.#counts.calls += 1;
    const name = toolNames[which % toolNames.length] ?? "unknown_tool";
    const number = this.#calls.length;
    const ever = this.#allowed.callable().has(name);
    this.#calls.push({ name, until: this.#clock.monotonic() + decisionMs, ever });
    const ask = this.#ask(which % 3 !== 0, "tools/call", { name, arguments: argumentsOf(name, number) });
    this.#product.requests.answerRequest(this.#running, ask).catch((error: unknown) => {
      this.violations.push(`the call of ${name} failed: ${String(error)}`);
    });
  }

  #ask(isModern: boolean, method: string, params: Json): Ask {
    const { jsonrpc, modern, legacy } = this.#product;
    const bytes = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }));
    const message = jsonrpc.parseBody(bytes, limits.jsonDepthMax);
    if (message.kind !== "request") throw new Error(`The world made a body that is no request: ${method}`);
    return {
      ...{ message, bytes, asker: testAsker(), wantsStream: false },
      era: isModern ? modern.modern : legacy.legacy,
      session: this.#running.sessionOf(isModern ? "modern" : "stateless"),
    };
  }

  /** Judged at every moment: what the endpoint itself believes it shows, and which calls may be decided now. */
  #judge(): void {
    const bound = this.#allowed.shown();
    for (const name of this.#running.shown().names)
      if (!bound.has(name)) this.violations.push(`visible ${name}; allowed ${[...bound].join()}`);
    this.#shownNow = [bound];
    this.#note();
  }

  /** The state of this moment is one in which an answer or a decision may have been made. */
  #note(): void {
    this.#shownNow.push(this.#allowed.shown());
    const callable = this.#allowed.callable();
    const now = this.#clock.monotonic();
    for (const call of this.#calls) if (now <= call.until && callable.has(call.name)) call.ever = true;
  }

  #bounds(): ReadonlySet<string>[] {
    this.#note();
    return [...this.#shownNow];
  }

  #called(what: string, name: string, args: Json): void {
    this.#note();
    this.#counts["calls that reached the relay"] += 1;
    const call = this.#calls[numberOf(args)];
    if (call?.name !== name) this.violations.push(`called another tool: ${name} ${what}`);
    else if (!call.ever) this.violations.push(`called ${name} ${what}; it was not allowed`);
  }

  /** What is queued is delivered: the relay's own rule judges it by what it grants now. */
  #replay(): void {
    for (const call of this.#queued.splice(0)) {
      const write = {
        ...{ key: asId<IdempotencyKey>(`k${uuid}`), messageId: asId<never>(uuid) },
        ...{
          tool: call.tool,
          arguments: call.arguments,
          enqueuedAt: new Date(this.#clock.now()).toISOString(),
        },
      };
      const rights = { scopes: this.#granted.scopes as Scope[], keyWindowMs: limits.outcomeRetentionMs };
      const { status } = this.#product.rules.readWrite(write, rights, this.#clock.now());
      this.#counts[status === "read" ? "replayed" : "replays refused"] += 1;
      const { scope } = toolFacts[call.tool] ?? { scope: "none" };
      if (status === "read" && !this.#granted.scopes.includes(scope))
        this.violations.push(`replayed ${call.tool} without ${scope}`);
    }
  }

  #outbox(): Outbox {
    return {
      write: async (call) => {
        this.#counts.writes += 1;
        this.#called("was written to the outbox", call.tool, call.arguments);
        this.#queued.push(call);
        const facts = receipt({
          delivery: "queued",
          tool: call.tool,
          key: asId(`k${uuid}`),
          messageId: asId(uuid),
        });
        return { receipt: facts, result: receiptResult(facts), recordId: undefined };
      },
      answered() {},
      seen() {},
      drained: async () => true,
      notices: () => [],
      noticesAnswered() {},
      status: () => ({ depth: 0, oldestAgeMs: 0, bytes: 0, state: "idle", lastError: undefined }),
    };
  }

  #options(): EndpointOptions {
    return {
      ...{
        port: 0,
        secret: "property-secret",
        limits,
        clock: this.#clock,
        random: this.#random,
        log: silentLog,
      },
      upstream: {
        client: this.#relay,
        path: "/mcp",
        credential: () => this.#token,
        refresh: async () => {
          this.#mint(this.#granted);
          return true;
        },
      },
      outbox: this.#outbox(),
      policy: policyOf(this.#setting.kind),
      authorization: () => ({ relay: "r", principal: "p", ...this.#allowed.authorization }),
      context: () => ({ worktree: this.#allowed.worktree }),
      memory: {
        load: async (key) => this.#memory.get(key),
        save: async (key, value) => void this.#memory.set(key, value),
      },
      builtin: () =>
        this.#setting.kind === "relay" ? builtinTools(this.#allowed.authorization.scopes) : undefined,
      staticList: this.#setting.staticList,
      serverInfo: { name: "property", version: "1" },
    };
  }
}

function argumentsOf(name: string, number: number): Json {
  const body = `call ${number}`;
  if (name === "relay_send_message") return { to: "bob", body };
  return name === "relay_reply" ? { messageId: uuid, body } : { body };
}

function numberOf(args: Json): number {
  return Number(String(args.body).slice("call ".length));
}

function policyOf(kind: Setting["kind"]): Policy {
  const rows = Object.entries(toolFacts).map(([name, fact]): [string, ToolPolicy] => [
    name,
    {
      buffered: fact.buffered,
      drainFirst: false,
      shownWhen: fact.isolatedOnly ? "isolated-worktree" : "always",
      readOnly: false,
      keyPlace: fact.buffered ? { in: "argument", name: "idempotencyKey" } : undefined,
      timeoutMs: undefined,
    },
  ]);
  return { kind, tools: new Map(rows), limits: {} };
}

function builtinTools(scopes: readonly string[]) {
  return Object.entries(toolFacts)
    .filter(([, fact]) => fact.builtin && scopes.includes(fact.scope))
    .map(([name]) => ({ name, inputSchema: { type: "object" } }));
}
