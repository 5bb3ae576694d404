/** How a run ends: by itself, by a signal, by a kill. What it leaves, and what the next run finds. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { agent, isAlive } from "../fixtures/agents/agents.ts";
import { connect, openWorld, type Serving, until, type World } from "./kit.ts";

const talker = join(import.meta.dir, "../fixtures/agents/talker.ts");
let world: World;
let relay: Serving & { url: string };
beforeEach(async () => {
  world = openWorld();
  relay = await world.up();
});
afterEach(() => world.close());

const command = (...agentCommand: string[]) => [
  ...["run", "exec", "--name", "alice", "--relay", relay.url, "HOME", "--", ...agentCommand],
];
/** Prints its process number, its endpoint and its secret, one per line, then waits. */
const shell = (...more: string[]) =>
  command(
    ...[
      "sh",
      "-c",
      'for word in $$ "$AGENT_RELAY_MCP_URL" "$AGENT_RELAY_SESSION_TOKEN" "$AGENT_RELAY_SCRATCH"',
    ],
    ...more,
  );
const waiting = () => {
  const [name = "", flag = "", script = "", ...rest] = shell().slice(-3);
  return [...shell().slice(0, -3), name, flag, `${script}; do echo "$word"; done; exec sleep 1000`, ...rest];
};
const gone = (pid: number, ms: number) =>
  until(`process ${pid} is gone`, () => !isAlive(pid) || undefined, ms);

describe("C: [C.7] run ends with its agent's code", () => {
  test.each([
    ["an exit code", ["3"], 3],
    ["128 and the number of the signal that ended it", [], 137],
  ])("%s", async (_, args, code) => {
    expect(await world.cli(command(...agent("crash.sh", ...args)))).toEqual({
      code,
      stdout: "",
      stderr: "crashing\n",
    });
  });

  test.each([
    ["SIGINT", "interrupted", 8],
    ["SIGTERM", "asked", 7],
    ["SIGHUP", "asked", 7],
  ] as const)("after %s, which is passed on to it", async (signal, said, code) => {
    const run = world.start(command(...agent("polite.sh")));
    expect(await run.line(0)).toBe("ready");
    const asked = performance.now();
    run.signal(signal);
    expect(await run.ended).toBe(code);
    expect(performance.now() - asked).toBeLessThan(5_000);
    expect(run.lines()).toEqual(["ready", said]);
  });
});

test("C: [C.7] what the agent has started ends with it", async () => {
  const run = world.start(command(...agent("forks-child.sh")));
  const pids = (await run.line(0)).split(" ").map(Number);
  expect(pids.map(isAlive)).toEqual([true, true]);
  expect(await run.stop()).toBe(143);
  expect(pids.map(isAlive)).toEqual([false, false]);
});

test("the session's scratch folder is private to it and gone with it", async () => {
  const run = world.start(waiting());
  const scratch = await run.line(3);
  expect(scratch.startsWith(join(world.home, "scratch", "alice-"))).toBe(true);
  expect(existsSync(scratch)).toBe(true);
  await run.stop();
  expect(readdirSync(join(world.home, "scratch"))).toEqual([]);
});

describe("P1: [P1.10] P2: [P2.3] after SIGKILL of the runner", () => {
  test("the agent is gone within two seconds; the next run serves the same address with the same secret", async () => {
    const first = world.start(waiting());
    const [pid, url, secret, scratch] = await Promise.all([0, 1, 2, 3].map(first.line));
    const client = await connect(url ?? "", secret ?? "", "legacy");
    first.signal("SIGKILL");
    await gone(Number(pid), 2_000);
    const second = world.start(waiting());
    expect(await Promise.all([1, 2].map(second.line))).toEqual([url ?? "", secret ?? ""]);
    expect(readdirSync(join(world.home, "scratch"))).toEqual([
      (await second.line(3)).split("/").at(-1) ?? "",
    ]);
    expect(existsSync(scratch ?? "")).toBe(false);
    // The client of the first session goes on: its session is taken over.
    expect((await client.listTools()).tools.length).toBeGreaterThan(0);
    await client.close();
  });

  test("what the agent was told is queued is delivered by the next run", async () => {
    const first = world.start(waiting());
    const client = await connect(await first.line(1), await first.line(2), "modern");
    await relay.stop();
    const bodies = ["one", "two", "three"];
    for (const body of bodies) {
      const result = await client.callTool({
        name: "relay_send_message",
        arguments: { to: "operator", body },
      });
      expect(result.structuredContent).toMatchObject({ delivery: "queued", queued: true });
    }
    first.signal("SIGKILL");
    await first.ended;
    await client.close().catch(() => {});
    const { stdout: waits } = await world.cli(["outbox", "ls", "HOME", "--json"]);
    expect(JSON.parse(waits)).toMatchObject({
      records: [{ state: "queued" }, { state: "queued" }, { state: "queued" }],
    });
    const again = world.start(["up", "--port", new URL(relay.url).port, "HOME", "--json"]);
    await again.ready();
    expect(await world.cli(command("true"))).toEqual({ code: 0, stdout: "", stderr: "" });
    const { stdout } = await world.cli(["inbox", "operator", "HOME", "--json"]);
    const { messages } = JSON.parse(stdout) as { messages: { body: string }[] };
    expect(messages.map(({ body }) => body)).toEqual(bodies);
  }, 15_000);
});

test("C: [C.3] with the relay away run ends within five seconds all the same, and says what waits", async () => {
  const run = world.start(waiting());
  const client = await connect(await run.line(1), await run.line(2), "modern");
  await relay.stop();
  await client.callTool({ name: "relay_send_message", arguments: { to: "operator", body: "later" } });
  await client.close();
  const asked = performance.now();
  expect(await run.stop()).toBe(143);
  expect(performance.now() - asked).toBeLessThan(5_000);
  expect(run.stderr()).toMatch(
    /^agent-relay: 1 writes of alice wait in \S+; the next 'up' or 'run' on this machine delivers them\n$/,
  );
}, 15_000);

describe("without the proxy (AGENT_RELAY_MCP_PROXY=0)", () => {
  test.each(["0", "false", "OFF"])(
    "%s gives the agent the relay's own endpoint with its scoped token",
    async (off) => {
      const env = { AGENT_RELAY_MCP_PROXY: off };
      const run = world.start(waiting(), { env });
      const [url, token] = await Promise.all([run.line(1), run.line(2)]);
      expect(url).toBe(`${relay.url}/api/mcp`);
      expect(token).toMatch(/^arl_agt_/);
      const client = await connect(url, token, "modern");
      const sent = await client.callTool({
        name: "relay_send_message",
        arguments: { to: "operator", body: "directly" },
      });
      expect(sent.structuredContent).toMatchObject({ delivery: "sent" });
      const { stdout } = await world.cli(["status", "HOME", "--json"]);
      expect(JSON.parse(stdout)).toMatchObject({ local: [{ name: "alice", mode: "direct" }] });
      await client.close();
    },
  );

  test("it is refused while writes wait, which the proxy alone would deliver", async () => {
    expect((await world.cli(command("true"))).code).toBe(0);
    await relay.stop();
    const queued = await world.cli(command(process.execPath, talker, "operator", "later", "0"));
    expect(JSON.parse(queued.stdout)).toMatchObject({ delivery: "queued" });
    const env = { AGENT_RELAY_MCP_PROXY: "0" };
    expect(await world.cli(command("true"), { env })).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "agent-relay: Run alice without its proxy: 1 writes wait in its outbox; run it with the proxy once\n",
    });
    const again = world.start(["up", "--port", new URL(relay.url).port, "HOME", "--json"]);
    await again.ready();
    expect((await world.cli(command("true"))).code).toBe(0);
    expect((await world.cli(command("true"), { env })).code).toBe(0);
  }, 20_000);

  test("with the relay away it starts with the last run's token while that is good", async () => {
    expect((await world.cli(command("true"))).code).toBe(0);
    await relay.stop();
    const ended = await world.cli(command("true"), { env: { AGENT_RELAY_MCP_PROXY: "0" } });
    expect(ended).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

test("P4: an HTTP proxy of the environment is not asked for what is on this machine", async () => {
  const asked: string[] = [];
  const proxy = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      asked.push(request.url);
      return new Response("no", { status: 502 });
    },
  });
  const at = `http://127.0.0.1:${proxy.port}`;
  const env = { HTTP_PROXY: at, http_proxy: at, HTTPS_PROXY: at, ALL_PROXY: at };
  const run = world.start(waiting(), { env });
  await run.line(2);
  const { stdout } = await world.cli(["status", "HOME", "--json"], { env });
  expect(JSON.parse(stdout)).toMatchObject({ relay: { reachable: true }, local: [{ running: true }] });
  expect(asked).toEqual([]);
  await proxy.stop(true);
});
