/** What the server knows and holds: answers handed over or hardly read, streams, and how many connections. */
import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { limits } from "../../limits.ts";
import { realClock } from "../clock.ts";
import { silentLog } from "../log.ts";
import { ListenError } from "./listen.ts";
import { echoServer, rawClient } from "./raw-client.ts";
import { until } from "./scripted-server.ts";
import { createHttpServer } from "./server.ts";
import type { ServerExchange, StreamWriter } from "./server-exchange.ts";

const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const post = (body: string) => `POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe("answers", () => {
  test("tell when they were handed over, and when they were hardly read", async () => {
    const told: string[] = [];
    let waiting: (() => void) | undefined;
    await using server = echoServer({
      handler: (exchange) => {
        const name = exchange.target;
        const watch = {
          onSent: () => told.push(`sent ${name}`),
          onUnread: () => told.push(`unread ${name}`),
        };
        const send = () => exchange.send({ status: 200, body: name, watch });
        if (name === "/late") waiting = send;
        else send();
      },
    });
    using client = await rawClient(server);
    await client.write(get);
    await client.answers(1);
    await client.write(get.replace("/a", "/late"));
    client.socket.resetAndDestroy();
    await until("it is gone", () => server.connections === 0);
    waiting?.();
    using reset = await rawClient(server);
    await reset.write(get.replace("/a", "/reset"));
    await reset.answers(1);
    reset.socket.resetAndDestroy();
    await until("it is gone", () => server.connections === 0);
    expect(told).toEqual(["sent /a", "unread /late", "sent /reset", "unread /reset"]);
  });

  test("a handler that throws is answered by 500, and the connection goes on", async () => {
    await using server = echoServer({
      handler: (exchange) => {
        if (exchange.target === "/a") throw new Error("broken");
        return Promise.reject(new Error("broken later"));
      },
    });
    using client = await rawClient(server);
    await client.write(get, post(""));
    expect(await client.answers(2)).toEqual(["500", "500"]);
  });
});

describe("streams", () => {
  function streaming(limits = {}) {
    const writers: StreamWriter[] = [];
    const server = echoServer({
      limits,
      handler: (exchange) => {
        writers.push(exchange.stream({ status: 200, type: "text/event-stream", probe: ": \n\n" }));
      },
    });
    return { server, writers };
  }

  test("come in chunks, end properly, and the connection is used again", async () => {
    const { server, writers } = streaming();
    await using _ = server;
    using client = await rawClient(server);
    await client.write(get);
    await until("the stream", () => writers.length === 1);
    writers[0]?.write("data: é\n\n");
    writers[0]?.write(new Uint8Array([0x61]));
    writers[0]?.end();
    expect(writers[0]?.write("more")).toBe(false);
    await client.write(get);
    await client.answers(2);
    expect(client.received()).toContain("\r\n\r\na\r\ndata: \xc3\xa9\n\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 200");
  });

  test("a reader that takes nothing costs at most the bound, then it is cut off", async () => {
    const { server, writers } = streaming({ streamBufferBytesMax: 1_000_000 });
    await using _ = server;
    using client = await rawClient(server);
    await client.write(get);
    client.socket.pause();
    await until("the stream", () => writers.length === 1);
    const part = "x".repeat(100_000);
    let ended = 0;
    writers[0]?.onEnd(() => {
      ended += 1;
    });
    const written = Array.from({ length: 400 }, () => writers[0]?.write(part));
    expect(written.indexOf(false)).toBeGreaterThan(9);
    expect({ ended, open: writers[0]?.open }).toEqual({ ended: 1, open: false });
  });

  test("a client that goes away is noticed at once", async () => {
    const { server, writers } = streaming();
    await using _ = server;
    using client = await rawClient(server);
    await client.write(get);
    await until("the stream", () => writers.length === 1);
    client.socket.destroy();
    await until("the end", () => writers[0]?.open === false);
  });

  test("a slow reader gets everything when the writer waits for it", async () => {
    const { server, writers } = streaming();
    await using _ = server;
    using client = await rawClient(server);
    await client.write(get);
    await until("the stream", () => writers.length === 1);
    const [writer] = writers;
    for (let part = 0; part < 100; part += 1) {
      writer?.write("z".repeat(200_000));
      await writer?.drained();
    }
    writer?.end();
    await until("the end", () => client.received().endsWith("0\r\n\r\n"));
    expect(client.received().match(/z/g)?.length).toBe(20_000_000);
  });
});

describe("connections", () => {
  test("1,000 at once are served", async () => {
    await using server = echoServer({ limits: { serverConnectionsMax: 1_000 } });
    const clients = await Promise.all(Array.from({ length: 1_000 }, () => rawClient(server)));
    await until("all are accepted", () => server.connections === 1_000);
    await Promise.all(clients.map((client) => client.write(get)));
    await Promise.all(clients.map((client) => client.answers(1)));
    for (const client of clients) client.socket.destroy();
    await until("all are gone", () => server.connections === 0);
  });

  test("at the bound the oldest stranger makes room; without one the newcomer is told", async () => {
    await using server = echoServer({
      limits: { serverConnectionsMax: 2 },
      handler: (exchange) => {
        exchange.trust();
        exchange.send({ status: 200 });
      },
    });
    using stranger = await rawClient(server);
    using known = await rawClient(server);
    await known.write(get);
    await known.answers(1);
    using next = await rawClient(server);
    await stranger.closed;
    await next.write(get);
    await next.answers(1);
    using late = await rawClient(server);
    await late.closed;
    expect(late.received()).toStartWith("HTTP/1.1 503");
    await known.write(get);
    await known.answers(2);
  });

  test("close: idle ones at once, busy ones after their answer, new ones not at all", async () => {
    const held: ServerExchange[] = [];
    const server = echoServer({ handler: (exchange) => void held.push(exchange) });
    using idle = await rawClient(server);
    using busy = await rawClient(server);
    await busy.write(get);
    await until("the request", () => held.length === 1);
    const closing = server.close(2_000);
    await idle.closed;
    const refused = await new Promise<string>((resolve) => {
      connect({ port: server.port, host: "127.0.0.1" })
        .on("connect", () => resolve("connected"))
        .on("error", () => resolve("refused"));
    });
    held[0]?.send({ status: 200, body: "done" });
    await busy.closed;
    await closing;
    expect({ refused, text: busy.received().endsWith("done"), open: server.connections }).toEqual({
      refused: "refused",
      text: true,
      open: 0,
    });
  });

  test("a taken port is told", async () => {
    await using server = echoServer();
    const { port } = server;
    const common = { hostname: "127.0.0.1", limits, clock: realClock, log: silentLog };
    expect(() => createHttpServer({ ...common, port, handler() {} })).toThrow(ListenError);
  });
});
