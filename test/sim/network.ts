/**
 * The network between runners and the relay, as the `fetch` of a client: requests and answers are late, lost,
 * doubled, cut, refused by something in between, or answered by it in the relay's name.
 */
import type { Fetch } from "../../src/sdk/client.ts";
import { type ErrorCode, problemOf, RelayError } from "../../src/wire/error.ts";
import type { Chance } from "./chance.ts";
import type { Life, SimClock } from "./clock.ts";
import type { Ledger } from "./ledger.ts";
import { relayPort, type SimRelay } from "./relay.ts";

/** Probabilities of one exchange; each is drawn on its own. */
export type NetworkFaults = {
  /** The request is lost on its way. */
  dropRequest: number;
  /** The relay has done it, the answer is lost. */
  dropAnswer: number;
  /** The relay has done it, something in between answers 502. */
  badGateway: number;
  /** Something in between answers before the relay sees it. */
  front: number;
  /** The same, of deliveries of several records. */
  frontOfBatch: number;
  /** The request arrives seconds later, maybe after its sender gave up. */
  late: number;
  /** It arrives once more, later. */
  doubled: number;
  /** Nothing arrives and nothing comes back until the sender gives up. */
  swallowed: number;
};

export const calmNetwork: NetworkFaults = {
  dropRequest: 0,
  dropAnswer: 0,
  badGateway: 0,
  front: 0,
  frontOfBatch: 0,
  late: 0,
  doubled: 0,
  swallowed: 0,
};

/** What happens when the next request of a kind is about to reach the relay. */
export type Ambush = {
  load: "opening" | "any" | "batch";
  /** @returns the code with which something in between answers, if any */
  strike(storeId: string): ErrorCode | undefined;
};

export type NetworkParts = {
  clock: SimClock;
  chance: Chance;
  ledger: Ledger;
  relay: SimRelay;
  count(what: string): void;
};

type Answer = { status: number; text: string };
type Exchange = { name: string; url: string; init: RequestInit; life: Life };

/** What stands in front of the relay answers so; the request did not pass. */
const fronts: readonly [ErrorCode | 503 | 404, ...(ErrorCode | 503 | 404)[]] = [
  "rate_limited",
  "rate_limited",
  "unauthorized",
  "internal",
  "unavailable",
  "too_large",
  503,
  404,
];

export class Network {
  readonly #parts: NetworkParts;
  faults: NetworkFaults = calmNetwork;
  /** Runners that reach nothing now. */
  readonly cut = new Set<string>();
  /** By runner. */
  readonly ambushes = new Map<string, Ambush>();
  /** Agents that the relay has removed: there is no verb for it yet, so the answer is given here. */
  readonly removed = new Set<string>();

  constructor(parts: NetworkParts) {
    this.#parts = parts;
  }

  /** The `fetch` of a process that belongs to this agent. */
  fetchOf(name: string, agent: string, life: Life): Fetch {
    return (url, init) => {
      const { promise, resolve, reject } = Promise.withResolvers<Response>();
      const give = (settle: () => void) => {
        if (life.alive) settle();
      };
      init.signal?.addEventListener("abort", () => give(() => reject(init.signal?.reason)), { once: true });
      this.#exchange({ name, url, init, life }, agent).then(
        ({ status, text }) => give(() => resolve(new Response(text, { status }))),
        (error: unknown) => give(() => reject(error)),
      );
      return promise;
    };
  }

  async #exchange(exchange: Exchange, agent: string): Promise<Answer> {
    const { chance, count, relay } = this.#parts;
    const { name } = exchange;
    const faults = this.faults;
    if (this.cut.has(name)) return this.#unreachable(chance.is(0.5));
    if (chance.is(faults.swallowed)) return this.#unreachable(true);
    const isLate = chance.is(faults.late);
    if (isLate) count("network late");
    await this.#pass(isLate ? chance.between(1_000, 20_000) : chance.between(0.5, 30));
    if (!relay.up) throw failure("ECONNREFUSED");
    if (chance.is(faults.dropRequest)) return this.#lose("network request dropped");
    const code = this.#strike(exchange);
    if (code !== undefined) return problem(code);
    if (isDelivery(exchange) && this.removed.has(agent)) return problem("agent_removed");
    if (chance.is(isBatch(exchange) ? Math.max(faults.front, faults.frontOfBatch) : faults.front))
      return this.#front();
    const answer = await relay.serve(requestOf(exchange));
    if (answer === undefined) return this.#lose("network cut by the end of the relay");
    if (chance.is(faults.doubled) && isFinal(answer)) this.#again(exchange);
    if (chance.is(faults.badGateway)) {
      count("network 502 after the commit");
      return { status: 502, text: "<html>bad gateway</html>" };
    }
    if (chance.is(faults.dropAnswer)) return this.#lose("network answer dropped");
    await this.#pass(chance.between(0.5, 30));
    return answer;
  }

  #strike(exchange: Exchange): ErrorCode | undefined {
    const ambush = this.ambushes.get(exchange.name);
    const [, storeId, what] = /\/lanes\/([^/]+)\/(records|sessions)$/.exec(exchange.url) ?? [];
    if (ambush === undefined || storeId === undefined) return undefined;
    if ((what === "sessions") !== (ambush.load === "opening")) return undefined;
    if (ambush.load === "batch" && !isBatch(exchange)) return undefined;
    this.ambushes.delete(exchange.name);
    return ambush.strike(storeId);
  }

  /** The same bytes once more, by a slow old connection; nobody waits for the answer. */
  #again(exchange: Exchange): void {
    const { clock, chance, relay, count } = this.#parts;
    clock.after(chance.wait(3_000), () => {
      count("network doubled");
      void relay.serve(requestOf(exchange));
    });
  }

  #front(): Answer {
    const { chance, count } = this.#parts;
    const code = chance.of(fronts);
    count(`network front ${code}`);
    return typeof code === "number" ? { status: code, text: "<html>no</html>" } : problem(code);
  }

  async #unreachable(swallowed: boolean): Promise<Answer> {
    this.#parts.count(swallowed ? "network swallowed" : "network refused");
    if (swallowed) return new Promise(() => {});
    await this.#pass(1);
    throw failure("ECONNREFUSED");
  }

  #lose(what: string): never {
    this.#parts.count(what);
    throw failure("ECONNRESET");
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(ms, resolve);
    });
  }
}

function requestOf({ url, init }: Exchange): Request {
  const { method = "GET", headers, body = null } = init;
  const request = new Request(url, { method, headers: new Headers(headers), body });
  request.headers.set("host", `127.0.0.1:${relayPort}`);
  return request;
}

function isDelivery({ url }: Exchange): boolean {
  return url.includes("/lanes/");
}

/** True for a delivery of several records. */
function isBatch({ url, init }: Exchange): boolean {
  return url.endsWith("/records") && String(init.body).split('"messageId"').length > 2;
}

/**
 * True when the relay would say the same once more. An answer that put a record off is not doubled: only something
 * that repeats requests after an answer could do that, and the sender could never know.
 */
function isFinal({ status, text }: Answer): boolean {
  return status === 200 && !text.includes('"deferred"');
}

function problem(code: ErrorCode): Answer {
  const error = problemOf(new RelayError(code, `simulated ${code}`));
  return { status: error.status, text: JSON.stringify(error) };
}

function failure(code: string): Error {
  return Object.assign(new Error(`simulated ${code}`), { code });
}
