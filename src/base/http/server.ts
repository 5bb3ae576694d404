/**
 * The HTTP/1.1 server of the data plane, on the same event loop as its handler: mirror of the client. It exists
 * because it costs a fraction of a general one, knows when an answer has left, and holds every bound itself.
 */
import type { SocketHandler } from "bun";
import type { Limits } from "../../limits.ts";
import { type Clock, sleep } from "../clock.ts";
import type { Log } from "../log.ts";
import { timerLines } from "../timer-lines.ts";
import { listenError } from "./listen.ts";
import { ServerConnection, type ServerConnectionOwner } from "./server-connection.ts";
import type { Exchange, ServerExchange } from "./server-exchange.ts";

export type HttpServerOptions = {
  readonly hostname: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
  /** Answers a request, now or later. What it throws is logged and answered by 500. */
  handler(exchange: ServerExchange): void | Promise<void>;
};

export type HttpServer = {
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** Accepts nothing more, lets answers in flight end for at most `waitMs`, then cuts every connection. */
  close(waitMs: number): Promise<void>;
};

/** Answers are put together in this many bytes; larger ones cost a second write. */
const scratchBytes = 65_536;

/**
 * Listens on an address.
 * @throws ListenError when the port is taken or may not be used
 */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const server = new Server(options);
  return {
    port: server.port,
    get connections() {
      return server.connections;
    },
    close: (waitMs) => server.close(waitMs),
  };
}

class Server implements ServerConnectionOwner {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly scratch = Buffer.allocUnsafeSlow(scratchBytes);
  closing = false;
  readonly #options: HttpServerOptions;
  readonly #listener: Bun.TCPSocketListener<ServerConnection>;
  readonly #open = new Set<ServerConnection>();
  /** Connections that have not shown who they are, the oldest first. */
  readonly #strangers = new Set<ServerConnection>();
  #second = -1;
  #date = "";
  #stopSweep: (() => void) | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.clock = timerLines(options.clock);
    this.limits = options.limits;
    const { hostname, port } = options;
    try {
      this.#listener = Bun.listen<ServerConnection>({
        hostname,
        port,
        allowHalfOpen: true,
        socket: this.#events(),
      });
    } catch (cause) {
      throw listenError(hostname, port, cause);
    }
  }

  get port(): number {
    return this.#listener.port;
  }

  get connections(): number {
    return this.#open.size;
  }

  async close(waitMs: number): Promise<void> {
    this.closing = true;
    this.#listener.stop();
    const { clock } = this.#options;
    const end = clock.monotonic() + waitMs;
    for (;;) {
      for (const connection of [...this.#open]) if (connection.idle) connection.close();
      if (this.#open.size === 0 || clock.monotonic() >= end) break;
      await sleep(clock, 5);
    }
    this.#stopSweep?.();
    for (const connection of [...this.#open]) connection.cut();
    this.#listener.stop(true);
  }

  date(): string {
    const now = this.clock.now();
    const second = Math.floor(now / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = `Date: ${new Date(now).toUTCString()}\r\n`;
    }
    return this.#date;
  }

  onExchange(exchange: Exchange): void {
    try {
      const answering = this.#options.handler(exchange);
      if (answering !== undefined) answering.catch((error: unknown) => this.#failed(exchange, error));
    } catch (error) {
      this.#failed(exchange, error);
    }
  }

  onTrusted(connection: ServerConnection): void {
    this.#strangers.delete(connection);
  }

  onGone(connection: ServerConnection): void {
    this.#open.delete(connection);
    this.#strangers.delete(connection);
  }

  #failed(exchange: Exchange, error: unknown): void {
    this.#options.log.error("a request ended by a fault", { error });
    if (exchange.answered) exchange.cut();
    else
      exchange.send({
        status: 500,
        type: "text/plain; charset=utf-8",
        body: "The server failed; see its log\n",
      });
  }

  #events(): SocketHandler<ServerConnection> {
    return {
      open: (socket) => {
        if (!this.#hasRoom()) {
          socket.end(
            `HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n${this.date()}Connection: close\r\n\r\n`,
          );
          return;
        }
        socket.setNoDelay(true);
        const connection = new ServerConnection(this, socket);
        socket.data = connection;
        this.#open.add(connection);
        this.#strangers.add(connection);
        if (this.#stopSweep === undefined) this.#armSweep();
      },
      data: (socket, bytes) => socket.data?.receive(bytes),
      drain: (socket) => socket.data?.drain(),
      end: (socket) => socket.data?.ended(),
      close: (socket, error) => socket.data?.gone(error),
      error: (socket, error) => socket.data?.gone(error),
    };
  }

  /** At the bound the oldest connection that has shown no secret makes room. */
  #hasRoom(): boolean {
    if (this.closing) return false;
    if (this.#open.size < this.limits.serverConnectionsMax) return true;
    const [oldest] = this.#strangers;
    oldest?.cut();
    return oldest !== undefined;
  }

  /** One timer for all idle connections: a timer each would cost one per request. */
  #armSweep(): void {
    this.#stopSweep = this.#options.clock.after(this.limits.serverIdleMs / 4, () => {
      this.#stopSweep = undefined;
      const now = this.clock.monotonic();
      for (const connection of [...this.#open]) {
        if (!connection.idle) connection.idleSince = undefined;
        else if (connection.idleSince === undefined) connection.idleSince = now;
        else if (now - connection.idleSince >= this.limits.serverIdleMs) connection.close();
      }
      if (this.#open.size > 0) this.#armSweep();
    });
  }
}
