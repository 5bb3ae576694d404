/** An agent that is woken, steered, killed and resumed: real relay and runner, and a played headless Claude Code. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "../../src/sdk/client.ts";
import { tokenKind } from "../../src/wire/token.ts";
import { connect, openWorld, type Ready, root, type Serving, until, type World } from "./kit.ts";

// Several real processes one after the other, on a machine that may do other work.
setDefaultTimeout(90_000);

/** Longer than the time after which a text that was given and not heard of is given anew. */
const reachedMs = 45_000;

type Start = { pid: number; argv: string[]; env: Record<string, string> };
let world: World;
let relay: Serving & { url: string };
let config = "";
let env: Record<string, string> = {};

beforeEach(async () => {
  world = openWorld();
  const bin = join(world.folder, "bin");
  config = join(world.folder, "config");
  for (const folder of [bin, config]) mkdirSync(folder);
  const played = join(root, "test/fixtures/agents/played-claude.ts");
  writeFileSync(join(bin, "claude"), `#!/bin/sh\nexec sh "${root}/tools/bun" "${played}" "$@"\n`);
  chmodSync(join(bin, "claude"), 0o755);
  env = { PATH: `${bin}:${process.env.PATH}`, CLAUDE_CONFIG_DIR: config };
  relay = await world.up();
});
afterEach(() => world.close());

const command = (...more: string[]) => [
  ...["run", "claude", "--name", "bob", "--headless", "--json", "--log-level", "debug"],
  ...["--relay", relay.url, "HOME", ...more],
];
const start = (...more: string[]) => world.start(command(...more), { env });
const client = () =>
  createClient({
    url: relay.url,
    token: () => readFileSync(join(world.home, "operator.token"), "utf8").trim(),
  });
const send = async (body: string, urgent = false) =>
  (await client().sendMessage({ to: "bob", body, ...(urgent ? { priority: "urgent" } : {}) })).messageId;
const stages = async (id: string) =>
  (await client().getMessageStatus({ id })).recipients[0]?.times as Record<string, string>;
const reached = (id: string, stage: string) =>
  until(
    `${id} is ${stage}`,
    async () => {
      // A long wait stays below the rate at which the relay refuses requests.
      await Bun.sleep(40);
      return (await stages(id))[stage] === undefined ? undefined : true;
    },
    reachedMs,
  ).catch(async (error: unknown) => {
    const seen = { stages: await stages(id), starts: starts().length };
    throw new Error(`${error}: ${JSON.stringify(seen)}, and the runners wrote ${world.written()}`);
  });
const starts = (): Start[] => {
  const path = join(config, "starts.jsonl");
  const lines = existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
  return lines.map((line) => JSON.parse(line));
};
const started = (number: number) => until(`start ${number}`, () => starts()[number - 1], 10_000);
const option = ({ argv }: Start, name: string) =>
  argv.find((arg) => arg.startsWith(`${name}=`))?.slice(name.length + 1);

test("[P8.1] [P8.3] an idle agent is woken; the sender sees each step in order; the task is done first", async () => {
  const bob = start("--task", "begin");
  await bob.ready();
  expect(JSON.parse(await bob.line(1))).toMatchObject({ event: "turn", text: "heard 1", how: "completed" });
  const id = await send("hello");
  await reached(id, "read");
  const { stored, injected, read } = await stages(id);
  expect([stored, injected, read].toSorted()).toEqual([stored, injected, read]);
  expect(JSON.parse(await bob.line(2))).toMatchObject({ event: "turn", injections: [id] });
  const [first] = starts();
  const texts = JSON.stringify([first?.argv, first?.env]).split(/[^A-Za-z0-9_-]/);
  expect(texts.filter((word) => tokenKind(word) !== undefined)).toEqual([]);
  expect(first?.argv.join(" ")).not.toContain(first?.env.AGENT_RELAY_SESSION_TOKEN ?? "?");
});

test("[P8.2] in a running turn an urgent message is folded in, any other waits for its end", async () => {
  const bob = start();
  await bob.ready();
  const work = await send("WORK");
  await reached(work, "injected");
  const normal = await send("later");
  const urgent = await send("now", true);
  await reached(normal, "handed");
  await reached(urgent, "handed");
  writeFileSync(join(config, "worked"), "");
  await reached(normal, "read");
  const turns = await Promise.all([1, 2].map(async (n) => JSON.parse(await bob.line(n))));
  expect(turns.map(({ injections }) => injections)).toEqual([[work, urgent], [normal]]);
});

describe("[P8.4] a turn that is killed", () => {
  test("with its runner: the next one resumes the conversation at the same address and gives the message again", async () => {
    const first = start();
    const { mcpUrl } = await first.ready();
    const id = await send("HANG");
    await reached(id, "injected");
    first.signal("SIGKILL");
    await first.ended;
    const second = start();
    expect((await second.ready<Ready>()).mcpUrl).toBe(mcpUrl);
    await started(2);
    const [one, two] = starts();
    expect(two && option(two, "--resume")).toBe(one && option(one, "--session-id"));
    expect(one?.env.AGENT_RELAY_SESSION_TOKEN).toBe(two?.env.AGENT_RELAY_SESSION_TOKEN ?? "");
    expect((await stages(id)).read).toBeUndefined();
    const path = join(config, "projects", root.replace(/[^A-Za-z0-9]/g, "-"));
    const conversation = (two && option(two, "--resume")) ?? "";
    const given = () =>
      readFileSync(join(path, `${conversation}.jsonl`), "utf8")
        .split("\n")
        .filter((line) => line.includes(id));
    await until("it is given again", () => given()[1], 10_000);
    expect(given()[1]).toContain("redelivered");
  });

  test("by its program's crash: it is started again, and what came meanwhile arrives", async () => {
    const bob = start();
    await bob.ready();
    await reached(await send("hello"), "read");
    process.kill(starts()[0]?.pid ?? 0, "SIGKILL");
    const id = await send("after the crash");
    await reached(id, "read");
    expect(starts()).toHaveLength(2);
  });
});

test("[P5.14] an idle agent is told that a reply to it is late, and that it will not come", async () => {
  const deaf = world.start([
    "run",
    "exec",
    "--name",
    "ann",
    "--relay",
    relay.url,
    "HOME",
    "--",
    "sleep",
    "60",
  ]);
  await until("ann is there", async () =>
    (await client().listAgents({})).agents.some(({ name }) => name === "ann") ? true : undefined,
  );
  const bob = start();
  const { mcpUrl } = await bob.ready();
  await started(1);
  const agent = await connect(mcpUrl, starts()[0]?.env.AGENT_RELAY_SESSION_TOKEN ?? "", "modern");
  const replyBy = new Date(Date.now() + 1_500).toISOString();
  const sent = await agent.callTool({
    name: "relay_send_message",
    arguments: { to: "ann", body: "Ready?", replyBy },
  });
  expect(sent.structuredContent).toMatchObject({ delivery: "sent" });
  const { messageId } = sent.structuredContent as { messageId: string };
  const heard = (words: string) => until(words, () => (told().includes(words) ? true : undefined), reachedMs);
  const path = join(config, "projects", root.replace(/[^A-Za-z0-9]/g, "-"));
  const told = () =>
    (existsSync(path) ? readdirSync(path) : [])
      .map((name) => readFileSync(join(path, name), "utf8"))
      .join("");
  await heard(`reply overdue from ann · message ${messageId}`);
  await deaf.stop();
  await client().removeAgent({ agent: "ann" });
  await heard(`message ${messageId} · asked at`);
  await heard("no reply from ann (removed");
  expect(told().split("reply overdue from ann")).toHaveLength(2);
  await agent.close();
});

test("a session that ended in order is begun anew, and its analysis is an insight", async () => {
  const bob = start();
  await bob.ready();
  await reached(await send("hello"), "read");
  await bob.stop();
  const { insights } = await client().listInsights({});
  expect(insights).toMatchObject([{ kind: "session_analysis", facts: { turns: 1, cause: "stopped" } }]);
  const shown = await world.cli(["agents", "show", "bob", "--relay", relay.url, "HOME"]);
  expect(shown.stdout).toContain("last turn     completed");
  const again = start();
  await again.ready();
  const second = await started(2);
  expect(option(second, "--resume")).toBeUndefined();
});

test("a hook that fails disturbs nobody: it ends well, prints nothing, is logged as fatal and is an insight", async () => {
  const bob = start();
  await bob.ready();
  const folder = (await started(1)).env.AGENT_RELAY_RUNNER ?? "";
  const hook = (stdin: string) =>
    world.cli(["hook", "claude"], { stdin, env: { AGENT_RELAY_RUNNER: folder } });
  const quiet = { code: 0, stdout: "", stderr: "" };
  expect(await hook('{"hook_event_name":"Stop","session_id":"c1"}')).toEqual(quiet);
  expect(await hook("not json")).toEqual(quiet);
  const line = await world.cli(["hook", "status-line"], { stdin: "{}", env: { AGENT_RELAY_RUNNER: folder } });
  expect(line.stdout).toStartWith("relay: bob");
  const failed = await world.cli(["logs", "bob", "--hooks", "HOME"]);
  expect(failed.stdout.trim().split("\n")).toEqual([expect.stringContaining('"level":"fatal"')]);
  await bob.stop();
  const { insights } = await client().listInsights({ kind: "hook_crashed" });
  expect(insights).toMatchObject([{ agent: "bob", facts: { count: 1 } }]);
});

test("with the relay down it runs all the same and says so; what comes later wakes it", async () => {
  const { url } = relay;
  const bob = start();
  await bob.ready();
  await bob.stop();
  await relay.stop();
  const again = start("--task", "begin");
  await again.ready();
  expect(JSON.parse(await again.line(1))).toMatchObject({ event: "turn", how: "completed" });
  await until("it says so", () => (again.stderr().includes("is not reached now") ? true : undefined));
  relay = await world.up("--port", new URL(url).port);
  await reached(await send("hello"), "read");
});

describe("C: what cannot be run is refused with what to do", () => {
  const rows: [string, string[], RegExp][] = [
    ["no terminal", ["run", "claude", "--name", "bob"], /standard input is not a terminal.*--headless/],
    ["a task without headless", ["run", "claude", "--name", "bob", "--task", "x"], /--task/],
    ["headless exec", ["run", "exec", "--name", "bob", "--headless", "--", "true"], /--headless/],
  ];
  test.each(rows)("%s", async (_, args, text) => {
    const [run = "", ...rest] = args;
    const ended = await world.cli([run, "--relay", relay.url, "HOME", ...rest], { env });
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(text)]);
  });

  test("a program that is too old runs, and the person hears it before it starts", async () => {
    env = { ...env, PLAYED_VERSION: "2.0.9 (Claude Code)" };
    const bob = start();
    await bob.ready();
    expect(bob.stderr()).toMatch(/claude 2\.0\.9 is older than 2\.1\.224.*npm install/);
  });

  test("a mistake in config.toml, named with its file", async () => {
    writeFileSync(join(world.home, "config.toml"), '[claude]\nmodle = "x"\n');
    const ended = await world.cli(command(), { env });
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining("config.toml")]);
  });
});
