/** The client against scripted peers: what goes out, and what every form of answer becomes. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { limits } from "../../limits.ts";
import { realClock } from "../clock.ts";
import { createHttpClient } from "./client.ts";
import { HttpFailure, type HttpRequest, readBody } from "./exchange.ts";
import {
  always,
  clientOf,
  failure,
  type ScriptedServer,
  scriptedServer,
  text,
  turn,
  until,
} from "./scripted-server.ts";

const get: HttpRequest = { method: "GET", path: "/a", headers: [] };
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const body = new TextEncoder().encode('{"a":1}');
const post: HttpRequest = { method: "POST", path: "/mcp?x=secret", headers: [["X-A", "b"]], body };

describe("requests", () => {
  test("go out as given, in one piece, with the client's own fields", async () => {
    await using server = await scriptedServer(always(ok));
    using client = clientOf(server);
    expect(await text(client, post)).toBe("ok");
    expect(server.connections[0]?.received()).toBe(
      `POST /mcp?x=secret HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: keep-alive\r\nX-A: b\r\nContent-Length: 7\r\n\r\n{"a":1}`,
    );
    expect(await text(client, { ...get, headers: [["x-b", "\xe9"]] })).toBe("ok");
    expect(server.connections[0]?.received()).toEndWith("Connection: keep-alive\r\nx-b: \xe9\r\n\r\n");
    expect(await text(client, { ...get, method: "POST" })).toBe("ok");
    expect(server.connections[0]?.received()).toEndWith("Content-Length: 0\r\n\r\n");
    expect(server.connections.length).toBe(1);
  });

  const refused: [name: string, request: HttpRequest][] = [
    ["a line end in a value", { ...get, headers: [["x", "a\r\ny: b"]] }],
    ["a character above Latin-1", { ...get, headers: [["x", "\u2603"]] }],
    ["a line end in a name", { ...get, headers: [["x\r\ny", "a"]] }],
    ["a blank in the path", { ...get, path: "/a HTTP/1.1\r\nx: y" }],
    ["another host in the path", { ...get, path: "http://other/" }],
    ["a method that is no token", { ...get, method: "GET /" }],
    ["CONNECT", { ...get, method: "CONNECT" }],
    ["a length of the caller's", { ...get, headers: [["Content-LENGTH", "4"]] }],
    ["a coding of the caller's", { ...get, headers: [["transfer-encoding", "chunked"]] }],
    ["a host of the caller's", { ...get, headers: [["host", "other"]] }],
    ["an upgrade", { ...get, headers: [["upgrade", "h2c"]] }],
  ];
  for (const [name, request] of refused)
    test(`with ${name} are refused before anything is sent`, async () => {
      await using server = await scriptedServer(always(ok));
      using client = clientOf(server);
      expect(await failure(client.request(request))).toBe("malformed/no");
      expect(server.connections.length).toBe(0);
    });

  test("failures name the request without its query", async () => {
    await using server = await scriptedServer((connection) => connection.socket.destroy());
    using client = clientOf(server);
    const error = await client.request(post).catch((error: unknown) => error);
    expect(String(error)).toStartWith("HttpFailure: Send POST /mcp: ");
    expect(String(error)).not.toContain("secret");
  });

  test("a body of 20 MB arrives whole, and so does one that comes back", async () => {
    const big = Buffer.alloc(20_000_000, "0123456789abcdef");
    await using server = await scriptedServer(async ({ socket, closed }) => {
      const echo = { bytes: 0, head: false };
      socket.on("data", (data) => {
        echo.bytes += data.length;
      });
      await until("the request", () => echo.bytes > big.length, 10_000);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n`);
      socket.write(big);
      await closed;
    });
    using client = clientOf(server);
    const response = await client.request({ ...post, body: big });
    expect(Buffer.compare(Buffer.from(await readBody(response, 3e7)), big)).toBe(0);
  }, 15_000);

  test("only http and https origins make a client", () => {
    const made = (origin: string) => () => createHttpClient({ origin, clock: realClock, limits });
    for (const origin of ["ftp://a", "http://a/b", "http://u@a", "http://a?b", "", "127.0.0.1:80"])
      expect(made(origin)).toThrow(
        `Make an HTTP client: the origin is "${origin}", http(s)://host:port was wanted`,
      );
    expect(made("https://a.test")).not.toThrow();
    expect(made("http://[::1]:80/")).not.toThrow();
  });

  for (const [host, origin] of [
    ["::1", "[::1]"],
    ["127.0.0.1", "localhost"],
  ] as const)
    test(`an origin of ${origin} is reached`, async () => {
      await using server = await scriptedServer(always(ok), { host });
      const client = createHttpClient({
        origin: `http://${origin}:${server.port}`,
        clock: realClock,
        limits,
      });
      expect(await text(client)).toBe("ok");
      expect(server.connections[0]?.received()).toContain(`\r\nHost: ${origin}:${server.port}\r\n`);
      client.close();
    });
});

describe("responses over a socket", () => {
  const forms: [name: string, bytes: string, wanted: string][] = [
    ["content-length", ok, "ok"],
    ["chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: 1\r\n\r\n", "ok"],
    ["after interim answers", `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nL: 1\r\n\r\n${ok}`, "ok"],
  ];
  for (const [name, bytes, wanted] of forms) {
    test(`${name}: split at every byte, on one connection`, async () => {
      await using server = await scriptedServer(async (connection) => {
        for (let at = 1; at < bytes.length; at += 1) {
          await connection.request();
          await connection.write(bytes.slice(0, at), bytes.slice(at));
        }
      });
      using client = clientOf(server);
      const got: string[] = [];
      for (let at = 1; at < bytes.length; at += 1) got.push(await text(client));
      expect(got).toEqual(Array.from({ length: bytes.length - 1 }, () => wanted));
      expect(server.connections.length).toBe(1);
    });

    test(`${name}: closed and reset after every byte, never taken for whole`, async () => {
      const length = bytes.length;
      await using server = await scriptedServer(async (connection) => {
        await connection.request();
        await connection.write(bytes.slice(0, connection.index % length));
        const end =
          connection.index < length
            ? () => connection.socket.end()
            : () => connection.socket.resetAndDestroy();
        end();
      });
      using client = clientOf(server);
      const seen: string[] = [];
      for (let index = 0; index < 2 * length; index += 1) seen.push(await failure(text(client)));
      expect(seen.slice(0, length)).toEqual(Array.from({ length }, () => "closed/unknown"));
      expect(seen.slice(length)).toEqual(Array.from({ length }, () => "reset/unknown"));
    });
  }

  test("until close: the end of the stream is the end of the body, a reset is not", async () => {
    const head = "HTTP/1.1 200 OK\r\n\r\n";
    await using server = await scriptedServer(async (connection) => {
      await connection.request();
      await connection.write(head, "all", " of it");
      const end = [() => connection.socket.end(), () => connection.socket.resetAndDestroy()][
        connection.index
      ];
      end?.();
    });
    using client = clientOf(server);
    expect(await text(client)).toBe("all of it");
    expect(await failure(text(client))).toBe("reset/unknown");
    expect(client.connections).toBe(0);
  });

  test("events are given on one by one, as they come", async () => {
    let wanted = 1;
    const events = ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"];
    await using server = await scriptedServer(async (connection) => {
      await connection.request();
      await connection.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
      );
      for (const [index, event] of events.entries()) {
        await until("the reader", () => wanted > index);
        await connection.write(`${event.length.toString(16)}\r\n${event}\r\n`);
      }
      await connection.write("0\r\n\r\n");
    });
    using client = clientOf(server);
    const response = await client.request(get);
    expect(response.header("content-type")).toBe("text/event-stream");
    const seen: string[] = [];
    for await (const part of response.body) {
      seen.push(Buffer.from(part).toString());
      wanted += 1;
    }
    expect(seen).toEqual(events);
    expect(client.connections).toBe(1);
  });

  test("a reader that is slow stops the peer, and loses nothing", async () => {
    const size = 20_000_000;
    await using server = await scriptedServer(async (connection) => {
      await connection.request();
      connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      connection.socket.write(Buffer.alloc(size, "x"));
    });
    using client = clientOf(server);
    const response = await client.request(get);
    for (let index = 0; index < 50; index += 1) await turn();
    expect(server.connections[0]?.socket.writableLength ?? 0).toBeGreaterThan(1_000_000);
    expect((await readBody(response, 3e7)).byteLength).toBe(size);
    expect(client.connections).toBe(1);
  });

  const heads: [name: string, bytes: string, wanted: string][] = [
    ["a head above the bound", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(70_000)}\r\n\r\n`, "too-large/unknown"],
    [
      "length and coding",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
      "malformed/unknown",
    ],
    ["another protocol", "SSH-2.0-x\r\n", "malformed/unknown"],
    ["nothing but a close", "", "closed/unknown"],
  ];
  for (const [name, bytes, wanted] of heads)
    test(`${name}: ${wanted}`, async () => {
      await using server = await scriptedServer(async (connection) => {
        await connection.request();
        connection.socket.end(bytes);
      });
      using client = clientOf(server);
      expect(await failure(client.request(post))).toBe(wanted);
      expect(client.connections).toBe(0);
    });

  test("a body that breaks the coding fails after the parts that were good", async () => {
    await using server = await scriptedServer(
      always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "zz\r\n"),
    );
    using client = clientOf(server);
    const response = await client.request(get);
    const parts = response.body[Symbol.asyncIterator]();
    expect(Buffer.from((await parts.next()).value ?? []).toString()).toBe("ok");
    expect(await failure(parts.next())).toBe("malformed/unknown");
    expect(await parts.next()).toEqual({ done: true, value: undefined });
  });

  test("random bytes never hang a request and never end the process", async () => {
    let bytes: Uint8Array = new Uint8Array();
    await using server: ScriptedServer = await scriptedServer(async (connection) => {
      await connection.request();
      connection.socket.end(bytes);
    });
    using client = clientOf(server);
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ maxLength: 40 }).map((s) => Buffer.from(`${ok.slice(0, 17)}${s}`)),
    );
    await fc.assert(
      fc.asyncProperty(noise, async (given) => {
        bytes = given;
        const ended = await text(client, { ...get, headDeadlineMs: 1_000 }).then(
          () => "whole",
          (error: unknown) => (error instanceof HttpFailure ? error.why : String(error)),
        );
        expect(["whole", "closed", "reset", "malformed"]).toContain(ended);
      }),
      { numRuns: 150 },
    );
  });
});
