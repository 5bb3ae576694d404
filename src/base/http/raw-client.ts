/** For tests only: a TCP client that writes exactly the bytes it is told to, and a server whose handler echoes. */
import { connect, type Socket } from "node:net";
import { type Limits, limits } from "../../limits.ts";
import { type Clock, realClock } from "../clock.ts";
import { silentLog } from "../log.ts";
import { turn, until } from "./scripted-server.ts";
import { createHttpServer, type HttpServer } from "./server.ts";
import type { ServerExchange } from "./server-exchange.ts";

export type RawClient = Disposable & {
  readonly socket: Socket;
  /** Everything received, as Latin-1. */
  received(): string;
  /** Writes the parts as separate segments: the peer's event loop turns between them. */
  write(...parts: (string | Uint8Array)[]): Promise<void>;
  /** Waits until as many answers have come; each has a status line. */
  answers(count: number): Promise<string[]>;
  /** The peer has ended its side, or the connection broke. */
  readonly ended: boolean;
  readonly closed: Promise<void>;
};

export async function rawClient(server: { port: number }): Promise<RawClient> {
  const socket = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
  let received = "";
  let ended = false;
  const closed = new Promise<void>((resolve) => {
    const done = () => {
      ended = true;
      resolve();
    };
    socket.on("end", done).on("close", done).on("error", done);
  });
  socket.setNoDelay(true);
  socket.on("data", (data) => {
    received += data.toString("latin1");
  });
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  const statuses = () => received.match(/HTTP\/1\.1 [2-5]\d\d /g) ?? [];
  return {
    socket,
    closed,
    received: () => received,
    get ended() {
      return ended;
    },
    async write(...parts) {
      for (const part of parts) {
        socket.write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
        await turn();
      }
    },
    async answers(count) {
      await until(`${count} answers`, () => statuses().length >= count);
      return statuses().map((line) => line.slice(9, 12));
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

export type TestServer = HttpServer & AsyncDisposable & { readonly seen: string[]; readonly port: number };

/** Answers with method, target and body; `seen` has the same. */
export function echoServer(
  more: {
    limits?: Partial<Limits>;
    clock?: Clock;
    handler?: (exchange: ServerExchange) => void | Promise<void>;
  } = {},
): TestServer {
  const seen: string[] = [];
  const echo = async (exchange: ServerExchange) => {
    const body = await exchange.body(1_000_000);
    const text = typeof body === "string" ? body : Buffer.from(body).toString("latin1");
    const line = `${exchange.method} ${exchange.target} ${text}`;
    seen.push(line);
    exchange.send({ status: 200, type: "text/plain", body: Buffer.from(line, "latin1") });
  };
  const server = createHttpServer({
    hostname: "127.0.0.1",
    port: 0,
    limits: { ...limits, ...more.limits },
    clock: more.clock ?? realClock,
    log: silentLog,
    handler: more.handler ?? echo,
  });
  return {
    seen,
    port: server.port,
    get connections() {
      return server.connections;
    },
    close: server.close,
    [Symbol.asyncDispose]: () => server.close(0),
  };
}
