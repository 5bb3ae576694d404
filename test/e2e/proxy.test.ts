/** `proxy --upstream`: any MCP server behind the endpoint, as SDK clients of both eras see it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testPem } from "../../src/base/http/scripted-server.ts";
import { type ScriptedUpstream, scriptedUpstream } from "../fixtures/upstreams/scripted.ts";
import { connect, openWorld, until, type World } from "./kit.ts";

let world: World;
let upstream: ScriptedUpstream;
beforeEach(() => {
  world = openWorld();
  upstream = scriptedUpstream();
});
afterEach(async () => {
  await world.close();
  await upstream.stop();
});

const command = (...more: string[]) => [
  ...["proxy", "--upstream", `${upstream.origin}${upstream.path}`, "HOME", "--json", ...more],
];
const start = async (...more: string[]) => {
  const serving = world.start(command(...more));
  const ready = await serving.ready();
  return { serving, url: ready.url, secret: readFileSync(ready.secretFile, "utf8").trim() };
};

test("C: [C.2] [C.3] prints the ready line first, with exactly three members, and ends with 0 when asked", async () => {
  const serving = world.start(command());
  const ready = await serving.ready();
  expect(ready as object).toEqual({
    event: "ready",
    url: `http://127.0.0.1:${new URL(ready.url).port}/mcp`,
    secretFile: expect.stringMatching(/\/home\/proxies\/[0-9a-f]{16}\/proxy\.secret$/),
  });
  expect(statSync(ready.secretFile).mode & 0o777).toBe(0o600);
  const asked = performance.now();
  expect(await serving.stop()).toBe(0);
  expect(performance.now() - asked).toBeLessThan(5_000);
  expect([serving.lines().length, serving.stderr()]).toEqual([1, ""]);
});

describe.each(["legacy", "modern"] as const)("P1: [P1.11] a client of the era %s", (era) => {
  test("lists and calls through it", async () => {
    const { url, secret } = await start();
    const client = await connect(url, secret, era);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["alpha", "beta"]);
    const result = await client.callTool({ name: "beta", arguments: {} });
    expect(result.content).toEqual([{ type: "text", text: "ran beta" }]);
    await client.close();
  });

  test("opens while the server is down, and sees its tools as soon as it is up", async () => {
    await upstream.stop();
    const { url, secret } = await start();
    const client = await connect(url, secret, era);
    expect((await client.listTools()).tools).toEqual([]);
    upstream.start();
    const tools = await until("the tools of the server", async () => {
      const listed = (await client.listTools()).tools.map(({ name }) => name);
      return listed.length === 0 ? undefined : listed;
    });
    expect(tools).toEqual(["alpha", "beta"]);
    await client.close();
  });
});

test("P1: [P1.10] a restart serves the same address with the same secret, and the tools though the server is down", async () => {
  const first = await start();
  const client = await connect(first.url, first.secret, "modern");
  expect((await client.listTools()).tools).toHaveLength(2);
  await client.close();
  first.serving.signal("SIGKILL");
  await first.serving.ended;
  await upstream.stop();
  const second = await start();
  expect([second.url, second.secret]).toEqual([first.url, first.secret]);
  const again = await connect(second.url, second.secret, "legacy");
  expect((await again.listTools()).tools.map(({ name }) => name)).toEqual(["alpha", "beta"]);
  await again.close();
});

test("P4: [P4.3] the server gets its own token, read again when it was replaced, and never the client's secret", async () => {
  const file = join(world.folder, "server.token");
  writeFileSync(file, "first-token\n", { mode: 0o600 });
  upstream.token = "first-token";
  const { url, secret } = await start("--token-file", file);
  const client = await connect(url, secret, "modern");
  const call = async () => (await client.callTool({ name: "alpha", arguments: {} })).content;
  expect(await call()).toEqual([{ type: "text", text: "ran alpha" }]);
  writeFileSync(file, "second-token\n", { mode: 0o600 });
  upstream.token = "second-token";
  expect(await call()).toEqual([{ type: "text", text: "ran alpha" }]);
  const given = new Set(upstream.seen.map(({ headers }) => headers.get("authorization")));
  expect(given).toEqual(new Set(["Bearer first-token", "Bearer second-token"]));
  expect(JSON.stringify(upstream.seen.map(({ headers }) => [...headers]))).not.toContain(secret);
  await client.close();
});

test("S21: a server with a certificate of one's own is reached with the authority that is named, and not without", async () => {
  const pem = (name: string) => join(world.folder, name);
  for (const name of ["right.pem", "right.key", "ca.pem"] as const)
    writeFileSync(pem(name), testPem(name), { mode: 0o600 });
  const relay = await world.up("--tls-cert", pem("right.pem"), "--tls-key", pem("right.key"));
  const token = join(world.home, "operator.token");
  const front = async (...more: string[]) => {
    const args = ["proxy", "--upstream", `${relay.url}/api/mcp`, "HOME", "--json", "--token-file", token];
    const serving = world.start([...args, ...more]);
    const { url, secretFile } = await serving.ready();
    const client = await connect(url, readFileSync(secretFile, "utf8").trim(), "modern");
    const names = async () => (await client.listTools()).tools.map(({ name }) => name);
    const end = () => client.close().then(() => serving.stop());
    return { names, end };
  };
  const stranger = await front();
  expect(await stranger.names()).toEqual([]);
  expect(await stranger.end()).toBe(0);
  const friend = await front("--upstream-ca", pem("ca.pem"));
  expect(
    await until("its tools", async () => (await friend.names()).find((name) => name === "relay_reply")),
  ).toBe("relay_reply");
  expect(await friend.end()).toBe(0);
}, 60_000);

test("P2: with a policy a write made while the server is down is queued, and reaches it once under its key", async () => {
  const policy = join(world.folder, "policy.json");
  writeFileSync(policy, '{"tools":{"alpha":{"buffered":true,"key":{"argument":"key"}}}}');
  const { serving, url, secret } = await start("--policy", policy);
  const client = await connect(url, secret, "modern");
  expect((await client.listTools()).tools).toHaveLength(2);
  await upstream.stop();
  const result = await client.callTool({ name: "alpha", arguments: { text: "later", key: "k-1" } });
  expect(result.structuredContent).toMatchObject({ delivery: "queued", idempotencyKey: "k-1" });
  const { stdout } = await world.cli(["outbox", "ls", "HOME", "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ records: [{ state: "queued", tool: "alpha", key: "k-1" }] });
  upstream.start();
  const calls = await until("the call", () => {
    const found = upstream.seen.filter(({ method }) => method === "tools/call");
    return found.length === 0 ? undefined : found;
  });
  expect(calls.map(({ body }) => body.params)).toMatchObject([
    { name: "alpha", arguments: { text: "later", key: "k-1" } },
  ]);
  await client.close();
  expect(await serving.stop()).toBe(0);
  expect(upstream.count("tools/call")).toBe(1);
});
