/** The counter by which the other files show that no host but loopback is tried: that it counts at all. */
import { expect, test } from "bun:test";
import { lookup } from "node:dns/promises";
import { attemptsOutside } from "./network.ts";

test("the namespace has no way out", async () => {
  expect(await fetch("http://192.0.2.7/").catch(() => "failed")).toBe("failed");
});

test("an address that is tried is counted", async () => {
  const before = attemptsOutside();
  await fetch("http://192.0.2.8/").catch(() => {});
  expect(attemptsOutside()).toBeGreaterThan(before);
});

test("a name that is asked for is counted", async () => {
  const before = attemptsOutside();
  await lookup("relay.example.com").catch(() => {});
  expect(attemptsOutside()).toBeGreaterThan(before);
});

test("loopback is not counted", async () => {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("here") });
  const before = attemptsOutside();
  expect(await (await fetch(`http://127.0.0.1:${server.port}/`)).text()).toBe("here");
  expect(attemptsOutside()).toBe(before);
  await server.stop(true);
});
