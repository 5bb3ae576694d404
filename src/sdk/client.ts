/**
 * A typed client of the relay's HTTP API, made from the operation table: one method per row. It never follows a
 * redirect, and tells an answer of the relay from anything else that answered or did not.
 */
import { type Clock, realClock } from "../base/clock.ts";
import { deadline } from "../base/signals.ts";
import { limits } from "../limits.ts";
import {
  type OperationName,
  type OperationReply,
  type OperationRequest,
  type OperationRow,
  operationTable,
} from "../wire/api.ts";
import { fetchError, isLoopback, problemIn, RelayUnreachable } from "./answer.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type ClientOptions = {
  /** The relay's address without a path, such as http://127.0.0.1:4850. */
  url: string;
  /** Read at every request; undefined sends none. */
  token: () => string | undefined;
  /** Certificates (PEM) that replace the system's authorities; names and dates are always checked. */
  ca?: string | undefined;
  fetch?: Fetch;
  /** From the call to the last byte of the answer, ms. */
  timeoutMs?: number;
  clock?: Clock;
};

/**
 * One method per operation. Each rejects with RelayError when the relay said no, with RelayUnreachable when it
 * did not answer or something else did.
 */
export type Client = {
  readonly [Name in OperationName]: (
    request: OperationRequest<Name>,
    options?: { signal?: AbortSignal },
  ) => Promise<OperationReply<Name>>;
};

/**
 * A client of the relay at an address.
 * @example
 * const client = createClient({ url: "http://127.0.0.1:4850", token: () => secret });
 * const { agents } = await client.listAgents({});
 */
export function createClient(options: ClientOptions): Client {
  const methods = Object.entries(operationTable).map(([name, row]) => [
    name,
    (request: Record<string, unknown>, call: { signal?: AbortSignal } = {}) =>
      run(options, { name, row, request, signal: call.signal }),
  ]);
  // The methods are made from the same table that the type is made from.
  return Object.fromEntries(methods) as Client;
}

type Call = {
  name: string;
  row: OperationRow;
  request: Record<string, unknown>;
  signal: AbortSignal | undefined;
};

async function run(options: ClientOptions, call: Call): Promise<unknown> {
  const { clock = realClock, timeoutMs = limits.controlRequestMs } = options;
  using limit = deadline(clock, timeoutMs, { action: `${call.name} at ${options.url}`, parent: call.signal });
  const { url, init } = requestOf(options, call);
  const answer = await exchange(options, { url, init: { ...init, signal: limit.signal } });
  const parsed = answer.status === 200 ? call.row.reply.safeParse(answer.body) : undefined;
  if (parsed?.success === true) return parsed.data;
  const problem = problemIn(answer.status, answer.body);
  if (problem !== undefined) throw problem;
  throw new RelayUnreachable(
    `Reach the relay at ${options.url}: what answered (status ${answer.status}) is not an Agent Relay of this version`,
    { sent: "unknown" },
  );
}

function requestOf(options: ClientOptions, { row, request }: Call): { url: string; init: RequestInit } {
  const inPath = new Set<string>();
  const path = row.path.replace(/:(\w+)/g, (_, member: string) => {
    inPath.add(member);
    return encodeURIComponent(String(request[member]));
  });
  const rest = Object.entries(request).filter(([name, value]) => !inPath.has(name) && value !== undefined);
  const query = new URLSearchParams(rest.map(([name, value]) => [name, String(value)]));
  const isGet = row.method === "GET";
  const token = options.token();
  return {
    url: `${options.url.replace(/\/+$/, "")}${path}${isGet && rest.length > 0 ? `?${query}` : ""}`,
    init: {
      method: row.method,
      redirect: "manual",
      headers: {
        Accept: "application/json",
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(isGet ? {} : { "Content-Type": "application/json" }),
      },
      ...(isGet ? {} : { body: JSON.stringify(Object.fromEntries(rest)) }),
      ...connecting(options),
    },
  };
}

/** Requests to this machine never go through a proxy of the environment: the token would go with them. */
export function directly(url: string): { proxy?: string } {
  // Bun takes `false` for no proxy at all; its types only know an address.
  return isLoopback(url) ? { proxy: false as unknown as string } : {};
}

/** How requests to an address are made: without a proxy to this machine, and whom TLS trusts. */
export function connecting(to: { url: string; ca?: string | undefined }): {
  proxy?: string;
  tls?: { ca: string };
} {
  return { ...directly(to.url), ...(to.ca === undefined ? {} : { tls: { ca: to.ca } }) };
}

async function exchange(
  options: ClientOptions,
  { url, init }: { url: string; init: RequestInit },
): Promise<{ status: number; body: unknown }> {
  const send = options.fetch ?? fetch;
  try {
    const response = await send(url, init);
    const text = await response.text();
    return { status: response.status, body: jsonOf(text) };
  } catch (thrown) {
    throw fetchError(options.url, thrown);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
