/** Feeds as runners follow them, over plain sockets: one connection each, its bytes handed on as they come. */
import type { Measured, Order } from "./order.ts";
import type { BenchAgent } from "./world.ts";

/** Streams that are opened at the same time: more would overflow the queue of the listening socket. */
const atOnce = 64;

/**
 * Opens the feed of an agent; resolves when its first event is there.
 * @param heard gets the text of the stream as it comes
 * @returns a function that ends it
 */
export function followFeed(
  order: Pick<Order, "url">,
  agent: BenchAgent,
  heard: (text: string) => void,
): Promise<() => void> {
  const { hostname, port, host } = new URL(order.url);
  const { promise, resolve, reject } = Promise.withResolvers<() => void>();
  const head = [
    "GET /api/v1/feed HTTP/1.1",
    `Host: ${host}`,
    `Authorization: Bearer ${agent.runnerToken}`,
    "Accept: text/event-stream",
  ];
  let text = "";
  let live = false;
  void Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => void socket.write(`${head.join("\r\n")}\r\n\r\n`),
      data(socket, bytes) {
        if (live) return heard(bytes.toString("latin1"));
        text += bytes.toString("latin1");
        if (!text.includes('"type":"hello"')) return;
        live = true;
        heard(text);
        text = "";
        resolve(() => socket.end());
      },
      close: () => reject(new Error(`Follow the feed of ${agent.name}: it ended: ${text.slice(0, 300)}`)),
      error: (_, error) => reject(error),
    },
  }).catch(reject);
  return promise;
}

/** Opens one idle feed for every agent and leaves them open. */
export async function feeds(order: Order): Promise<Measured> {
  const began = performance.now();
  const left = [...order.agents];
  const open = async () => {
    for (let agent = left.pop(); agent !== undefined; agent = left.pop())
      await followFeed(order, agent, () => {});
  };
  await Promise.all(Array.from({ length: atOnce }, open));
  const tookMs = performance.now() - began;
  const count = order.agents.length;
  return { count, perSecond: (count / tookMs) * 1000, p50Ms: 0, p99Ms: 0, maxMs: 0 };
}
