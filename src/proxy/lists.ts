/**
 * What the upstream offers, remembered per authorization. An answer replaces what is remembered, a failure never
 * does; what is remembered for one authorization is never shown under another (P3).
 */
import { type Backoff, backoff } from "../base/backoff.ts";
import { canonicalJson, fingerprint } from "../wire/id.ts";
import { isObject, type JsonObject } from "../wire/jsonrpc.ts";
import type { ToolDefinition } from "../wire/tools.ts";
import type { Asked, Control } from "./control.ts";
import type { Authorization, EndpointOptions } from "./options.ts";
import { within } from "./within.ts";

export const listMethods = {
  "tools/list": "tools",
  "prompts/list": "prompts",
  "resources/list": "resources",
  "resources/templates/list": "resourceTemplates",
} as const;
export type ListMethod = keyof typeof listMethods;
export type ListAnswer =
  | { kind: "list"; items: readonly JsonObject[]; fresh: boolean }
  | { kind: "error"; code: number; message: string };

export type Lists = {
  /** The list as the upstream gives it within the time for last-known answers, else as it is remembered. */
  ask(method: ListMethod): Promise<ListAnswer>;
  /** Every tool that is remembered for the authorization of this moment, or the built-in ones, not narrowed. */
  tools(): readonly ToolDefinition[];
  /** True when the upstream has ever answered for this authorization, or there is a built-in list. */
  knowsTools(): boolean;
  /** Asks for the tools again and resolves true when the upstream answered in time. */
  refreshTools(waitMs: number): Promise<boolean>;
  /** There is news: asks for the tools at once, and again with growing pauses until the upstream has answered. */
  follow(): void;
  /** Loads what earlier runs remembered for the authorization of this moment. */
  load(): Promise<void>;
  close(): void;
};

type Held = Map<string, readonly JsonObject[]>;

/**
 * @param changed called after every answer that replaced the remembered tools
 */
export function createLists(options: EndpointOptions, control: Control, changed: () => void): Lists {
  return new ListKeeper(options, control, changed);
}

class ListKeeper implements Lists {
  readonly #options: EndpointOptions;
  readonly #control: Control;
  readonly #changed: () => void;
  readonly #pauses: Backoff;
  readonly #held: Held = new Map();
  readonly #running = new Map<string, Promise<ListAnswer>>();
  /** The keys made for this authorization: they are asked for at every call. */
  readonly #keys = new Map<ListMethod, string>();
  #keysOf: Authorization | undefined;
  #builtin: { key: string; tools: readonly ToolDefinition[] | undefined } | undefined;
  #stopTimer: (() => void) | undefined;
  #following: "no" | "waiting" | "asking" | "asking, then again" = "no";
  #failures = 0;
  #closed = false;

  constructor(options: EndpointOptions, control: Control, changed: () => void) {
    this.#options = options;
    this.#control = control;
    this.#changed = changed;
    const { deliveryBackoffBaseMs: baseMs, listRetryCapMs: capMs } = options.limits;
    this.#pauses = backoff({ baseMs, capMs, random: options.random });
  }

  ask(method: ListMethod): Promise<ListAnswer> {
    return this.#within(method, this.#options.limits.lastKnownAnswerMs);
  }

  tools(): readonly ToolDefinition[] {
    const key = this.#keyOf("tools/list");
    const known = this.#held.get(key) as readonly ToolDefinition[] | undefined;
    return known ?? this.#builtinTools(key) ?? noTools;
  }

  knowsTools(): boolean {
    const key = this.#keyOf("tools/list");
    return this.#held.has(key) || this.#builtinTools(key) !== undefined;
  }

  async refreshTools(waitMs: number): Promise<boolean> {
    const answer = await this.#within("tools/list", waitMs);
    return answer.kind === "list" && answer.fresh;
  }

  follow(): void {
    if (this.#following === "asking") this.#following = "asking, then again";
    else this.#askAfter(0);
  }

  /** A failure brings no news: it never shortens a pause. */
  #retry(): void {
    if (this.#following === "no") this.#askAfter(this.#failures === 0 ? 0 : this.#pauses.next());
  }

  #askAfter(pauseMs: number): void {
    if (this.#closed) return;
    this.#stopTimer?.();
    this.#following = "waiting";
    this.#stopTimer = this.#options.clock.after(pauseMs, () => {
      this.#following = "asking";
      this.#askAnew()
        .then((answered) => this.#asked(answered))
        .catch((error: unknown) => this.#options.log.error("asking for the tools failed", { error }));
    });
  }

  #asked(answered: boolean): void {
    const news = this.#following === "asking, then again";
    this.#failures = answered ? 0 : this.#failures + 1;
    if (answered) this.#pauses.reset();
    this.#following = "no";
    if (news && answered) this.follow();
    else if (!answered) this.#retry();
  }

  /** A request that is on its way may have begun before the change that is to be seen: its end is awaited first. */
  async #askAnew(): Promise<boolean> {
    await this.#running.get(this.#keyOf("tools/list"));
    const answer = await this.#fetchOnce("tools/list");
    return answer.kind === "error" || answer.fresh;
  }

  async load(): Promise<void> {
    for (const method of Object.keys(listMethods) as ListMethod[]) {
      const key = this.#keyOf(method);
      if (this.#held.has(key)) continue;
      const value = await this.#options.memory.load(nameInMemory(key)).catch((error: unknown) => {
        this.#options.log.warn("a remembered list could not be read", { method, error });
        return undefined;
      });
      if (Array.isArray(value) && !this.#held.has(key)) this.#held.set(key, value.filter(isObject));
    }
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer?.();
  }

  /** Everything that the upstream's answer depends on. */
  #keyOf(method: ListMethod): string {
    const authorization = this.#options.authorization();
    if (!isSame(authorization, this.#keysOf)) {
      this.#keysOf = { ...authorization, scopes: [...authorization.scopes] };
      this.#keys.clear();
    }
    const { relay, principal, profile, scopes } = authorization;
    let key = this.#keys.get(method);
    if (key === undefined) {
      key = JSON.stringify([relay, principal, profile, [...scopes].sort(), method]);
      this.#keys.set(method, key);
    }
    return key;
  }

  /** The built-in tools for the scopes of this moment; made once per authorization, because schemas are costly. */
  #builtinTools(key: string): readonly ToolDefinition[] | undefined {
    if (this.#builtin?.key !== key) this.#builtin = { key, tools: this.#options.builtin() };
    return this.#builtin.tools;
  }

  async #fetchAll(method: ListMethod, key: string): Promise<ListAnswer> {
    const items: JsonObject[] = [];
    let cursor: unknown;
    for (let page = 0; page < this.#options.limits.listPagesMax; page += 1) {
      // Every page is asked for with the token of that moment: the answer must be for this authorization alone.
      const answer: Asked = await this.#control.ask(
        method,
        cursor === undefined ? {} : { cursor },
        () => key === this.#keyOf(method),
      );
      if (answer.kind === "error") return { kind: "error", code: answer.code, message: answer.message };
      if (answer.kind === "failed") return this.#remembered(method, key);
      const part = answer.result[listMethods[method]];
      if (!Array.isArray(part)) return this.#remembered(method, key);
      items.push(...part.filter(isObject));
      cursor = answer.result.nextCursor;
      if (typeof cursor !== "string") return this.#keep(method, key, items);
    }
    this.#options.log.warn("an upstream list has too many pages", { method });
    return this.#remembered(method, key);
  }

  #keep(method: ListMethod, key: string, items: readonly JsonObject[]): ListAnswer {
    const before = this.#held.get(key);
    const ordered = stableOrder(items, before ?? []);
    if (before !== undefined && canonicalJson(before) === canonicalJson(ordered)) {
      return { kind: "list", items: before, fresh: true };
    }
    this.#held.set(key, ordered);
    if (this.#held.size > heldMax) this.#held.delete(this.#held.keys().next().value ?? "");
    this.#options.memory
      .save(nameInMemory(key), ordered)
      .catch((error: unknown) => this.#options.log.warn("a list could not be remembered", { method, error }));
    if (method === "tools/list") this.#changed();
    return { kind: "list", items: ordered, fresh: true };
  }

  #remembered(method: ListMethod, key: string): ListAnswer {
    const isCurrentTools = method === "tools/list" && key === this.#keyOf(method);
    return { kind: "list", items: isCurrentTools ? this.tools() : (this.#held.get(key) ?? []), fresh: false };
  }

  /** One request at a time per list and authorization; whoever comes meanwhile gets the same answer. */
  #fetchOnce(method: ListMethod): Promise<ListAnswer> {
    const key = this.#keyOf(method);
    const now = this.#running.get(key);
    if (now !== undefined) return now;
    const asked = this.#fetchAll(method, key).finally(() => this.#running.delete(key));
    this.#running.set(key, asked);
    return asked;
  }

  async #within(method: ListMethod, waitMs: number): Promise<ListAnswer> {
    const answer = await within(this.#options.clock, waitMs, this.#askNow(method));
    return answer ?? this.#remembered(method, this.#keyOf(method));
  }

  /** Asks under the authorization of this moment; once more when it has changed by then (a 401 brought a new token). */
  async #askNow(method: ListMethod): Promise<ListAnswer> {
    const key = this.#keyOf(method);
    const answer = await this.#fetchOnce(method);
    const now = this.#keyOf(method);
    if (key !== now) {
      const again = await this.#fetchOnce(method);
      return now === this.#keyOf(method) ? again : this.#remembered(method, this.#keyOf(method));
    }
    if (answer.kind === "list" && !answer.fresh) this.#retry();
    return answer;
  }
}

function isSame(a: Authorization, b: Authorization | undefined): boolean {
  if (b === undefined || a.relay !== b.relay || a.principal !== b.principal || a.profile !== b.profile)
    return false;
  return a.scopes.length === b.scopes.length && a.scopes.every((scope, index) => scope === b.scopes[index]);
}

/** Lists kept in memory at once: four per authorization. */
const heldMax = 64;

/** Name of a remembered list in the memory. */
function nameInMemory(key: string): string {
  return `list:${fingerprint(key)}`;
}

/** One value for "none", so that what is made from it can be kept. */
const noTools: readonly ToolDefinition[] = [];

/** Known items first, in their known order, then new ones as they came: prompt caches depend on it. */
function stableOrder(items: readonly JsonObject[], before: readonly JsonObject[]): readonly JsonObject[] {
  const place = new Map(before.map((item, index) => [nameOf(item), index]));
  const rank = (item: JsonObject) => place.get(nameOf(item)) ?? before.length;
  return items
    .map((item, index) => ({ item, index }))
    .sort((a, b) => rank(a.item) - rank(b.item) || a.index - b.index)
    .map(({ item }) => item);
}

function nameOf(item: JsonObject): string {
  return String(item.name ?? item.uri ?? item.uriTemplate);
}

/** Equal for two lists that show the same names with the same schemas, in whatever order. */
export function shownFingerprint(tools: readonly ToolDefinition[]): string {
  const facts = tools
    .map(({ name, inputSchema, outputSchema }) => [
      name,
      withoutDialect(inputSchema),
      withoutDialect(outputSchema),
    ])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return fingerprint(facts);
}

function withoutDialect(schema: unknown): unknown {
  if (!isObject(schema)) return schema ?? null;
  const { $schema: _, ...rest } = schema;
  return rest;
}
