/** The outbox as people use it, with real processes: an outage, a killed runner, and a relay that comes back. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, openWorld, until, type World } from "./kit.ts";

let world: World;
beforeEach(() => {
  world = openWorld();
});
afterEach(() => world.close());

const script = 'echo "$AGENT_RELAY_MCP_URL"; echo "$AGENT_RELAY_SESSION_TOKEN"; exec sleep 1000';
type Listed = { records: { id: number; state: string; key: string; outbox: string }[] };

async function json<Value>(...args: string[]): Promise<Value> {
  const { code, stdout, stderr } = await world.cli([...args, "HOME", "--json"]);
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return JSON.parse(stdout) as Value;
}

/** Bob is known; alice runs and has sent four messages while the relay was away. */
async function inOutage() {
  const relay = await world.up();
  const command = (name: string) => ["run", "exec", "--name", name, "--relay", relay.url, "HOME", "--"];
  await world.cli([...command("bob"), "true"]);
  const run = world.start([...command("alice"), "sh", "-c", script]);
  const client = await connect(await run.line(0), await run.line(1), "legacy");
  await relay.stop();
  for (const body of ["first", "second", "third", "fourth"]) {
    const given = { to: "bob", body, idempotencyKey: `k-${body}` };
    await client.callTool({ name: "relay_send_message", arguments: given });
  }
  return { relay, run, client };
}

/** Nobody runs alice: whoever starts next looks after what she has left. */
async function deliveredAfterReturn(url: string): Promise<string[]> {
  const back = world.start(["up", "--port", new URL(url).port, "HOME", "--json"]);
  await back.ready();
  return until(
    "bob has what was left",
    async () => {
      const { messages } = await json<{ messages: { body: string }[] }>("inbox", "bob");
      return messages.length >= 3 ? messages.map(({ body }) => body) : undefined;
    },
    15_000,
  );
}

test("C: [C.10] [P2.18] [P5.10] a person looks into an outbox in an outage, takes out, pauses, resumes, and the rest is delivered later", async () => {
  const { relay, run, client } = await inOutage();
  const { records } = await json<Listed>("outbox", "ls");
  expect(records.map(({ key, state }) => [key, state])).toEqual(
    ["first", "second", "third", "fourth"].map((body) => [`k-${body}`, "queued"]),
  );
  const plain = await world.cli(["outbox", "show", "k-first", "HOME"]);
  expect(plain.stdout).not.toContain('"body"');
  expect((await world.cli(["outbox", "show", "k-first", "--body", "HOME"])).stdout).toContain(
    '"body": "first"',
  );
  expect(await json("outbox", "drop", "k-second")).toEqual({
    outbox: "alice",
    action: "drop",
    done: 1,
    refused: [],
  });
  expect(await json("outbox", "pause", "--name", "alice")).toMatchObject({ action: "pause", done: 1 });
  const { local } = await json<{ local: { name: string; outbox?: string; metrics?: unknown }[] }>("status");
  expect(local.find(({ name }) => name === "alice")).toMatchObject({
    outbox: "paused",
    metrics: { counts: { accepted: 4, bounced: { dropped: 1 } } },
  });
  const told = await client.callTool({ name: "relay_check_messages", arguments: {} });
  expect(JSON.stringify(told.content)).toContain("dropped: relay_send_message to bob");

  run.signal("SIGKILL");
  await run.ended;
  const doctor = await world.cli(["doctor", "--relay", relay.url, "HOME"]);
  expect(doctor.code).toBe(1);
  expect(doctor.stdout).toMatch(/^BAD {3}relay/m);
  expect(doctor.stdout).toMatch(/^note {2}outbox of alice +orphan: nobody runs it and 3 writes wait/m);
  expect(await json("outbox", "drop", "k-third")).toMatchObject({ done: 1, refused: [] });
  const again = await world.cli(["outbox", "drop", "k-third", "HOME"]);
  expect([again.code, again.stdout]).toEqual([
    1,
    "alice: 0 taken out of the queue; the agent gets a notice of each\n  record 3 was left alone: it is dropped\n",
  ]);
  const exported = await world.cli(["outbox", "export", "HOME"]);
  expect(
    exported.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).arguments.body),
  ).toEqual(["first", "fourth"]);
  expect(await json("outbox", "retry", "k-third")).toMatchObject({ done: 1, refused: [] });
  expect(await json("outbox", "resume", "--name", "alice")).toMatchObject({ action: "resume", done: 1 });

  expect(await deliveredAfterReturn(relay.url)).toEqual(["first", "fourth", "third"]);
  const audit = readFileSync(join(world.home, "audit.log"), "utf8").trim().split("\n");
  expect(
    audit.map((line) => JSON.parse(line)).map(({ action, keys }) => [action, ...keys].join(" ")),
  ).toEqual([...["drop k-second", "pause", "drop k-third", "drop k-third", "retry k-third", "resume"]]);
  const healthy = await world.cli(["doctor", "--relay", relay.url, "HOME"]);
  expect([healthy.code, healthy.stdout]).toEqual([0, expect.stringContaining("clock") as unknown as string]);
}, 60_000);

test("C: [C.10] what cannot be meant is told in one line", async () => {
  const relay = await world.up();
  expect(await world.cli(["outbox", "pause", "HOME"])).toMatchObject({
    code: 2,
    stderr: "agent-relay: Find the outbox: this home has none\n",
  });
  for (const name of ["alice", "bob"])
    await world.cli(["run", "exec", "--name", name, "--relay", relay.url, "HOME", "--", "true"]);
  expect(await world.cli(["outbox", "pause", "HOME"])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(
      /^agent-relay: Choose an outbox: there are 2, give --name with one of \w+, \w+\n$/,
    ),
  });
  expect(await world.cli(["outbox", "show", "nothing", "HOME"])).toMatchObject({
    code: 2,
    stderr: "agent-relay: Find record nothing: there is none, 'agent-relay outbox ls --all' lists them\n",
  });
}, 30_000);
