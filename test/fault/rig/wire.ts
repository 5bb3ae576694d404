/**
 * The network between runners and relay, with its faults: a TCP proxy with one verdict per request, from a seed or
 * from the test. It cuts requests out of the stream, so that it knows which answer it loses and how many records
 * were in it. It can go down and come back on the same port, and follow a relay that has another port now.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { z } from "zod";
import { type HttpMessage, takeMessage, withHeader } from "../http-message.ts";

/**
 * pass. lose: the relay answers, the sender sees a reset. lose-502 …: the relay answers, the sender sees this status.
 * cut: half of the answer, then a reset. refuse: reset before a byte is passed on. swallow: passed on, never
 * answered. hole: neither passed on nor answered. hold: like hole, and kept for `releaseHeld`. status-…: answered so
 * by a gateway, not passed on.
 */
export type Verdict =
  | "pass"
  | "lose"
  | "lose-502"
  | "lose-503"
  | "lose-504"
  | "cut"
  | "refuse"
  | "swallow"
  | "hole"
  | "hold"
  | "status-500"
  | "status-401";

/** `send`: a live message without a lane, as the naive control sends. */
export type RequestKind = "open" | "deliver" | "probe" | "feed" | "send" | "other";
export type WireRequest = { kind: RequestKind; records: readonly { key: string; body: string }[] };

export type WireCounts = Record<Verdict, number> & {
  deliveries: number;
  /** Records in deliveries. */
  records: number;
  /** Records in deliveries that the relay may have applied and whose answer did not reach the sender. */
  ambiguous: number;
  /** Attempts by key. */
  attempts: Map<string, number>;
};

export type WireOptions = {
  /** The relay's origin now. */
  upstream: string;
  verdict?: (request: WireRequest) => Verdict;
  /** Time that an answer takes on its way, ms. */
  delayMs?: (request: WireRequest) => number;
  /** Called before a request is passed on and before its answer is; what it does is done before that. */
  before?: (stage: "request" | "answer", request: WireRequest) => void | Promise<void>;
};

/** What is asked of a relay once more by `releaseHeld`. */
type Held = { bytes: Buffer };

export class Wire {
  readonly options: WireOptions;
  readonly counts: WireCounts = {
    pass: 0,
    lose: 0,
    "lose-502": 0,
    "lose-503": 0,
    "lose-504": 0,
    cut: 0,
    refuse: 0,
    swallow: 0,
    hole: 0,
    hold: 0,
    "status-500": 0,
    "status-401": 0,
    deliveries: 0,
    records: 0,
    ambiguous: 0,
    attempts: new Map(),
  };
  /** The newest lane session that passed by, of any lane: for the control without fencing. */
  newestSession = 0;
  readonly #sockets = new Set<Socket>();
  readonly #held: Held[] = [];
  #server: Server | undefined;
  #port = 0;

  constructor(options: WireOptions) {
    this.options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens; again on the same port after `down`. */
  async up(): Promise<this> {
    if (this.#server !== undefined) return this;
    const server = createServer({ noDelay: true }, (client) => this.#join(client));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    const address = server.address();
    this.#port = typeof address === "object" && address !== null ? address.port : 0;
    this.#server = server;
    return this;
  }

  /** Refuses connections and resets those that are open. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) =>
      server === undefined ? resolve() : server.close(() => resolve()),
    );
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  /** Everything passes from now on. */
  heal(): void {
    this.options.verdict = () => "pass";
    this.options.delayMs = () => 0;
  }

  /**
   * Sends the held requests to the relay now, long after their sender has given them up.
   * @param unfenced puts the newest lane session into them: the control without fencing
   */
  async releaseHeld(unfenced = false): Promise<number[]> {
    const statuses: number[] = [];
    for (const { bytes } of this.#held.splice(0)) statuses.push(await this.#send(bytes, unfenced));
    return statuses;
  }

  async #send(bytes: Buffer, unfenced: boolean): Promise<number> {
    const taken = takeMessage(bytes);
    if (taken === undefined) throw new Error("Release a held request: it is not whole");
    const { startLine, headers, body } = taken.message;
    const [method = "", path = ""] = startLine.split(" ");
    const batch = JSON.parse(body.toString()) as Record<string, unknown>;
    if (unfenced) batch.laneSession = this.newestSession;
    const answer = await fetch(`${this.options.upstream}${path}`, {
      method,
      headers: {
        authorization: headers.get("authorization") ?? "",
        "content-type": headers.get("content-type") ?? "",
      },
      body: JSON.stringify(batch),
    });
    await answer.text();
    return answer.status;
  }

  #join(client: Socket): void {
    const upstream = this.#connectUpstream();
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    }
    new Exchange(this, client, upstream, this.#held);
  }

  #connectUpstream(): Socket {
    const { hostname, port } = new URL(this.options.upstream);
    return connect({ host: hostname, port: Number(port), noDelay: true });
  }
}

type Asked = WireRequest & { verdict: Verdict };

/** One client connection and its own connection to the relay. */
class Exchange {
  readonly #wire: Wire;
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #held: Held[];
  #asking: Buffer = Buffer.alloc(0);
  #answering: Buffer = Buffer.alloc(0);
  #asked: Asked | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(wire: Wire, client: Socket, upstream: Socket, held: Held[]) {
    this.#wire = wire;
    this.#client = client;
    this.#upstream = upstream;
    this.#held = held;
    client.on("data", (bytes: Buffer) => {
      this.#asking = Buffer.concat([this.#asking, bytes]);
      this.#then(() => this.#takeRequests());
    });
    upstream.on("data", (bytes: Buffer) => this.#then(() => this.#answer(bytes)));
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
  }

  #then(act: () => Promise<void>): void {
    this.#work = this.#work.then(act).catch(() => this.#end());
  }

  #end(): void {
    this.#client.resetAndDestroy();
    this.#upstream.destroy();
  }

  async #takeRequests(): Promise<void> {
    for (let taken = takeMessage(this.#asking); taken !== undefined; taken = takeMessage(this.#asking)) {
      this.#asking = Buffer.from(this.#asking.subarray(taken.size));
      await this.#pass(taken.message);
    }
  }

  async #pass(message: HttpMessage): Promise<void> {
    const { options, counts } = this.#wire;
    const request = requestOf(message);
    const verdict = options.verdict?.(request) ?? "pass";
    counts[verdict] += 1;
    if (request.kind === "deliver") {
      counts.deliveries += 1;
      counts.records += request.records.length;
      if (mayBeApplied(verdict)) counts.ambiguous += request.records.length;
      for (const { key } of request.records) counts.attempts.set(key, (counts.attempts.get(key) ?? 0) + 1);
    }
    await options.before?.("request", request);
    if (verdict === "refuse") return this.#end();
    if (verdict === "hole") return;
    if (verdict === "hold") {
      this.#held.push({ bytes: message.raw });
      return;
    }
    if (verdict === "status-500" || verdict === "status-401") {
      this.#client.write(faultAnswer(Number(verdict.slice(-3))));
      return;
    }
    this.#asked = { ...request, verdict };
    const { host } = new URL(options.upstream);
    this.#upstream.write(withHeader(message, "host", host).raw);
  }

  async #answer(bytes: Buffer): Promise<void> {
    const asked = this.#asked;
    if (asked === undefined || asked.kind === "feed" || asked.kind === "other") {
      if (asked?.verdict !== "swallow") this.#client.write(bytes);
      return;
    }
    this.#answering = Buffer.concat([this.#answering, bytes]);
    const taken = takeMessage(this.#answering);
    if (taken === undefined) return;
    this.#answering = Buffer.alloc(0);
    this.#asked = undefined;
    if (asked.kind === "open") this.#noteSession(taken.message);
    const { options } = this.#wire;
    const delayMs = options.delayMs?.(asked) ?? 0;
    if (delayMs > 0) await Bun.sleep(delayMs);
    await options.before?.("answer", asked);
    this.#deliver(taken.message, asked.verdict);
  }

  #deliver({ raw }: HttpMessage, verdict: Verdict): void {
    if (verdict === "pass") this.#client.write(raw);
    else if (verdict === "lose") this.#end();
    else if (verdict === "cut") {
      this.#client.write(raw.subarray(0, Math.floor(raw.length / 2)), () => this.#end());
    } else if (verdict !== "swallow") this.#client.write(faultAnswer(Number(verdict.slice(-3))));
  }

  #noteSession({ body }: HttpMessage): void {
    const parsed = z.object({ laneSession: z.number() }).safeParse(JSON.parse(body.toString() || "null"));
    if (parsed.success) this.#wire.newestSession = parsed.data.laneSession;
  }
}

function mayBeApplied(verdict: Verdict): boolean {
  return verdict.startsWith("lose") || verdict === "cut" || verdict === "swallow";
}

/** What a gateway says that has no answer, and what one says that does not want the request. */
function faultAnswer(status: number): Buffer {
  const body = `<html><body>${status}</body></html>`;
  const head = [`HTTP/1.1 ${status} Fault`, "content-type: text/html", `content-length: ${body.length}`];
  return Buffer.from([...head, "", body].join("\r\n"));
}

const batchSchema = z.looseObject({
  records: z.array(
    z.looseObject({ key: z.string(), arguments: z.looseObject({ body: z.string().optional() }) }),
  ),
});

function requestOf({ startLine, body }: HttpMessage): WireRequest {
  if (/^POST \/api\/v1\/lanes\/[^/]+\/sessions /.test(startLine)) return { kind: "open", records: [] };
  if (startLine.startsWith("GET /api/v1/feed")) return { kind: "feed", records: [] };
  if (startLine.startsWith("POST /api/v1/messages ")) return { kind: "send", records: [] };
  if (startLine.startsWith("GET /api/v1/relay ")) return { kind: "probe", records: [] };
  if (!/^POST \/api\/v1\/lanes\/[^/]+\/records /.test(startLine)) return { kind: "other", records: [] };
  const batch = batchSchema.parse(JSON.parse(body.toString()));
  return {
    kind: "deliver",
    records: batch.records.map(({ key, arguments: given }) => ({ key, body: given.body ?? "" })),
  };
}
