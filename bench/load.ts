/**
 * The load of the bench, in a process of its own: clients that each keep one connection open and send the next call
 * when the last was answered. One plain socket client for every path, so that the paths differ and nothing else.
 * Takes its orders as JSON in the first argument, prints one JSON line with the measurement.
 */
import { z } from "zod";

const orderSchema = z.object({
  url: z.url(),
  secret: z.string(),
  clients: z.number().int().positive(),
  warmupMs: z.number().positive(),
  measureMs: z.number().positive(),
  /** `legacy`: every client opens a session first, as the peers want it. */
  era: z.enum(["modern", "legacy"]).default("modern"),
});
type Order = z.infer<typeof orderSchema>;

/** One measurement: calls finished in the measured time, and how long each took. */
export type Measurement = {
  calls: number;
  failed: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
};

const head = Buffer.from("content-length:");

const envelope = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** The session of one legacy client; undefined where the server gives none. */
async function openSession(order: Order): Promise<string | undefined> {
  const headers = {
    authorization: `Bearer ${order.secret}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
  };
  const clientInfo = { name: "load", version: "1" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
  const post = (body: unknown, more: Record<string, string> = {}) =>
    fetch(order.url, { method: "POST", headers: { ...headers, ...more }, body: JSON.stringify(body) });
  const opened = await post({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  await opened.text();
  const session = opened.headers.get("mcp-session-id") ?? undefined;
  const own = session === undefined ? {} : { "mcp-session-id": session };
  await (await post({ jsonrpc: "2.0", method: "notifications/initialized" }, own)).text();
  return session;
}

/** The request as bytes: about 200 of arguments and envelope, as an agent of either era sends it. */
function requestBytes(order: Order, session: string | undefined): Buffer {
  const modern = order.era === "modern";
  const body = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name: "echo", arguments: { text: "x".repeat(64) }, ...(modern ? { _meta: envelope } : {}) },
  });
  const url = new URL(order.url);
  const lines = [
    `POST ${url.pathname} HTTP/1.1`,
    `Host: ${url.host}`,
    `Authorization: Bearer ${order.secret}`,
    "Content-Type: application/json",
    "Accept: application/json, text/event-stream",
    ...(modern
      ? ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: echo"]
      : ["MCP-Protocol-Version: 2025-11-25"]),
    ...(session === undefined ? [] : [`Mcp-Session-Id: ${session}`]),
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

/** Size of the first whole response in the bytes; undefined while it is not complete. */
function responseSize(bytes: Buffer): number | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const top = bytes.subarray(0, end).toString("latin1").toLowerCase();
  const at = top.indexOf(head.toString());
  if (at >= 0) {
    const size = end + 4 + Number.parseInt(top.slice(at + head.length), 10);
    return bytes.length >= size ? size : undefined;
  }
  const last = bytes.indexOf("0\r\n\r\n", end + 4);
  return last < 0 ? undefined : last + 5;
}

/** One client; resolves when its connection has ended. */
async function client(
  order: Order,
  request: Buffer,
  times: { until(): number; took(ms: number, ok: boolean): void },
) {
  const { hostname, port } = new URL(order.url);
  let received: Buffer = Buffer.alloc(0);
  let asked = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data(socket, bytes) {
        received = received.length === 0 ? Buffer.from(bytes) : Buffer.concat([received, bytes]);
        const size = responseSize(received);
        if (size === undefined) return;
        const ok = received.indexOf(" 200 ") > 0 && received.indexOf('"isError":false') > 0;
        received = Buffer.from(received.subarray(size));
        const now = performance.now();
        times.took(now - asked, ok);
        if (now >= times.until()) {
          socket.end();
          return;
        }
        asked = now;
        socket.write(request);
      },
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  asked = performance.now();
  socket.write(request);
  return promise;
}

async function measure(order: Order): Promise<Measurement> {
  const sessions =
    order.era === "legacy" ? Array.from({ length: order.clients }, () => openSession(order)) : [];
  const opened = await Promise.all(sessions);
  const begin = performance.now() + order.warmupMs;
  const end = begin + order.measureMs;
  const took: number[] = [];
  let failed = 0;
  const times = {
    until: () => end,
    took(ms: number, ok: boolean) {
      const now = performance.now();
      if (now < begin || now > end) return;
      took.push(ms);
      if (!ok) failed += 1;
    },
  };
  const requests = Array.from({ length: order.clients }, (_, index) => requestBytes(order, opened[index]));
  await Promise.all(requests.map((request) => client(order, request, times)));
  took.sort((a, b) => a - b);
  const at = (share: number) =>
    took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Number.NaN;
  return {
    calls: took.length,
    failed,
    perSecond: (took.length / order.measureMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

if (import.meta.main) {
  const order = orderSchema.parse(JSON.parse(Bun.argv[2] ?? "{}"));
  console.log(JSON.stringify(await measure(order)));
}
