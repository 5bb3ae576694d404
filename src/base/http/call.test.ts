/** Requests that end early: before, during and after the response, by deadline, signal, reader or connect. */
import { describe, expect, test } from "bun:test";
import { limits } from "../../limits.ts";
import { realClock, VirtualClock } from "../clock.ts";
import { createHttpClient } from "./client.ts";
import { HttpFailure, type HttpRequest, readBody } from "./exchange.ts";
import { always, clientOf, failure, type Scripted, scriptedServer, text, until } from "./scripted-server.ts";

const get: HttpRequest = { method: "GET", path: "/a", headers: [] };
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const body = new TextEncoder().encode('{"a":1}');
const post: HttpRequest = { method: "POST", path: "/mcp?x=secret", headers: [["X-A", "b"]], body };

describe("giving up", () => {
  const half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";

  test("before anything was written: no", async () => {
    await using server = await scriptedServer(always(ok));
    using client = clientOf(server);
    const aborted = AbortSignal.abort(new Error("enough"));
    expect(await failure(client.request({ ...get, signal: aborted }))).toBe("aborted/no");
    const later = new AbortController();
    const pending = failure(client.request({ ...get, signal: later.signal }));
    later.abort();
    expect(await pending).toBe("aborted/no");
    expect(await text(client)).toBe("ok");
    expect(server.connections.map(({ received }) => received().length > 0)).toEqual([true]);
  });

  test("while the head is awaited: unknown, and the peer sees the connection close", async () => {
    await using server = await scriptedServer(({ request }) => request());
    using client = clientOf(server);
    const controller = new AbortController();
    const pending = failure(client.request({ ...post, signal: controller.signal }));
    await until("the request", () => server.connections[0]?.received().endsWith("}") === true);
    controller.abort();
    expect(await pending).toBe("aborted/unknown");
    await server.connections[0]?.closed;
    expect(client.connections).toBe(0);
  });

  test("in the body: what came is read, then the failure", async () => {
    await using server = await scriptedServer(always(half));
    using client = clientOf(server);
    const controller = new AbortController();
    const response = await client.request({ ...get, signal: controller.signal });
    controller.abort();
    const parts = response.body[Symbol.asyncIterator]();
    expect(Buffer.from((await parts.next()).value ?? []).toString()).toBe("half");
    expect(await failure(parts.next())).toBe("aborted/unknown");
    await server.connections[0]?.closed;
  });

  test("after the end: nothing happens, the connection is used again", async () => {
    await using server = await scriptedServer(always(ok));
    using client = clientOf(server);
    const controller = new AbortController();
    const response = await client.request({ ...get, signal: controller.signal });
    controller.abort();
    expect(Buffer.from(await readBody(response, 10)).toString()).toBe("ok");
    response.cancel();
    expect(await text(client)).toBe("ok");
    expect(server.connections.length).toBe(1);
  });

  test("by cancel, or by leaving the loop: the connection is closed", async () => {
    await using server = await scriptedServer(always(half));
    using client = clientOf(server);
    const first = await client.request(get);
    first.cancel();
    expect(await Array.fromAsync(first.body)).toEqual([]);
    await server.connections[0]?.closed;
    for await (const part of (await client.request(get)).body) {
      expect(part.byteLength).toBe(4);
      break;
    }
    await server.connections[1]?.closed;
    expect(client.connections).toBe(0);
  });

  test("the deadline ends a silent, a dripping and a 100-only peer, but not a body", async () => {
    const drip = async (connection: Scripted) => {
      await connection.request();
      for (const byte of `HTTP/1.1 200 OK\r\nX: ${"a".repeat(5_000)}`) await connection.write(byte);
    };
    for (const script of [
      ({ request }: Scripted) => request(),
      drip,
      always("HTTP/1.1 100 Continue\r\n\r\n"),
    ]) {
      await using server = await scriptedServer(script);
      using client = clientOf(server);
      expect(await failure(client.request({ ...get, headDeadlineMs: 40 }))).toBe("timeout/unknown");
    }
    await using server = await scriptedServer(async (connection) => {
      await connection.request();
      await connection.write(half);
      setTimeout(() => connection.socket.write(" done"), 80);
    });
    using client = clientOf(server);
    expect(await text(client, { ...get, headDeadlineMs: 40 })).toBe("half done");
  });

  test("a connect that is too slow: no, and a late opening is closed without a byte", async () => {
    await using server = await scriptedServer(always(ok));
    const clock = new VirtualClock(0);
    const client = createHttpClient({ origin: `http://127.0.0.1:${server.port}`, clock, limits });
    const pending = client.request(post).catch((error: unknown) => error);
    clock.advance(limits.upstreamConnectMs);
    const error = await pending;
    expect(String(error)).toBe(
      `HttpFailure: Send POST /mcp: connect to 127.0.0.1:${server.port}: the connection was not open within 5000 ms`,
    );
    expect(error instanceof HttpFailure && `${error.why}/${error.sent}`).toBe("connect/no");
    await until("the late opening", () => server.connections.length === 1);
    await server.connections[0]?.closed;
    expect(server.connections[0]?.received()).toBe("");
    expect(client.connections).toBe(0);
  });

  test("a refused connect and an unknown name: no", async () => {
    const server = await scriptedServer(() => {});
    await server[Symbol.asyncDispose]();
    using client = clientOf(server);
    expect(await failure(client.request(post))).toBe("connect/no");
    const unknown = createHttpClient({ origin: "http://no-such-host.invalid", clock: realClock, limits });
    expect(await failure(unknown.request(post))).toBe("connect/no");
  });
});
