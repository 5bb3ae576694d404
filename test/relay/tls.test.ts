/** A relay that speaks TLS, end to end: commands, a runner with its proxy and outbox, the feed, an agent. */
import { expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testPem } from "../../src/base/http/scripted-server.ts";
import { silentLog } from "../../src/base/log.ts";
import { startRunner } from "../../src/runner.ts";
import { createClient } from "../../src/sdk/client.ts";
import { type RelayServer, type ServerOptions, startServer } from "../../src/server.ts";

const tls = { cert: testPem("right.pem"), key: testPem("right.key") };
const ca = testPem("ca.pem");

function newHome(): Disposable & { path: string } {
  const folder = mkdtempSync(join(tmpdir(), "relay-tls-"));
  const path = join(folder, "home");
  mkdirSync(path, { mode: 0o700 });
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

async function started(
  home: string,
  more: Partial<ServerOptions> = {},
): Promise<AsyncDisposable & { server: RelayServer; token: string; port: number }> {
  const server = await startServer({ home, port: 0, log: silentLog, version: "0.0.0", ...more });
  return {
    server,
    token: readFileSync(server.operatorTokenFile, "utf8").trim(),
    port: Number(new URL(server.url).port),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

const failure = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: Error) => error,
  );

/** The first bytes that a server answers to a greeting of this TLS version. */
function greeted(port: number, version: number): Promise<string> {
  const suites = Buffer.from([0, 6, 0xc0, 0x14, 0xc0, 0x0a, 0x00, 0x35]);
  const groups = Buffer.from([0, 8, 0, 10, 0, 4, 0, 2, 0, 23]);
  const body = Buffer.concat([
    Buffer.from([version >> 8, version & 255]),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    suites,
    Buffer.from([1, 0]),
    groups,
  ]);
  const shake = Buffer.concat([Buffer.from([1, 0, 0, body.length]), body]);
  const record = Buffer.concat([Buffer.from([22, 3, 1, 0, shake.length]), shake]);
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(record));
    socket.on("data", (data) => {
      resolve(Buffer.from(data).subarray(0, 7).toString("hex"));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

test("[C.22] S21: TLS below 1.2 is refused, and plain HTTP is not answered", async () => {
  using home = newHome();
  await using relay = await started(home.path, { tls });
  expect(relay.server.url).toStartWith("https://127.0.0.1:");
  // Alert (15), fatal (02), protocol_version (46).
  expect(await greeted(relay.port, 0x0301)).toBe("15030100020246");
  expect(await greeted(relay.port, 0x0302)).toBe("15030100020246");
  expect(await greeted(relay.port, 0x0303)).toStartWith("1603");
  expect(await failure(fetch(`http://127.0.0.1:${relay.port}/healthz`))).toBeInstanceOf(Error);
});

test("S21: a client that does not know the authority sends nothing", async () => {
  using home = newHome();
  await using relay = await started(home.path, { tls });
  const stranger = createClient({ url: relay.server.url, token: () => relay.token });
  expect(await failure(stranger.getStatus({}))).toMatchObject({ name: "RelayUnreachable" });
  const friend = createClient({ url: relay.server.url, token: () => relay.token, ca });
  expect((await friend.getStatus({})).agents).toBe(1);
});

test("[C.22] S2: beyond loopback TLS is wanted, or a flag; the address is told and Host is checked", async () => {
  using home = newHome();
  const refused = await failure(started(home.path, { hostname: "0.0.0.0" }));
  expect(refused?.message).toContain("give --tls-cert and --tls-key, or --insecure-bind");
  await using relay = await started(home.path, {
    hostname: "0.0.0.0",
    tls,
    allowHosts: ["localhost", "relay.example", "proxied.example:8443"],
  });
  expect(relay.server.url).toBe(`https://localhost:${relay.port}`);
  const status = async (host: string) => {
    const init = { headers: { Host: host }, tls: { ca }, proxy: false as unknown as string };
    return (await fetch(`https://127.0.0.1:${relay.port}/healthz`, init)).status;
  };
  const { port } = relay;
  expect(
    await Promise.all([`relay.example:${port}`, "relay.example", "proxied.example:8443"].map(status)),
  ).toEqual([200, 200, 200]);
  expect(
    await Promise.all(["evil.example", `proxied.example:${port}`, `relay.example.evil:${port}`].map(status)),
  ).toEqual([403, 403, 403]);
});

test.each([
  { how: "it listens for everyone", hostname: "0.0.0.0", insecureBind: true },
  { how: "a proxy before it has a name", allowHosts: ["relay.example"] },
])("S2: metrics need a token once others can reach the relay: $how", async ({ how: _, ...more }) => {
  using home = newHome();
  await using relay = await started(home.path, more);
  const url = `http://127.0.0.1:${relay.port}/metrics`;
  expect((await fetch(url)).status).toBe(401);
  const answer = await fetch(url, { headers: { Authorization: `Bearer ${relay.token}` } });
  expect(await answer.text()).toContain("agent_relay_agents 1\n");
});

test("[C.22] a runner works over TLS: enrolment, an agent's write through proxy and outbox, the feed", async () => {
  using home = newHome();
  copyFileSync(join(import.meta.dir, "../fixtures/http/ca.pem"), join(home.path, "ca.pem"));
  await using relay = await started(home.path, { tls });
  const operator = createClient({ url: relay.server.url, token: () => relay.token, ca });
  const said: string[] = [];
  const runner = await startRunner({
    home: home.path,
    relayUrl: relay.server.url,
    agentName: "alice",
    machine: "test",
    version: "0.0.0",
    provider: "exec",
    args: [process.execPath, join(import.meta.dir, "../fixtures/agents/sends-once.ts")],
    cwd: home.path,
    environment: { PATH: process.env.PATH ?? "" },
    terminal: false,
    direct: false,
    takeover: false,
    enrolmentToken: () => relay.token,
    log: silentLog,
    say: (line) => said.push(line),
  });
  const isOnline = async () =>
    (await operator.listAgents({})).agents.some((a) => a.name === "alice" && a.online);
  const end = performance.now() + 5_000;
  let online = await isOnline();
  while (!online && performance.now() < end) {
    await Bun.sleep(20);
    online = await isOnline();
  }
  const ended = await runner.ended;
  await runner.close();
  expect(online).toBe(true);
  expect(ended).toMatchObject({ code: 0 });
  const { messages } = await operator.readInbox({ agent: "operator" });
  expect(messages.map(({ from, body }) => `${from}: ${body}`)).toEqual(["alice: hello from the agent"]);
  expect(said).toEqual([]);
}, 20_000);
