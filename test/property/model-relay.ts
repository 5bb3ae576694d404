/**
 * A relay in memory behind the product's own connection seam: it decides by the token, in pages, and can be down,
 * hang, fail, answer late or lie. What it has answered for which authorization is told to the oracle as it leaves.
 */
import type { HttpClient, HttpRequest, HttpResponse } from "../../src/base/http/exchange.ts";
import { type Allowed, authorizationName, toolFacts, toolNames } from "./allowed.ts";
import type { Product } from "./product.ts";
import type { SteppedClock } from "./stepped-clock.ts";

export const modes = [
  "up",
  "slow",
  "down",
  "hangs",
  "answers 503",
  "answers 403",
  "empty lists",
  "no list in the result",
  "an error instead of a list",
] as const;
export type Mode = (typeof modes)[number];

export type Grant = { readonly profile: string; readonly scopes: readonly string[] };
type Json = Record<string, unknown>;
type Answer = { status: number; body: unknown };
/** The pages of one list so far; `mixed` when they were made for several authorizations. */
type Chain = { grant: string; mixed: boolean; names: string[] };
type Pending = { request: HttpRequest; body: Json; answer(answer: Answer): void; fail(): void };

const pageSize = 2;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export type RelayParts = {
  readonly product: Product;
  readonly clock: SteppedClock;
  readonly allowed: Allowed;
  /** A call by name has reached the relay. */
  called(name: string, args: Json): void;
};

export class ModelRelay implements HttpClient {
  mode: Mode = "up";
  readonly connections = 0;
  /** Tools the relay has at all; which of them a token sees is decided by its scopes. */
  readonly offered = new Set<string>(toolNames);
  /** Accepted tokens. */
  readonly tokens = new Map<string, Grant>();
  readonly #parts: RelayParts;
  readonly #late: Pending[] = [];
  readonly #chains = new Map<string, Chain>();
  #count = 0;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  close(): void {}

  request(request: HttpRequest): Promise<HttpResponse> {
    const { clock, product } = this.#parts;
    const { HttpFailure } = product.exchange;
    const body = JSON.parse(decoder.decode(request.body ?? encoder.encode("{}"))) as Json;
    return new Promise((resolve, reject) => {
      let over = false;
      const end = (act: () => void) => {
        if (over) return;
        over = true;
        stop();
        request.signal?.removeEventListener("abort", onAbort);
        act();
      };
      const stop = clock.after(request.headDeadlineMs ?? 600_000, () =>
        end(() => reject(new HttpFailure("timeout", "unknown", "no answer in time"))),
      );
      const onAbort = () => end(() => reject(new HttpFailure("aborted", "unknown", "given up")));
      request.signal?.addEventListener("abort", onAbort);
      this.#take({
        request,
        body,
        answer: (answer) =>
          end(() => {
            this.#leaves(request, body, answer);
            resolve(asResponse(answer));
          }),
        fail: () => end(() => reject(new HttpFailure("connect", "no", "connection refused"))),
      });
    });
  }

  /** Answers one of the requests that wait in slow mode, as the relay is now. */
  release(which: number): void {
    const [pending] = this.#late.splice(which % Math.max(1, this.#late.length), 1);
    pending?.answer(this.#decide(pending.request, pending.body));
  }

  /** The endpoint is gone: nobody waits for an answer any more. */
  forget(): void {
    this.#late.length = 0;
  }

  #take(pending: Pending): void {
    const { request, body } = pending;
    switch (this.mode) {
      case "down":
        pending.fail();
        break;
      case "hangs":
        break;
      case "slow":
        this.#late.push(pending);
        break;
      case "answers 503":
        pending.answer({ status: 503, body: { error: "unavailable" } });
        break;
      case "answers 403":
        pending.answer({ status: 403, body: { error: "forbidden" } });
        break;
      default:
        pending.answer(this.#decide(request, body));
    }
  }

  #decide(request: HttpRequest, body: Json): Answer {
    const grant = this.tokens.get(tokenOf(request));
    if (grant === undefined) return { status: 401, body: { error: "token expired" } };
    if (!("id" in body)) return { status: 202, body: undefined };
    const params = (body.params ?? {}) as Json;
    const result = (value: Json) => ({ status: 200, body: { jsonrpc: "2.0", id: body.id, result: value } });
    switch (body.method) {
      case "server/discover":
        return result({ supportedVersions: ["2026-07-28"], capabilities: { tools: {} } });
      case "initialize":
        return result({
          protocolVersion: "2025-11-25",
          capabilities: {},
          serverInfo: { name: "m", version: "1" },
        });
      case "tools/list":
        return this.#list(body, grant, params.cursor);
      case "tools/call":
        return result({ content: [{ type: "text", text: "done" }] });
      default:
        return result({});
    }
  }

  #list(body: Json, grant: Grant, cursor: unknown): Answer {
    const { id } = body;
    if (this.mode === "an error instead of a list")
      return { status: 200, body: { jsonrpc: "2.0", id, error: { code: -32603, message: "list failed" } } };
    if (this.mode === "no list in the result")
      return { status: 200, body: { jsonrpc: "2.0", id, result: { tools: "none" } } };
    const names = this.mode === "empty lists" ? [] : this.#visibleTo(grant);
    const from = typeof cursor === "string" ? Number(cursor.split(":")[1]) : 0;
    const page = names.slice(from, from + pageSize);
    const chain = typeof cursor === "string" ? chainOf(cursor) : `c${this.#count++}`;
    const more = from + pageSize < names.length ? { nextCursor: `${chain}:${from + pageSize}` } : {};
    const tools = page.map((name) => ({ name, inputSchema: { type: "object" } }));
    return { status: 200, body: { jsonrpc: "2.0", id, result: { tools, ...more } } };
  }

  #visibleTo({ scopes }: Grant): string[] {
    return [...this.offered].filter((name) => scopes.includes(toolFacts[name]?.scope ?? "none"));
  }

  /** A list counts for the oracle when all its pages were made for the same authorization, whoever has it now. */
  #leaves(request: HttpRequest, body: Json, answer: Answer): void {
    const params = (body.params ?? {}) as Json;
    if (body.method === "tools/call" && answer.status === 200)
      this.#parts.called(String(params.name), (params.arguments ?? {}) as Json);
    const result = (answer.body as { result?: Json } | undefined)?.result;
    const grant = this.tokens.get(tokenOf(request));
    if (body.method !== "tools/list" || !Array.isArray(result?.tools) || grant === undefined) return;
    const named = authorizationName(grant.profile, grant.scopes);
    const known = this.#chains.get(chainOf(params.cursor));
    const chain = known ?? { grant: named, mixed: false, names: [] };
    chain.names.push(...result.tools.map(({ name }) => String(name)));
    chain.mixed ||= chain.grant !== named;
    if (typeof result.nextCursor === "string") this.#chains.set(chainOf(result.nextCursor), chain);
    else if (!chain.mixed) this.#parts.allowed.answered(grant.profile, grant.scopes, chain.names);
  }
}

function chainOf(cursor: unknown): string {
  return String(cursor).split(":")[0] ?? "";
}

function tokenOf(request: HttpRequest): string {
  const header = request.headers.find(([name]) => name.toLowerCase() === "authorization");
  return header?.[1].replace(/^Bearer /, "") ?? "";
}

function asResponse({ status, body }: Answer): HttpResponse {
  const bytes = encoder.encode(body === undefined ? "" : JSON.stringify(body));
  async function* chunks() {
    if (bytes.byteLength > 0) yield bytes;
  }
  const headers = [["content-type", "application/json"]] as const;
  return {
    status,
    headers,
    header: (name) => headers.find(([own]) => own === name)?.[1],
    body: chunks(),
    cancel() {},
  };
}
