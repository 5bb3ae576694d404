/**
 * A proxy between runners and relay that loses answers: a delivery request is passed on, the relay's whole answer is
 * read, then the runner's connection is reset. So the relay has committed and the sender cannot know. Everything
 * else passes as it is, but for the Host of requests. In the mode `key-per-attempt` it also plays a sender without stable keys.
 */
import { randomUUID } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { z } from "zod";
import type { Random } from "../../src/base/random.ts";
import { type HttpMessage, takeMessage, withBody, withHeader } from "./http-message.ts";

/** `stable`: records pass as they are. `key-per-attempt`: every attempt of a record gets a fresh key and message id. */
export type KeyMode = "stable" | "key-per-attempt";

export type FaultProxy = {
  readonly url: string;
  /** Delivery requests passed on, answers dropped after the relay had committed, records in those answers. */
  readonly counts: { deliveries: number; dropped: number; droppedRecords: number };
  close(): void;
};

export type FaultProxyOptions = {
  upstream: string;
  /** How many of the answers of delivery requests are dropped, 0 to 1. */
  dropRate: number;
  keys: KeyMode;
  random: Random;
};

type Delivery = { dropped: boolean; names: Map<string, string>; records: number };
type Counts = { deliveries: number; dropped: number; droppedRecords: number };

const deliveryPath = /^POST \/api\/v1\/lanes\/[^/]+\/records /;
const batchSchema = z.looseObject({
  records: z.array(z.looseObject({ key: z.string(), messageId: z.string() })),
});

/** Starts the proxy on a free port of the loopback. */
export function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const counts: Counts = { deliveries: 0, dropped: 0, droppedRecords: 0 };
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = join(client, options, counts);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    }
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      resolve({
        url: `http://127.0.0.1:${port}`,
        counts,
        close() {
          server.close();
          for (const socket of sockets) socket.destroy();
        },
      });
    });
  });
}

/** One client connection and its own connection to the relay: requests are cut out, answers mostly just pass. */
function join(client: Socket, options: FaultProxyOptions, counts: Counts): Socket {
  const { host, hostname, port } = new URL(options.upstream);
  const upstream = connect({ host: hostname, port: Number(port), noDelay: true });
  let asked: Buffer = Buffer.alloc(0);
  let answered: Buffer = Buffer.alloc(0);
  let delivery: Delivery | undefined;

  client.on("data", (bytes: Buffer) => {
    asked = Buffer.concat([asked, bytes]);
    for (let taken = takeMessage(asked); taken !== undefined; taken = takeMessage(asked)) {
      asked = Buffer.from(asked.subarray(taken.size));
      const request = requestOf(withHeader(taken.message, "host", host), options);
      delivery = request.delivery;
      if (delivery !== undefined) counts.deliveries += 1;
      upstream.write(request.bytes);
    }
  });
  upstream.on("data", (bytes: Buffer) => {
    if (delivery === undefined) {
      client.write(bytes);
      return;
    }
    answered = Buffer.concat([answered, bytes]);
    const taken = takeMessage(answered);
    if (taken === undefined) return;
    const { dropped, names, records } = delivery;
    delivery = undefined;
    answered = Buffer.alloc(0);
    if (dropped && taken.message.startLine.includes(" 200 ")) {
      counts.dropped += 1;
      counts.droppedRecords += records;
      client.resetAndDestroy();
      upstream.destroy();
    } else
      client.write(
        names.size === 0 ? taken.message.raw : withBody(taken.message, renamed(taken.message.body, names)),
      );
  });
  // Either end going takes the other with it, at once and whatever was on its way.
  for (const [socket, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    socket.on("error", () => other.destroy());
    socket.on("close", () => other.destroy());
  }
  return upstream;
}

function requestOf(message: HttpMessage, options: FaultProxyOptions): { bytes: Buffer; delivery?: Delivery } {
  if (!deliveryPath.test(message.startLine)) return { bytes: message.raw };
  const batch = batchSchema.parse(JSON.parse(message.body.toString()));
  const dropped = options.random.fraction() < options.dropRate;
  const names = new Map<string, string>();
  const delivery = { dropped, names, records: batch.records.length };
  if (options.keys === "stable") return { bytes: message.raw, delivery };
  for (const record of batch.records) {
    const fresh = { key: `attempt-${randomUUID()}`, messageId: randomUUID() };
    names.set(fresh.key, record.key).set(fresh.messageId, record.messageId);
    Object.assign(record, fresh);
  }
  return { bytes: withBody(message, JSON.stringify(batch)), delivery };
}

/** The answer with the sender's own keys and ids again. */
function renamed(body: Buffer, names: Map<string, string>): string {
  return [...names].reduce((text, [fresh, own]) => text.replaceAll(fresh, own), body.toString());
}
