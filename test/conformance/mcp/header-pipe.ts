/**
 * A pipe of bytes in front of the proxy, because the suite cannot send a secret: it adds the Authorization header and
 * puts the proxy's own Host and Origin where a request names the pipe's own, exactly. Every other byte goes through
 * as it came, so that the proxy's guards see what the suite sent.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type PipeNames = {
  /** Host and port that clients of the pipe address. */
  readonly own: string;
  /** Host and port of the proxy. */
  readonly proxy: string;
  readonly secret: string;
};

const headEnd = Buffer.from("\r\n\r\n");

/** The head of one request, without its empty line, as the proxy gets it. */
export function rewrittenHead(head: string, { own, proxy, secret }: PipeNames): string {
  const lines = head.split("\r\n").map((line) => {
    const [, name = "", value = ""] = /^([^:]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (/^host$/i.test(name) && value === own) return `${name}: ${proxy}`;
    if (/^origin$/i.test(name) && value === `http://${own}`) return `${name}: http://${proxy}`;
    return line;
  });
  return [...lines, `Authorization: Bearer ${secret}`].join("\r\n");
}

/** Rewrites the requests of one connection; a request with a body in chunks is refused. */
export function requestRewriter(names: PipeNames): (bytes: Buffer) => Buffer[] {
  let held: Buffer = Buffer.alloc(0);
  let bodyLeft = 0;
  return (bytes) => {
    held = Buffer.concat([held, bytes]);
    const out: Buffer[] = [];
    for (;;) {
      if (bodyLeft > 0) {
        const part = held.subarray(0, bodyLeft);
        if (part.length > 0) out.push(part);
        bodyLeft -= part.length;
        held = held.subarray(part.length);
        if (bodyLeft > 0) return out;
      }
      const end = held.indexOf(headEnd);
      if (end < 0) return out;
      const head = held.toString("latin1", 0, end);
      if (/^transfer-encoding:/im.test(head)) throw new Error("The pipe takes no request body in chunks");
      bodyLeft = Number(/^content-length:[ \t]*(\d+)/im.exec(head)?.[1] ?? 0);
      out.push(Buffer.from(rewrittenHead(head, names), "latin1"), headEnd);
      held = held.subarray(end + headEnd.length);
    }
  };
}

/** Opens the pipe on a free port of loopback. */
export async function openHeaderPipe(to: { proxyUrl: string; secret: string }) {
  const { host: proxy, hostname, port, pathname } = new URL(to.proxyUrl);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const own = `127.0.0.1:${client.localPort}`;
    const rewrite = requestRewriter({ own, proxy, secret: to.secret });
    const upstream = connect(Number(port), hostname);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    upstream.pipe(client);
    client.on("data", (bytes) => {
      try {
        for (const part of rewrite(Buffer.from(bytes))) upstream.write(part);
      } catch {
        client.destroy();
      }
    });
    client.on("end", () => upstream.end());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port: ownPort } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${ownPort}${pathname}`,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
