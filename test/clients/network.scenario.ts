/** The watch by which the other files show that no host but loopback is tried: that it sees at all. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { lookup } from "node:dns/promises";
import { type NetworkWatch, watchNetwork } from "./network.ts";

let watch: NetworkWatch;
beforeEach(async () => {
  watch = await watchNetwork();
});
afterEach(() => watch.close());

test("an address that is tried is seen, and is not reached", async () => {
  expect(await fetch("http://192.0.2.8/").catch(() => "failed")).toBe("failed");
  expect(watch.tried()).toEqual([expect.stringMatching(/^[1-9]\d* addresses$/)]);
});

test("an address of IPv6 too", async () => {
  expect(await fetch("http://[2001:db8::8]/").catch(() => "failed")).toBe("failed");
  expect(watch.tried()).toEqual([expect.stringMatching(/^[1-9]\d* addresses$/)]);
});

test("a name that is asked for is seen, and is not found", async () => {
  expect(await lookup("relay.example.com").catch(() => "failed")).toBe("failed");
  expect(watch.tried()).toEqual(["relay.example.com"]);
});

test("loopback is nothing else", async () => {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("here") });
  expect(await (await fetch(`http://127.0.0.1:${server.port}/`)).text()).toBe("here");
  expect(watch.tried()).toEqual([]);
  await server.stop(true);
});

test("what the proxy is asked for is seen, and refused", async () => {
  const { status } = await fetch("http://relay.example.com/", { proxy: watch.proxy });
  expect(status).toBe(403);
  expect(watch.asked()).toEqual(["GET http://relay.example.com/"]);
  expect(watch.tried()).toEqual([]);
});
