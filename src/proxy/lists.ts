/**
 * What the upstream offers, remembered per authorization. An answer replaces what is remembered, a failure never
 * does; what is remembered for one authorization is never shown under another (P3).
 */
import { backoff } from "../base/backoff.ts";
import { canonicalJson, fingerprint } from "../wire/id.ts";
import { isObject, type JsonObject } from "../wire/jsonrpc.ts";
import type { ToolDefinition } from "../wire/tools.ts";
import type { Asked, Control } from "./control.ts";
import type { EndpointOptions } from "./options.ts";

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
  /** Asks again and again, with growing pauses, until the upstream has answered once. */
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
  const held: Held = new Map();
  const running = new Map<string, Promise<ListAnswer>>();
  const pauses = backoff({
    baseMs: options.limits.deliveryBackoffBaseMs,
    capMs: options.limits.listRetryCapMs,
    random: options.random,
  });
  let stopTimer: (() => void) | undefined;
  let following: "no" | "waiting" | "asking" | "asking, then again" = "no";
  let failures = 0;
  let closed = false;

  /** Key of a remembered list: everything the upstream's answer depends on. */
  const keyOf = (method: ListMethod) => {
    const { relay, principal, profile, scopes } = options.authorization();
    return JSON.stringify([relay, principal, profile, [...scopes].sort(), method]);
  };
  /** Name of a remembered list in the memory. */
  const nameInMemory = (key: string) => `list:${fingerprint(key)}`;
  let builtin: { key: string; tools: readonly ToolDefinition[] | undefined } | undefined;
  /** The built-in tools for the scopes of this moment; made once per authorization, because schemas are costly. */
  const builtinTools = () => {
    const key = keyOf("tools/list");
    if (builtin?.key !== key) builtin = { key, tools: options.builtin() };
    return builtin.tools;
  };

  async function fetchAll(method: ListMethod, key: string): Promise<ListAnswer> {
    const items: JsonObject[] = [];
    let cursor: unknown;
    for (let page = 0; page < options.limits.listPagesMax; page += 1) {
      const answer: Asked = await control.ask(method, cursor === undefined ? {} : { cursor });
      if (answer.kind === "error") return { kind: "error", code: answer.code, message: answer.message };
      if (answer.kind === "failed") return remembered(method, key);
      const part = answer.result[listMethods[method]];
      if (!Array.isArray(part)) return remembered(method, key);
      items.push(...part.filter(isObject));
      cursor = answer.result.nextCursor;
      if (typeof cursor !== "string") return keep(method, key, items);
    }
    options.log.warn("an upstream list has too many pages", { method });
    return remembered(method, key);
  }

  function keep(method: ListMethod, key: string, items: readonly JsonObject[]): ListAnswer {
    // The token may have changed between two pages: such an answer belongs to no authorization.
    if (key !== keyOf(method)) return remembered(method, keyOf(method));
    const before = held.get(key);
    const ordered = stableOrder(items, before ?? []);
    const same = before !== undefined && canonicalJson(before) === canonicalJson(ordered);
    held.set(key, ordered);
    if (held.size > 64) held.delete(held.keys().next().value ?? "");
    if (!same) {
      options.memory
        .save(nameInMemory(key), ordered)
        .catch((error: unknown) => options.log.warn("a list could not be remembered", { method, error }));
      if (method === "tools/list") changed();
    }
    return { kind: "list", items: ordered, fresh: true };
  }

  function remembered(method: ListMethod, key: string): ListAnswer {
    if (method === "tools/list" && key === keyOf(method))
      return { kind: "list", items: tools(), fresh: false };
    return { kind: "list", items: held.get(key) ?? [], fresh: false };
  }

  function tools(): readonly ToolDefinition[] {
    const known = held.get(keyOf("tools/list"));
    return (known as readonly ToolDefinition[] | undefined) ?? builtinTools() ?? noTools;
  }

  /** One request at a time per list and authorization; whoever comes meanwhile gets the same answer. */
  function fetchOnce(method: ListMethod): Promise<ListAnswer> {
    const key = keyOf(method);
    const now = running.get(key);
    if (now !== undefined) return now;
    const asked = fetchAll(method, key).finally(() => running.delete(key));
    running.set(key, asked);
    return asked;
  }

  function within(method: ListMethod, waitMs: number): Promise<ListAnswer> {
    const key = keyOf(method);
    return new Promise((resolve, reject) => {
      const stop = options.clock.after(waitMs, () => resolve(remembered(method, key)));
      fetchOnce(method)
        .then((answer) => {
          if (answer.kind === "list" && !answer.fresh) follow();
          resolve(answer);
        }, reject)
        .finally(stop);
    });
  }

  function follow(): void {
    if (closed) return;
    if (following === "asking") following = "asking, then again";
    if (following !== "no") return;
    following = "waiting";
    stopTimer = options.clock.after(failures === 0 ? 0 : pauses.next(), () => {
      following = "asking";
      askAnew()
        .then((answered) => {
          const again = !answered || following === "asking, then again";
          failures = answered ? 0 : failures + 1;
          if (answered) pauses.reset();
          following = "no";
          if (again) follow();
        })
        .catch((error: unknown) => options.log.error("asking for the tools failed", { error }));
    });
  }

  /** A request that is on its way may have begun before the change that is to be seen: its end is awaited first. */
  async function askAnew(): Promise<boolean> {
    await running.get(keyOf("tools/list"));
    const answer = await fetchOnce("tools/list");
    return answer.kind === "error" || answer.fresh;
  }

  return {
    tools,
    follow,
    ask: (method) => within(method, options.limits.lastKnownAnswerMs),
    knowsTools: () => held.has(keyOf("tools/list")) || builtinTools() !== undefined,
    async refreshTools(waitMs) {
      const answer = await within("tools/list", waitMs);
      return answer.kind === "list" && answer.fresh;
    },
    async load() {
      for (const method of Object.keys(listMethods) as ListMethod[]) {
        const key = keyOf(method);
        if (held.has(key)) continue;
        const value = await options.memory.load(nameInMemory(key)).catch((error: unknown) => {
          options.log.warn("a remembered list could not be read", { method, error });
          return undefined;
        });
        if (Array.isArray(value) && !held.has(key)) held.set(key, value.filter(isObject));
      }
    },
    close() {
      closed = true;
      stopTimer?.();
    },
  };
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
