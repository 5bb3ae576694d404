/**
 * For tests only: a TCP or TLS server that writes exactly the bytes it is told to and records what it was sent,
 * and what the client makes of it.
 */
import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { type Limits, limits } from "../../limits.ts";
import { realClock, sleep } from "../clock.ts";
import { createHttpClient } from "./client.ts";
import { type HttpClient, HttpFailure, type HttpRequest, readBody } from "./exchange.ts";

/** A certificate authority for tests and what it signed: `right` is localhost, 127.0.0.1 and ::1, `wrong` is elsewhere.test. */
export function testPem(name: "ca.pem" | "right.pem" | "right.key" | "wrong.pem" | "wrong.key"): string {
  return readFileSync(fileURLToPath(new URL(`../../../test/fixtures/http/${name}`, import.meta.url)), "utf8");
}

/** One accepted connection. */
export type Scripted = {
  socket: Socket;
  /** Index among the connections of the server. */
  index: number;
  /** Everything received on this connection, as Latin-1. */
  received(): string;
  /** The next whole request, head and body. */
  request(): Promise<string>;
  /** Writes the parts as separate segments: the peer's event loop turns between them. */
  write(...parts: (string | Uint8Array)[]): Promise<void>;
  /** Resolves when the peer has closed. */
  closed: Promise<void>;
};

export type ScriptedServer = AsyncDisposable & { port: number; connections: Scripted[] };

/**
 * Listens on a loopback address and runs the script for every connection.
 * @param options `certificate` makes it a TLS server
 */
export async function scriptedServer(
  script: (connection: Scripted) => unknown,
  options: { host?: string; certificate?: "right" | "wrong" } = {},
): Promise<ScriptedServer> {
  const connections: Scripted[] = [];
  const accept = (socket: Socket) => {
    const connection = scripted(socket, connections.length);
    connections.push(connection);
    Promise.resolve(script(connection)).catch(() => socket.destroy());
  };
  const { certificate } = options;
  const server =
    certificate === undefined
      ? createServer({ allowHalfOpen: true }, accept)
      : createTlsServer({ cert: testPem(`${certificate}.pem`), key: testPem(`${certificate}.key`) }, accept);
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, options.host ?? "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    connections,
    async [Symbol.asyncDispose]() {
      for (const { socket } of connections) socket.destroy();
      server.close();
    },
  };
}

/** Two turns of the event loop, so that what was written is read on its own. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** Polls until the condition holds; throws after `ms`. */
export async function until(what: string, holds: () => boolean, ms = 3_000): Promise<void> {
  const end = realClock.monotonic() + ms;
  while (!holds()) {
    if (realClock.monotonic() > end) throw new Error(`Wait for ${what}: not within ${ms} ms`);
    await sleep(realClock, 2);
  }
}

function scripted(socket: Socket, index: number): Scripted {
  let received = "";
  let taken = 0;
  let wake = () => {};
  socket.setNoDelay(true);
  socket.on("data", (data) => {
    received += data.toString("latin1");
    wake();
  });
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => {
    const done = () => {
      wake();
      resolve();
    };
    socket.on("end", done).on("close", done);
  });
  return {
    socket,
    index,
    closed,
    received: () => received,
    async request() {
      for (;;) {
        const end = requestEnd(received, taken);
        if (end !== undefined) {
          const request = received.slice(taken, end);
          taken = end;
          return request;
        }
        if (socket.readableEnded || socket.destroyed)
          throw new Error("The peer closed, a request was wanted");
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async write(...parts) {
      for (const part of parts) {
        socket.write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
        await turn();
      }
    },
  };
}

function requestEnd(received: string, from: number): number | undefined {
  const head = received.indexOf("\r\n\r\n", from);
  if (head < 0) return undefined;
  const length = /^content-length: *([0-9]+)$/im.exec(received.slice(from, head))?.[1] ?? "0";
  const end = head + 4 + Number(length);
  return received.length < end ? undefined : end;
}

/** A client of the server with some limits scaled. */
export function clientOf(server: { port: number }, scaled: Partial<Limits> = {}): HttpClient & Disposable {
  const client = createHttpClient({
    origin: `http://127.0.0.1:${server.port}`,
    clock: realClock,
    limits: { ...limits, ...scaled },
  });
  return Object.assign(Object.create(client) as HttpClient, { [Symbol.dispose]: () => client.close() });
}

/** The body as text, or why it failed. */
export async function text(
  client: HttpClient,
  request: HttpRequest = { method: "GET", path: "/", headers: [] },
): Promise<string> {
  return Buffer.from(await readBody(await client.request(request), 1e8)).toString("latin1");
}

/** `why/sent` of the failure; fails when there is none. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    (value) => new Error(`It succeeded with ${String(value)}, a failure was wanted`),
    (error: unknown) => error,
  );
  return error instanceof HttpFailure ? `${error.why}/${error.sent}` : String(error);
}

/** Answers every request with the same bytes. */
export function always(...parts: (string | Uint8Array)[]): (connection: Scripted) => Promise<void> {
  return async (connection) => {
    for (;;) {
      await connection.request();
      await connection.write(...parts);
    }
  };
}
