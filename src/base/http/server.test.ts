/** The server under every split, what it refuses, what it bounds, and what it knows of its peers. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { realClock, sleep, VirtualClock } from "../clock.ts";
import { echoServer, rawClient } from "./raw-client.ts";
import { turn, until } from "./scripted-server.ts";
import type { ServerExchange } from "./server-exchange.ts";

const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const post = (body: string) => `POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunked =
  "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n";

describe("requests", () => {
  test("split at every byte are read as one, and the connection is kept", async () => {
    await using server = echoServer();
    using client = await rawClient(server);
    const all = get + post("hello") + chunked;
    for (let at = 1; at < all.length; at += 7) await client.write(all.slice(0, at), all.slice(at));
    const rounds = Math.ceil((all.length - 1) / 7);
    await client.answers(rounds * 3);
    expect(new Set(server.seen)).toEqual(new Set(["GET /a ", "POST /b hello", "POST /c abcde"]));
    expect({ seen: server.seen.length, open: server.connections }).toEqual({ seen: rounds * 3, open: 1 });
  });

  test("byte by byte", async () => {
    await using server = echoServer();
    using client = await rawClient(server);
    await client.write(...(post("x\r\n\r\ny") + get));
    await client.answers(2);
    expect(server.seen).toEqual(["POST /b x\r\n\r\ny", "GET /a "]);
  });

  test("that come at once are answered in order, also when the first answer is late", async () => {
    const late: ServerExchange[] = [];
    await using server = echoServer({
      handler: (exchange) => {
        if (exchange.target === "/1") late.push(exchange);
        else exchange.send({ status: 200, body: exchange.target });
      },
    });
    using client = await rawClient(server);
    await client.write(["/1", "/2", "/3"].map((target) => get.replace("/a", target)).join(""));
    await turn();
    expect(client.received()).toBe("");
    late[0]?.send({ status: 200, body: "/1" });
    await client.answers(3);
    expect(client.received().match(/\/\d$|\/\d(?=HTTP)/gm)).toEqual(["/1", "/2", "/3"]);
  });

  test("random requests, split anywhere, are seen as they were sent", async () => {
    await using server = echoServer();
    const bodies = fc.array(fc.string({ unit: fc.constantFrom(..."ab\r\n0: ") }), {
      minLength: 1,
      maxLength: 5,
    });
    const seed = Date.now() % 2 ** 31;
    console.log(`seed ${seed}`);
    await fc.assert(
      fc.asyncProperty(bodies, fc.array(fc.nat({ max: 400 }), { maxLength: 6 }), async (sent, cuts) => {
        server.seen.length = 0;
        using client = await rawClient(server);
        const all = sent.map(post).join("");
        const ends = [...new Set(cuts.map((cut) => cut % all.length))].sort((a, b) => a - b);
        await client.write(
          ...[...ends, all.length].map((end, index) => all.slice(ends[index - 1] ?? 0, end)),
        );
        await client.answers(sent.length);
        expect(server.seen).toEqual(sent.map((body) => `POST /b ${body}`));
      }),
      { numRuns: 60, seed },
    );
  });

  test("random bytes end in an answer or a closed connection, and the server lives on", async () => {
    await using server = echoServer({ limits: { requestReadMs: 100 } });
    const seed = Date.now() % 2 ** 31;
    console.log(`seed ${seed}`);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ unit: fc.constantFrom(..."GET /\r\n:H1. ") }),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (noise) => {
        using client = await rawClient(server);
        await client.write(typeof noise === "string" ? noise : Buffer.from(noise));
        client.socket.end();
        await client.closed;
      }),
      { numRuns: 100, seed },
    );
    using client = await rawClient(server);
    await client.write(get);
    expect(await client.answers(1)).toEqual(["200"]);
  });

  test("of HTTP/1.0 are answered and the connection ends", async () => {
    await using server = echoServer();
    using client = await rawClient(server);
    await client.write("GET /old HTTP/1.0\r\n\r\n");
    await client.closed;
    expect(client.received()).toContain("Connection: close");
    expect(client.received()).toEndWith("GET /old ");
  });

  test("a client that ends its side still gets its answer; one that is gone is noticed", async () => {
    const exchanges: ServerExchange[] = [];
    await using server = echoServer({ handler: (exchange) => void exchanges.push(exchange) });
    using half = await rawClient(server);
    await half.write(get);
    half.socket.end();
    using gone = await rawClient(server);
    await gone.write(get);
    gone.socket.destroy();
    await until("the loss is noticed", () => exchanges[1]?.gone.aborted === true);
    expect(exchanges[0]?.gone.aborted).toBe(false);
    exchanges[0]?.send({ status: 200, body: "late" });
    await half.closed;
    expect(half.received()).toEndWith("late");
    expect(half.received()).toStartWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK");
  });
});

describe("refused before the handler", () => {
  const line = "POST /b HTTP/1.1\r\nHost: x\r\n";
  test.each<[string, string, string]>([
    ["two lengths", `${line}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`, "400"],
    ["a list of lengths", `${line}Content-Length: 1, 1\r\n\r\na`, "400"],
    ["a signed length", `${line}Content-Length: +1\r\n\r\na`, "400"],
    ["a length above exact numbers", `${line}Content-Length: 9999999999999999\r\n\r\na`, "400"],
    ["length and coding", `${line}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, "400"],
    [
      "two codings",
      `${line}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      "400",
    ],
    ["an unknown coding", `${line}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, "501"],
    ["chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"],
    ["no Host", "GET / HTTP/1.1\r\n\r\n", "400"],
    ["two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "400"],
    ["a folded field", `${line}X: a\r\n b\r\n\r\n`, "400"],
    ["a blank before the colon", `${line}X : a\r\n\r\n`, "400"],
    ["a bare line feed", "GET / HTTP/1.1\nHost: x\n\n", "400"],
    ["a bare line feed later", `${line}X: a\nY: b\r\n\r\n`, "400"],
    ["a NUL", `${line}X: a\0b\r\n\r\n`, "400"],
    ["an absolute target", "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"],
    ["an authority", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "400"],
    ["two blanks", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400"],
    ["no version", "GET /\r\nHost: x\r\n\r\n", "400"],
    ["another version", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505"],
    ["TLS", "\x16\x03\x01\x02\x00\x01", "400"],
    ["an expectation", `${line}Expect: the-best\r\n\r\n`, "417"],
    ["too many fields", `${line}${"X: y\r\n".repeat(200)}\r\n`, "431"],
    ["a head that is too long", `${line}X: ${"y".repeat(40_000)}`, "431"],
  ])("%s: %s", async (_name, bytes, status) => {
    const handled: string[] = [];
    await using server = echoServer({ handler: ({ target }) => void handled.push(target) });
    using client = await rawClient(server);
    await client.write(bytes);
    expect(await client.answers(1)).toEqual([status]);
    await client.closed;
    expect(handled).toEqual([]);
  });

  test("a chunk that breaks the coding ends the request", async () => {
    await using server = echoServer();
    using client = await rawClient(server);
    await client.write(chunked.replace("abc\r\n", "abcd\r\n"));
    expect(await client.answers(1)).toEqual(["400"]);
    await client.closed;
    expect(server.seen).toEqual(["POST /c ended"]);
  });
});

describe("bodies", () => {
  const guarded = (exchange: ServerExchange) => exchange.send({ status: 401, body: "no" });

  test("100 is told only when the handler wants the body", async () => {
    const expecting = "POST /b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    await using open = echoServer();
    using client = await rawClient(open);
    await client.write(expecting);
    await until("100", () => client.received().includes("100 Continue\r\n\r\n"));
    await client.write("ok");
    await client.answers(1);
    expect(open.seen).toEqual(["POST /b ok"]);
    await using closed = echoServer({ handler: guarded });
    using refused = await rawClient(closed);
    await refused.write(expecting);
    await refused.closed;
    expect(refused.received()).toStartWith("HTTP/1.1 401");
  });

  test("nobody wants are skipped when small, and end the connection when large, after the answer", async () => {
    await using server = echoServer({ handler: guarded });
    using client = await rawClient(server);
    await client.write(post("x".repeat(1_000)), get);
    expect(await client.answers(2)).toEqual(["401", "401"]);
    using large = await rawClient(server);
    await large.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`, "x".repeat(5_000));
    await large.closed;
    expect(large.received()).toEndWith("no");
  });

  test("of 20 MB come whole, and go back whole to a slow reader", async () => {
    const size = 20_000_000;
    await using server = echoServer({
      handler: async (exchange) => {
        const body = await exchange.body(size);
        exchange.send({ status: 200, body: typeof body === "string" ? body : body });
      },
    });
    using client = await rawClient(server);
    client.socket.pause();
    await client.write(
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`,
      Buffer.alloc(size, "z"),
    );
    await sleep(realClock, 20);
    client.socket.resume();
    await until("all of it", () => client.received().length > size, 5_000);
    expect(client.received().length - client.received().indexOf("\r\n\r\n") - 4).toBe(size);
  });

  test("above the bound are told as such, announced or not", async () => {
    const reads: unknown[] = [];
    await using server = echoServer({
      handler: async (exchange) => {
        reads.push(await exchange.body(4));
        exchange.send({ status: 413 });
      },
    });
    for (const bytes of [post("hello"), chunked]) {
      using client = await rawClient(server);
      await client.write(bytes);
      expect(await client.answers(1)).toEqual(["413"]);
    }
    expect(reads).toEqual(["too-large", "too-large"]);
  });
});

describe("time", () => {
  test.each([
    ["a head", "GET / HTT", "408"],
    ["a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "408"],
  ])("%s that does not come in time is refused", async (_name, bytes, status) => {
    const clock = new VirtualClock(0);
    await using server = echoServer({ clock, limits: { requestReadMs: 1_000 } });
    using client = await rawClient(server);
    await client.write(bytes);
    clock.advance(900);
    await client.write("x");
    expect(client.received()).toBe("");
    clock.advance(101);
    expect(await client.answers(1)).toEqual([status]);
    await client.closed;
  });

  test("a silent connection and an idle one are closed, a busy one is not", async () => {
    const clock = new VirtualClock(0);
    const held: ServerExchange[] = [];
    await using server = echoServer({
      clock,
      limits: { requestReadMs: 1_000, serverIdleMs: 4_000 },
      handler: (exchange) => {
        if (exchange.target === "/a") exchange.send({ status: 200 });
        else held.push(exchange);
      },
    });
    using silent = await rawClient(server);
    using idle = await rawClient(server);
    using busy = await rawClient(server);
    await idle.write(get);
    await busy.write(post(""));
    await idle.answers(1);
    clock.advance(1_001);
    await silent.closed;
    expect({ idle: idle.ended, open: server.connections }).toEqual({ idle: false, open: 2 });
    clock.advance(8_000);
    await idle.closed;
    expect(busy.ended).toBe(false);
    held[0]?.send({ status: 200 });
    await busy.answers(1);
  });
});
