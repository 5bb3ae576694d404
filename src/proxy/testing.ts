/**
 * An endpoint in front of a scripted upstream, with everything the wiring gives replaced by something a test can
 * look into. Only tests use it.
 */
import { realClock } from "../base/clock.ts";
import { createHttpClient } from "../base/http/client.ts";
import { silentLog } from "../base/log.ts";
import { realRandom } from "../base/random.ts";
import { type Limits, limits } from "../limits.ts";
import { asId, type IdempotencyKey } from "../wire/id.ts";
import { isObject, type JsonObject } from "../wire/jsonrpc.ts";
import { type Notice, receipt, receiptResult } from "../wire/receipt.ts";
import type { Outbox, WriteCall } from "../wire/write.ts";
import { type Endpoint, type EndpointOptions, startEndpoint } from "./endpoint.ts";
import type { Context } from "./narrow.ts";
import { openPolicy } from "./policy.ts";

export const secret = "test-secret-0123456789";

/** Bounds small enough for tests. */
export const smallLimits: Limits = {
  ...limits,
  lastKnownAnswerMs: 150,
  earlyStreamMs: 120,
  callRetryMs: 200,
  writeWaitMs: 100,
  drainFirstMs: 50,
  listRetryCapMs: 100,
  deliveryBackoffBaseMs: 30,
  deliveryBackoffCapMs: 100,
  probeIntervalMs: 30,
  streamKeepaliveMs: 100,
};

/** A memory that lasts as long as the object. */
export function mapMemory(): EndpointOptions["memory"] & { readonly held: Map<string, unknown> } {
  const held = new Map<string, unknown>();
  return {
    held,
    load: async (key) => held.get(key),
    async save(key, value) {
      held.set(key, structuredClone(value));
    },
  };
}

export type TestOutbox = Outbox & {
  readonly writes: WriteCall[];
  readonly log: string[];
  pending: Notice[];
  depth: number;
  delivery: "sent" | "queued";
};

const messageId = "0198c0de-0000-7000-8000-000000000001";

/** An outbox that answers at once and keeps nothing. */
export function testOutbox(): TestOutbox {
  const outbox: TestOutbox = {
    writes: [],
    log: [],
    pending: [],
    depth: 0,
    delivery: "queued",
    async write(call) {
      outbox.writes.push(call);
      const key = call.key ?? asId<IdempotencyKey>(`mcp-${call.tool}-${messageId}`);
      const { delivery } = outbox;
      const facts = receipt({ delivery, tool: call.tool, key, messageId: asId(messageId) });
      return { receipt: facts, result: receiptResult(facts), recordId: outbox.writes.length };
    },
    answered: (recordId, session) => void outbox.log.push(`answered ${recordId} ${session}`),
    seen: (session) => void outbox.log.push(`seen ${session}`),
    drained: async () => outbox.depth === 0,
    notices: () => outbox.pending,
    noticesAnswered(ids) {
      outbox.log.push(`notices ${ids.join()}`);
      outbox.pending = outbox.pending.filter(({ id }) => !ids.includes(id));
    },
    status: () => ({
      depth: outbox.depth,
      oldestAgeMs: 0,
      bytes: 0,
      state: "idle",
      lastError: undefined,
    }),
  };
  return outbox;
}

export type TestEndpoint = Endpoint & {
  readonly memory: ReturnType<typeof mapMemory>;
  authorization: { relay: string; principal: string; profile: string; scopes: string[] };
  context: Context;
  token: string | undefined;
  refreshed: number;
  seenSeqs: number[];
};

type Upstreamed = { origin: string; path: string };

/** Starts an endpoint in front of this upstream; `more` replaces single options. */
export async function testEndpoint(
  upstream: Upstreamed,
  more: Partial<EndpointOptions> & { nextToken?: string } = {},
): Promise<TestEndpoint> {
  const client = createHttpClient({ origin: upstream.origin, clock: realClock, limits: smallLimits });
  const memory = mapMemory();
  const state = {
    authorization: { relay: "r", principal: "p", profile: "default", scopes: ["message:send"] },
    context: { worktree: "none" } as Context,
    token: undefined as string | undefined,
    refreshed: 0,
    seenSeqs: [] as number[],
  };
  const endpoint = await startEndpoint({
    port: 0,
    secret,
    limits: smallLimits,
    clock: realClock,
    random: realRandom,
    log: silentLog,
    outbox: undefined,
    policy: openPolicy,
    memory,
    builtin: () => undefined,
    staticList: false,
    serverInfo: { name: "test-proxy", version: "1" },
    authorization: () => state.authorization,
    context: () => state.context,
    inboxSeen: (seq) => state.seenSeqs.push(seq),
    upstream: {
      client,
      path: upstream.path,
      credential: () => state.token,
      async refresh() {
        state.refreshed += 1;
        state.token = more.nextToken ?? state.token;
        return more.nextToken !== undefined;
      },
    },
    ...more,
  });
  const close = async () => {
    await endpoint.close();
    client.close();
  };
  return Object.assign(state, { ...endpoint, close, memory });
}

/** Waits until the condition holds; fails with `what` after two seconds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 2_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Waited 2 s in vain until ${what}`);
    await Bun.sleep(5);
  }
}

export const modernMeta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

export type Posted = { status: number; type: string; text: string; json: JsonObject; session: string | null };

/** One POST of a JSON-RPC request, in either era, and its final message. */
export async function post(
  endpoint: { url: string },
  era: "modern" | "legacy",
  call: {
    method: string;
    params?: JsonObject;
    id?: unknown;
    headers?: Record<string, string>;
    signal?: AbortSignal;
  },
): Promise<Posted> {
  const { method, id = 1 } = call;
  const params =
    era === "modern" ? { ...call.params, _meta: { ...modernMeta, ...metaOf(call.params) } } : call.params;
  const name = call.params?.name ?? call.params?.uri;
  const response = await fetch(endpoint.url, {
    method: "POST",
    ...(call.signal === undefined ? {} : { signal: call.signal }),
    headers: {
      authorization: `Bearer ${secret}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(era === "modern" ? { "mcp-protocol-version": "2026-07-28", "mcp-method": method } : {}),
      ...(era === "modern" && typeof name === "string" ? { "mcp-name": name } : {}),
      ...call.headers,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) }),
  });
  const text = await response.text();
  const type = response.headers.get("content-type") ?? "";
  return {
    status: response.status,
    type,
    text,
    json: lastMessage(text),
    session: response.headers.get("mcp-session-id"),
  };
}

function metaOf(params: JsonObject | undefined): JsonObject {
  return isObject(params?._meta) ? params._meta : {};
}

function lastMessage(text: string): JsonObject {
  const data = text.startsWith("{")
    ? text
    : (text
        .match(/^data: (\{.*)$/gm)
        ?.at(-1)
        ?.slice(6) ?? "{}");
  return JSON.parse(data) as JsonObject;
}
