/** What the runtime does with heads that drip in: a new version of it may do something else. */
import { expect, test } from "bun:test";
import { realClock } from "../clock.ts";
import { listen } from "./listen.ts";

/** The runtime counts in steps of 4 s. */
const readMs = 4_000;
const mostMs = 30_000;

test("S18: a kept connection is ended in time although the head of its next request drips in", async () => {
  const listener = listen({
    hostname: "127.0.0.1",
    port: 0,
    readMs,
    clock: realClock,
    serve: async () => new Response("served"),
  });
  const head = "GET / HTTP/1.1\r\nHost: x\r\n";
  const ended = Promise.withResolvers<void>();
  let told = "";
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    socket: {
      data(_, bytes) {
        told += bytes.toString("latin1");
      },
      close: () => ended.resolve(),
    },
  });
  const began = performance.now();
  socket.write(`${head}\r\n${head}X-Slow: `);
  const dripping = setInterval(() => socket.write("x"), 100);
  const late = setTimeout(
    () => ended.reject(new Error(`Still open after 60 s; it was told ${told}`)),
    60_000,
  );
  await ended.promise.finally(() => {
    clearInterval(dripping);
    clearTimeout(late);
  });
  const tookMs = performance.now() - began;
  expect(told.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200"]);
  expect(tookMs).toBeLessThan(mostMs);
  await listener.close(0);
}, 90_000);
