/** Starting and stopping a relay: what is written, what is refused, and what survives. */
import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runningRelay } from "../test/fixtures/running-relay.ts";
import { silentLog } from "./base/log.ts";
import { startServer } from "./server.ts";
import { tokenHash, tokenText } from "./wire/token.ts";

function newHome(): Disposable & { path: string } {
  const folder = mkdtempSync(join(tmpdir(), "relay-"));
  return {
    path: join(folder, "home"),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const failure = (starting: Promise<unknown>) =>
  starting.then(
    () => undefined,
    (error: Error) => error,
  );
const start = (home: string, more: { port?: number; hostname?: string } = {}) =>
  startServer({ home, port: 0, log: silentLog, version: "0.0.0", ...more });

test("a first start makes a private home, an operator token that works, and the address for the CLI", async () => {
  using home = newHome();
  await using relay = await runningRelay({ home: home.path });
  const { url, mcpUrl, operatorTokenFile } = relay.server;
  expect(mcpUrl).toBe(`${url}/api/mcp`);
  const files = [
    operatorTokenFile,
    join(home.path, "relay", "url"),
    join(home.path, "relay", "relay.sqlite"),
  ];
  expect(files.map((file) => (statSync(file).mode & 0o777).toString(8))).toEqual(["600", "600", "600"]);
  expect((statSync(home.path).mode & 0o777).toString(8)).toBe("700");
  expect(readFileSync(join(home.path, "relay", "url"), "utf8")).toBe(`${url}\n`);
  expect((await relay.operator.getRelay({})).relayId).toBe(relay.server.relayId);
});

test("P2: messages, tokens and the relay's identity survive a restart; the address file goes with the relay", async () => {
  using home = newHome();
  const first = await runningRelay({ home: home.path });
  const alice = await first.enrol("alice");
  await first.operator.sendMessage({ to: "alice", body: "kept" });
  await first.server.close();
  expect(existsSync(join(home.path, "relay", "url"))).toBe(false);
  await using second = await runningRelay({ home: home.path });
  expect(second.server.relayId).toBe(first.server.relayId);
  expect(second.operatorToken).toBe(first.operatorToken);
  const { messages } = await second.client(alice.runnerToken).readInbox({ agent: "alice" });
  expect(messages.map(({ body }) => body)).toEqual(["kept"]);
});

test("a second relay on one home is refused and leaves the first alone", async () => {
  using home = newHome();
  await using relay = await runningRelay({ home: home.path });
  const error = await failure(start(home.path));
  expect(error).toMatchObject({
    name: "SqliteBusyError",
    message: `Start a relay in ${home.path}: another one runs there`,
  });
  expect((await relay.operator.getStatus({})).agents).toBe(1);
  expect(existsSync(join(home.path, "relay", "url"))).toBe(true);
});

test("a taken port is named and nothing is written", async () => {
  using home = newHome();
  await using relay = await runningRelay();
  const port = Number(new URL(relay.server.url).port);
  const error = await failure(start(home.path, { port }));
  expect(error?.message).toBe(
    `Listen on 127.0.0.1:${port}: the port is taken; give another one, or 0 for any`,
  );
  expect(existsSync(home.path)).toBe(false);
});

test("an address that others can reach, a home others may write to, and a foreign token file are refused", async () => {
  using home = newHome();
  const open = await failure(start(home.path, { hostname: "0.0.0.0" }));
  expect(open?.message).toStartWith("Listen on 0.0.0.0: without TLS the relay listens on loopback only");
  mkdirSync(home.path);
  chmodSync(home.path, 0o777);
  expect(await failure(start(home.path))).toMatchObject({ name: "UnsafePathError" });
  chmodSync(home.path, 0o700);
  await Bun.write(join(home.path, "operator.token"), "hello\n", { mode: 0o600 });
  chmodSync(join(home.path, "operator.token"), 0o600);
  expect((await failure(start(home.path)))?.message).toContain("it does not hold an operator token");
});

test("a token that was written before a crash is made valid by the next start", async () => {
  using home = newHome();
  mkdirSync(home.path, { mode: 0o700 });
  const written = tokenText("operator", new Uint8Array(32).fill(7));
  const file = join(home.path, "operator.token");
  await Bun.write(file, `${written}\n`);
  chmodSync(file, 0o600);
  await using relay = await runningRelay({ home: home.path });
  expect(relay.operatorToken).toBe(written);
  expect((await relay.operator.listTokens({})).tokens).toHaveLength(1);
});

test("a deleted or revoked operator token is replaced at the next start", async () => {
  using home = newHome();
  const first = await runningRelay({ home: home.path });
  const { tokens } = await first.operator.listTokens({});
  await first.operator.revokeToken({ id: tokens[0]?.id ?? "" });
  await first.server.close();
  const second = await runningRelay({ home: home.path });
  expect(second.operatorToken).not.toBe(first.operatorToken);
  await second.operator.getStatus({});
  await second.server.close();
  rmSync(second.server.operatorTokenFile);
  await using third = await runningRelay({ home: home.path });
  expect(tokenHash(third.operatorToken)).not.toBe(tokenHash(second.operatorToken));
  await third.operator.getStatus({});
});

test("closing ends open feeds and is done well within its bound", async () => {
  const relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const response = await fetch(`${relay.server.url}/api/v1/feed`, {
    headers: { Authorization: `Bearer ${alice.runnerToken}` },
  });
  const reader = response.body?.getReader();
  await reader?.read();
  const start = performance.now();
  const drained = (async () => {
    while ((await reader?.read())?.done === false);
  })();
  await relay[Symbol.asyncDispose]();
  await drained;
  expect(performance.now() - start).toBeLessThan(2_000);
  expect(await failure(relay.operator.getStatus({}))).toMatchObject({ name: "RelayUnreachable", sent: "no" });
});
