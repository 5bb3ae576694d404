/**
 * Load by MCP calls: plain sockets, one kept connection per client, the next call when the last was answered. What
 * a call says is patched into the same bytes, so that the load costs little beside the relay.
 */
import { type Measured, measured, type Order } from "./order.ts";

const envelope = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
/** Digits of the number in every body: equal texts to many would look like a flood. */
const digits = 12;
const place = "#".repeat(digits);

type Request = { bytes: Buffer; at: number };

function requestOf(order: Order, token: string, to: string): Request {
  const modern = order.era === "modern";
  const args = { to, body: `${place} ${"x".repeat(order.bodyBytes)}` };
  const params = { name: "relay_send_message", arguments: args, ...(modern ? { _meta: envelope } : {}) };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
  const url = new URL(order.url);
  const lines = [
    "POST /api/mcp HTTP/1.1",
    `Host: ${url.host}`,
    `Authorization: Bearer ${token}`,
    "Content-Type: application/json",
    "Accept: application/json, text/event-stream",
    ...(modern
      ? ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: relay_send_message"]
      : ["MCP-Protocol-Version: 2025-11-25"]),
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  const bytes = Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`);
  return { bytes, at: bytes.indexOf(place) };
}

/** Size of the first whole response in the bytes; undefined while it is not complete. */
function responseSize(bytes: Buffer): number | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const top = bytes.subarray(0, end).toString("latin1").toLowerCase();
  const length = /content-length: *(\d+)/.exec(top)?.[1];
  if (length !== undefined) {
    const size = end + 4 + Number(length);
    return bytes.length >= size ? size : undefined;
  }
  const last = bytes.indexOf("\r\n0\r\n\r\n", end + 2);
  return last < 0 ? undefined : last + 7;
}

type Meter = { ended(): boolean; took(ms: number): void; next(): number };

/** One connection that calls for its agents in turn; rejects when an answer is not a receipt. */
async function connection(order: Order, requests: readonly Request[], meter: Meter): Promise<void> {
  const { hostname, port } = new URL(order.url);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let received: Buffer = Buffer.alloc(0);
  let asked = 0;
  let turn = 0;
  const ask = (socket: { write(bytes: Uint8Array): number }) => {
    const request = requests[turn++ % requests.length];
    if (request === undefined) throw new Error("Call: a connection has no agent to call for");
    request.bytes.write(String(meter.next()).padStart(digits, "0"), request.at, "latin1");
    asked = performance.now();
    socket.write(request.bytes);
  };
  await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: ask,
      data(socket, bytes) {
        received = received.length === 0 ? Buffer.from(bytes) : Buffer.concat([received, bytes]);
        const size = responseSize(received);
        if (size === undefined) return;
        const answer = received.subarray(0, size);
        if (answer.indexOf(" 200 ") < 0 || answer.indexOf("delivery") < 0 || answer.indexOf("sent") < 0) {
          reject(new Error(`Call: a message was not sent: ${answer.toString().slice(-600)}`));
          socket.end();
          return;
        }
        received = Buffer.from(received.subarray(size));
        meter.took(performance.now() - asked);
        if (meter.ended()) socket.end();
        else ask(socket);
      },
      close: () => resolve(),
      error: (_, error) => reject(error),
    },
  });
  return promise;
}

/** Calls that were answered with a receipt in the measured time. */
export async function calls(order: Order): Promise<Measured> {
  const begin = performance.now() + order.warmupMs;
  const end = begin + order.measureMs;
  const times: number[] = [];
  let number = 0;
  const meter: Meter = {
    ended: () => performance.now() >= end,
    took(ms) {
      const now = performance.now();
      if (now >= begin && now <= end) times.push(ms);
    },
    next: () => number++,
  };
  const requests = order.agents.map(({ agentToken = "" }, index) =>
    requestOf(order, agentToken, order.agents[(index + 1) % order.agents.length]?.name ?? ""),
  );
  const share = (which: number) => requests.filter((_, index) => index % order.connections === which);
  await Promise.all(
    Array.from({ length: order.connections }, (_, which) => connection(order, share(which), meter)),
  );
  return measured(times, times.length, order.measureMs);
}
