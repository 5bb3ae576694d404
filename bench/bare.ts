/**
 * The floor of the bench: what any proxy on this runtime costs at least. Takes a request with Bun.serve, writes it to
 * a kept connection of Bun.connect, and answers with the body that comes back. No checks, no limits, no failures.
 */
import type { Socket } from "bun";

type Lane = { socket: Socket<undefined>; take(body: Buffer): void };

const upstream = new URL(Bun.argv[2] ?? "");
const idle: Lane[] = [];

async function open(): Promise<Lane> {
  let received: Buffer = Buffer.alloc(0);
  const socket = await Bun.connect<undefined>({
    hostname: upstream.hostname,
    port: Number(upstream.port),
    socket: {
      data(_, bytes) {
        received = received.length === 0 ? Buffer.from(bytes) : Buffer.concat([received, bytes]);
        const end = received.indexOf("\r\n\r\n");
        if (end < 0) return;
        const length = /content-length: *(\d+)/i.exec(received.subarray(0, end).toString("latin1"));
        const size = end + 4 + Number(length?.[1]);
        if (received.length < size) return;
        const body = received.subarray(end + 4, size);
        received = Buffer.from(received.subarray(size));
        lane.take(body);
      },
    },
  });
  const lane: Lane = { socket, take() {} };
  return lane;
}

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const body = Buffer.from(await request.arrayBuffer());
    const lane = idle.pop() ?? (await open());
    const head = `POST ${upstream.pathname} HTTP/1.1\r\nHost: ${upstream.host}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    const answer = await new Promise<Buffer>((resolve) => {
      lane.take = resolve;
      lane.socket.write(Buffer.concat([Buffer.from(head), body]));
    });
    const response = new Response(Buffer.from(answer), { headers: { "Content-Type": "application/json" } });
    idle.push(lane);
    return response;
  },
});
console.log(JSON.stringify({ event: "ready", url: `${server.url.origin}${upstream.pathname}` }));
