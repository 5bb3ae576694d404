/** Which connections are used again, how calls wait, and how many of each there may be. */
import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { type Limits, limits } from "../../limits.ts";
import { realClock, VirtualClock } from "../clock.ts";
import { createHttpClient } from "./client.ts";
import type { HttpRequest } from "./exchange.ts";
import {
  always,
  clientOf,
  failure,
  type Scripted,
  scriptedServer,
  text,
  turn,
  until,
} from "./scripted-server.ts";

const get: HttpRequest = { method: "GET", path: "/a", headers: [] };
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

describe("reuse", () => {
  test("64 at once, each on its own connection, then on the same ones", async () => {
    await using server = await scriptedServer(async (connection) => {
      for (;;) {
        const path = (await connection.request()).split(" ")[1] ?? "";
        await connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n`, path);
      }
    });
    using client = clientOf(server);
    for (const round of [1, 2, 3]) {
      const paths = Array.from({ length: 64 }, (_, index) => `/${round}/${index}`);
      expect(await Promise.all(paths.map((path) => text(client, { ...get, path })))).toEqual(paths);
      expect(client.connections).toBe(64);
    }
    expect(server.connections.length).toBe(64);
  });

  test("the connection used last is used first", async () => {
    await using server = await scriptedServer(always(ok));
    using client = clientOf(server);
    await Promise.all([text(client), text(client), text(client)]);
    const before = server.connections.map(({ received }) => received().length);
    for (let index = 0; index < 5; index += 1) await text(client);
    const grown = server.connections.filter(
      ({ received }, index) => received().length > (before[index] ?? 0),
    );
    expect(grown.length).toBe(1);
  });

  const closing: [name: string, response: string][] = [
    ["Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    ["a second response nobody asked for", `${ok}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`],
    ["bytes after a response without a body", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil"],
  ];
  for (const [name, response] of closing)
    test(`not after ${name}`, async () => {
      await using server = await scriptedServer(always(response));
      using client = clientOf(server);
      const first = await text(client);
      expect(await text(client)).toBe(first);
      expect(first).not.toContain("evil");
      expect(server.connections.length).toBe(2);
      await server.connections[0]?.closed;
    });

  test("not after bytes that come while the connection is idle", async () => {
    await using server = await scriptedServer(always(ok));
    using client = clientOf(server);
    expect(await text(client)).toBe("ok");
    await server.connections[0]?.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    await until("the close", () => client.connections === 0);
    expect(await text(client)).toBe("ok");
    expect(server.connections.length).toBe(2);
  });

  test("not after an answer that came before the request was written", async () => {
    await using server = await scriptedServer(async ({ socket, write }) => {
      socket.pause();
      await write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    });
    using client = clientOf(server);
    const body = new Uint8Array(20_000_000);
    const response = await client.request({ ...get, method: "POST", body });
    expect(response.status).toBe(413);
    await until("the close", () => client.connections === 0);
  });

  test("P2: a peer that closes idle connections loses no request and gets none twice", async () => {
    await using server = await scriptedServer(async (connection) => {
      await connection.request();
      await connection.write(ok);
      connection.socket.end();
    });
    using client = clientOf(server);
    for (let index = 0; index < 20; index += 1) {
      expect(await text(client, { ...get, path: `/${index}` })).toBe("ok");
      await until("the close", () => client.connections === 0);
    }
    const lines = server.connections.map(({ received }) => received().split(" ")[1]);
    expect(lines).toEqual(Array.from({ length: 20 }, (_, index) => `/${index}`));
  });

  test("P2: a close at the moment of the write is unknown, and the request is not sent again", async () => {
    await using server = await scriptedServer(async (connection) => {
      await connection.request();
      await connection.write(ok);
      await connection.request();
      connection.socket.end();
    });
    using client = clientOf(server);
    expect(await text(client)).toBe("ok");
    expect(await failure(client.request({ ...get, path: "/second" }))).toBe("closed/unknown");
    await turn();
    expect(server.connections.length).toBe(1);
  });

  // Both ends live on this event loop, so the client cannot have read what the peer did just before.
  const unseen: [name: string, idleMs: number, end: (socket: Socket) => void][] = [
    ["a close that was not read yet is noticed after a second of idling", 1_000, (socket) => socket.end()],
    [
      "a reset that was not read yet is noticed after a second of idling",
      1_000,
      (socket) => socket.resetAndDestroy(),
    ],
    ["a reset that the write runs into has taken no byte", 0, (socket) => socket.resetAndDestroy()],
  ];
  for (const [name, idleMs, end] of unseen)
    test(`P2: ${name}: the request goes on a fresh connection`, async () => {
      await using server = await scriptedServer(async (connection) => {
        await connection.request();
        await connection.write(ok);
      });
      const clock = new VirtualClock(0);
      const client = createHttpClient({ origin: `http://127.0.0.1:${server.port}`, clock, limits });
      expect(await text(client)).toBe("ok");
      clock.advance(idleMs);
      for (const { socket } of server.connections) end(socket);
      expect(client.connections).toBe(1);
      expect(await text(client)).toBe("ok");
      expect(server.connections.map(({ received }) => received().split("GET").length)).toEqual([2, 2]);
      client.close();
    });

  test("not after a sleep of the machine, which only the wall clock shows", async () => {
    await using server = await scriptedServer(always(ok));
    let slept = 0;
    const clock = { ...realClock, now: () => realClock.now() + slept };
    const client = createHttpClient({ origin: `http://127.0.0.1:${server.port}`, clock, limits });
    await text(client);
    await text(client);
    slept = limits.upstreamIdleMs;
    await text(client);
    client.close();
    expect(server.connections.map(({ received }) => received().split("GET").length - 1)).toEqual([2, 1]);
  });

  test("idle connections close in time, earlier when the peer says so", async () => {
    const hinted = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok";
    for (const [response, ms] of [
      [ok, limits.upstreamIdleMs],
      [hinted, 4_000],
    ] as const) {
      await using server = await scriptedServer(always(response));
      const clock = new VirtualClock(0);
      const client = createHttpClient({ origin: `http://127.0.0.1:${server.port}`, clock, limits });
      expect(await text(client)).toBe("ok");
      clock.advance(ms - 1);
      expect(await text(client)).toBe("ok");
      expect(server.connections.length).toBe(1);
      clock.advance(ms);
      expect(await text(client)).toBe("ok");
      expect(server.connections.length).toBe(2);
      clock.advance(2 * limits.upstreamIdleMs);
      expect(client.connections).toBe(0);
    }
  });
});

describe("bounds", () => {
  const two: Partial<Limits> = { upstreamConnectionsMax: 2, upstreamWaitersMax: 3 };

  test("no more connections than allowed; calls wait in order; too many are refused", async () => {
    const held: Scripted[] = [];
    await using server = await scriptedServer(async (connection) => {
      for (;;) {
        await connection.request();
        held.push(connection);
      }
    });
    using client = clientOf(server, two);
    const order: number[] = [];
    const calls = [0, 1].map((n) => text(client).then(() => order.push(n)));
    await until("two requests", () => held.length === 2);
    calls.push(...[2, 3, 4].map((n) => text(client).then(() => order.push(n))));
    expect(await failure(client.request(get))).toBe("overloaded/no");
    for (let answered = 0; answered < 5; answered += 1) {
      await until("a request", () => held.length > 0);
      await held.shift()?.write(ok);
    }
    await Promise.all(calls);
    expect(order).toEqual([0, 1, 2, 3, 4]);
    expect(server.connections.length).toBe(2);
  });

  test("a wait ends: by its bound, by the deadline, by the signal, by close; always no", async () => {
    await using server = await scriptedServer(({ request }) => request());
    const clock = new VirtualClock(0);
    const client = createHttpClient({
      origin: `http://127.0.0.1:${server.port}`,
      clock,
      limits: { ...limits, upstreamConnectionsMax: 1 },
    });
    const busy = failure(client.request(get));
    await until("the request", () => server.connections[0]?.received().endsWith("\r\n\r\n") === true);
    const controller = new AbortController();
    const aborted = failure(client.request({ ...get, signal: controller.signal }));
    const timed = failure(client.request({ ...get, headDeadlineMs: 1_000 }));
    const bounded = failure(client.request(get));
    controller.abort();
    clock.advance(1_000);
    clock.advance(limits.upstreamWaitMs);
    expect(await Promise.all([aborted, timed, bounded])).toEqual([
      "aborted/no",
      "timeout/no",
      "overloaded/no",
    ]);
    const last = failure(client.request(get));
    client.close();
    expect(await last).toBe("closed/no");
    server.connections[0]?.socket.end();
    expect(await busy).toBe("closed/unknown");
  });

  test("when connects fail, each failure ends one call and none hangs", async () => {
    const server = await scriptedServer(() => {});
    await server[Symbol.asyncDispose]();
    using client = clientOf(server, { upstreamConnectionsMax: 2 });
    const seen = await Promise.all(Array.from({ length: 10 }, () => failure(client.request(get))));
    expect(seen).toEqual(Array.from({ length: 10 }, () => "connect/no"));
    expect(client.connections).toBe(0);
  });

  test("a peer that accepts and closes ends each call, without a loop of connects", async () => {
    await using server = await scriptedServer(({ socket }) => socket.resetAndDestroy());
    using client = clientOf(server);
    const seen = await Promise.all(Array.from({ length: 8 }, () => failure(client.request(get))));
    expect(seen.filter((end) => !/^(?:closed|reset|connect)\/(?:no|unknown)$/.test(end))).toEqual([]);
    expect(server.connections.length).toBeLessThanOrEqual(8);
  });
});

test("close: idle connections at once, busy ones when they are done, new requests not at all", async () => {
  let answer = () => {};
  await using server = await scriptedServer(async (connection) => {
    await connection.request();
    await connection.write(ok);
    await connection.request();
    answer = () => connection.socket.write(ok);
  });
  const client = createHttpClient({ origin: `http://127.0.0.1:${server.port}`, clock: realClock, limits });
  await Promise.all([text(client), text(client)]);
  const busy = text(client);
  await until("the request", () =>
    server.connections.some(({ received }) => received().split("GET").length === 3),
  );
  await turn();
  client.close();
  expect(client.connections).toBe(1);
  expect(await failure(client.request(get))).toBe("closed/no");
  answer();
  expect(await busy).toBe("ok");
  expect(client.connections).toBe(0);
  await Promise.all(server.connections.map(({ closed }) => closed));
});
