/** A newcomer's first quarter of an hour: the relay, one agent, and every command that looks at them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { connect, openWorld, type Serving, until, type World } from "./kit.ts";

const talker = join(import.meta.dir, "../fixtures/agents/talker.ts");

describe("up", () => {
  let world: World;
  beforeAll(() => {
    world = openWorld();
  });
  afterAll(() => world.close());

  test("C: [C.1] prints the ready line first, with exactly four members", async () => {
    const relay = world.start(["up", "--port", "0", "HOME", "--json"]);
    const ready = await relay.ready();
    const { port } = new URL(ready.url);
    expect(ready as object).toEqual({
      event: "ready",
      url: `http://127.0.0.1:${port}`,
      mcpUrl: `http://127.0.0.1:${port}/api/mcp`,
      operatorTokenFile: join(world.home, "operator.token"),
    });
    expect(statSync(ready.operatorTokenFile).mode & 0o777).toBe(0o600);
    await relay.stop();
    expect(relay.lines()).toHaveLength(1);
  });

  test("tells a person the address and the next command, which can be typed as it stands", async () => {
    const relay = world.start(["up", "--port", "0", "HOME"]);
    const first = await relay.line(0);
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(first)?.[0] ?? "no address";
    const typed = (
      await until("the next command", () => relay.lines().find((line) => / run exec /.test(line)))
    ).trim();
    expect(typed).toBe(
      `bin/agent-relay run exec --name alice --relay ${url} --token-file ${world.home}/operator.token -- YOUR-AGENT`,
    );
    const [, ...words] = typed.replace("YOUR-AGENT", "true").split(" ");
    expect(await world.cli([...words], { env: { AGENT_RELAY_HOME: join(world.folder, "other") } })).toEqual({
      code: 0,
      stdout: "",
      stderr: "",
    });
    await relay.stop();
  });

  test.each(["SIGTERM", "SIGINT"] as const)(
    "C: [C.3] %s ends it with 0 within 5 seconds, an open feed or not",
    async (signal) => {
      const relay = await world.up();
      const token = readFileSync(join(world.home, "operator.token"), "utf8").trim();
      const feed = await fetch(`${relay.url}/api/v1/feed`, { headers: { Authorization: `Bearer ${token}` } });
      expect(feed.status).toBe(200);
      const asked = performance.now();
      relay.signal(signal);
      expect(await relay.ended).toBe(0);
      expect(performance.now() - asked).toBeLessThan(5_000);
      expect(relay.stderr()).toBe("");
      await feed.body?.cancel();
    },
  );
});

describe("an agent and its relay", () => {
  let world: World;
  let relay: Serving & { url: string };
  const json = async <Value>(...args: string[]): Promise<Value> => {
    const { code, stdout, stderr } = await world.cli([...args, "HOME", "--json"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout.endsWith("\n") && !stdout.trim().includes("\n")).toBe(true);
    return JSON.parse(stdout) as Value;
  };
  beforeAll(async () => {
    world = openWorld();
    relay = await world.up();
  });
  afterAll(() => world.close());

  test("C: [C.7] [C.8] what an SDK client sends to operator is in its inbox; run ends with the agent's code", async () => {
    const ended = await world.cli([
      ...["run", "exec", "--name", "alice", "--relay", relay.url, "HOME", "--"],
      ...[process.execPath, talker, "operator", "hello from an agent", "5"],
    ]);
    expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 5, stderr: "" });
    const receipt = JSON.parse(ended.stdout) as Record<string, unknown>;
    expect(receipt).toMatchObject({ delivery: "sent", queued: false, tool: "relay_send_message" });
    const { messages } = await json<{ messages: unknown[] }>("inbox", "operator");
    expect(messages).toMatchObject([
      { id: receipt.messageId, from: "alice", to: "operator", body: "hello from an agent", seq: 1 },
    ]);
  });

  test("C: [C.8] outbox ls has one JSON object: empty, and with --all what was sent", async () => {
    expect(await json<object>("outbox", "ls")).toEqual({ records: [] });
    const { records } = await json<{ records: unknown[] }>("outbox", "ls", "--all");
    expect(records).toMatchObject([
      { outbox: "alice", state: "sent", tool: "relay_send_message", to: "operator", attempts: 1 },
    ]);
    expect(JSON.stringify(records)).not.toContain("hello from an agent");
  });

  test("agents, status, send and token do what they say", async () => {
    const { agents } = await json<{ agents: object[] }>("agents");
    expect(agents).toMatchObject([{ name: "alice", provider: "exec", online: false }, { name: "operator" }]);
    const status = await json<{ relay: object; local: object[] }>("status");
    expect(status).toMatchObject({
      relay: { reachable: true, facts: { agents: 2, messages: 1 } },
      local: [{ name: "alice", kind: "agent", running: false, waiting: 0 }],
    });
    expect(await json<object>("send", "alice", "hello", "back", "--key", "k1")).toMatchObject({
      delivery: "sent",
    });
    expect(await json<object>("send", "alice", "hello", "back", "--key", "k1")).toMatchObject({
      replayed: true,
    });
    const { messages } = await json<{ messages: unknown[] }>("inbox", "alice", "--unread");
    expect(messages).toMatchObject([{ from: "operator", body: "hello back", seq: 1 }]);
    expect((await world.cli(["send", "alice", "-", "HOME"], { stdin: "from a pipe\n" })).stdout).toMatch(
      /^sent: /,
    );
  });

  test("P4: [P4.4] a token is shown once or written 0600, listed without its secret, and ends when revoked", async () => {
    const made = await json<{ token: { id: string }; secret: string }>("token", "create", "--note", "ci");
    const file = join(world.folder, "ci.token");
    const written = await json<{ token: { id: string }; file: string }>("token", "create", "--out", file);
    expect([written.file, statSync(file).mode & 0o777]).toEqual([file, 0o600]);
    expect((await world.cli(["agents", "--token-file", file, "HOME"])).code).toBe(0);
    const { tokens } = await json<{ tokens: { id: string; note: string }[] }>("token", "ls");
    expect(tokens.find(({ id }) => id === made.token.id)).toMatchObject({ kind: "operator", note: "ci" });
    expect(JSON.stringify(tokens)).not.toContain(made.secret);
    const database = ["relay.sqlite", "relay.sqlite-wal"].map((name) =>
      readFileSync(join(world.home, "relay", name)),
    );
    expect(database.map((bytes) => bytes.includes(made.secret))).toEqual([false, false]);
    expect(database.some((bytes) => bytes.includes(made.token.id))).toBe(true);
    expect(await json<object>("token", "revoke", written.token.id)).toMatchObject({
      token: { id: written.token.id, revokedAt: expect.any(String) },
    });
    expect(await world.cli(["agents", "--token-file", file, "HOME"])).toMatchObject({ code: 77, stdout: "" });
  });

  test("P1: [P1.3] a restart of the relay keeps everything, and the agent at its endpoint notices nothing", async () => {
    const agent = world.start([
      ...["run", "exec", "--name", "bob", "--relay", relay.url, "HOME", "--", "sh", "-c"],
      'echo "$AGENT_RELAY_MCP_URL"; echo "$AGENT_RELAY_SESSION_TOKEN"; exec sleep 1000',
    ]);
    const client = await connect(await agent.line(0), await agent.line(1), "legacy");
    const send = (body: string) =>
      client.callTool({ name: "relay_send_message", arguments: { to: "operator", body } });
    expect((await send("before")).structuredContent).toMatchObject({ delivery: "sent" });
    const before = await json<{ messages: unknown[] }>("inbox", "operator");
    const port = new URL(relay.url).port;
    expect(await relay.stop()).toBe(0);
    const tools = (await client.listTools()).tools.map(({ name }) => name);
    expect(tools).toContain("relay_send_message");
    const again = world.start(["up", "--port", port, "HOME", "--json"]);
    expect((await again.ready()).url).toBe(relay.url);
    expect(await json<object>("inbox", "operator")).toEqual(before);
    const { messageId } = (await send("after")).structuredContent as { messageId: string };
    const last = await until("the message", async () => {
      const { messages } = await json<{ messages: { id: string }[] }>("inbox", "operator");
      return messages.find(({ id }) => id === messageId);
    });
    expect(last).toMatchObject({ from: "bob", body: "after", seq: 3 });
    await client.close();
    expect(await agent.stop()).toBe(143);
  });
});
