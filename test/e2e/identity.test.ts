/** Profiles, agents and hosts' tokens as people handle them, by the program itself. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openWorld, type World } from "./kit.ts";

let world: World;
let url = "";
beforeAll(async () => {
  world = openWorld();
  ({ url } = await world.up());
});
afterAll(() => world.close());

async function json<Value>(...args: string[]): Promise<Value> {
  const { code, stdout, stderr } = await world.cli([...args, "HOME", "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Value;
}
/** Exit code and what was said on standard error. */
async function refused(...args: string[]): Promise<[number | null, string]> {
  const { code, stdout, stderr } = await world.cli([...args, "HOME"]);
  expect(stdout).toBe("");
  return [code, stderr];
}

test("[C.40] a profile is made, changed, given to an agent and removed; an agent's run is told its own", async () => {
  const made = await json<object>(
    "profile",
    "set",
    "reader",
    "--scopes",
    "message:read,agent:read",
    "--burst",
    "5",
  );
  expect(made).toMatchObject({ scopes: ["message:read", "agent:read"], limits: { burst: 5, perMinute: 60 } });
  const changed = await json<object>(
    "profile",
    "set",
    "reader",
    "--allow",
    "message:send",
    "--off",
    "hooks,skills",
  );
  expect(changed).toMatchObject({
    scopes: ["message:send", "message:read", "agent:read"],
    features: { hooks: false, skills: false, mcp: true },
    limits: { burst: 5 },
  });
  const denied = await json<object>("profile", "set", "reader", "--deny", "message:send", "--on", "skills");
  expect(denied).toMatchObject({ scopes: ["message:read", "agent:read"], features: { skills: true } });
  expect(await json<object>("profile", "show", "reader")).toEqual(denied);
  const shown = await world.cli(["profile", "ls", "HOME"]);
  expect(shown.stdout).toMatch(/^reader +0 +5, then 60\/min +500 +8 +hooks +message:read agent:read$/m);
  const run = ["run", "exec", "--name", "ann", "--profile", "reader", "HOME", "--"];
  const told = await world.cli([...run, "sh", "-c", 'echo "$AGENT_RELAY_TOKEN_PROFILE"']);
  expect(told).toEqual({ code: 0, stdout: "reader\n", stderr: "" });
  expect(await refused("profile", "rm", "reader")).toEqual([
    1,
    "agent-relay: Remove profile 'reader': 1 agents have it; none was wanted\n",
  ]);
  const agent = await json<{ agent: object }>("agents", "profile", "ann", "default");
  expect(agent).toMatchObject({ agent: { name: "ann", profile: "default" } });
  expect(await json<object>("profile", "rm", "reader")).toMatchObject({ name: "reader" });
}, 30_000);

test("[C.40] an agent is removed, and its name is another's from then on", async () => {
  const run = ["run", "exec", "--name", "bea", "HOME"];
  expect((await world.cli([...run, "--", "true"])).code).toBe(0);
  const { agent } = await json<{ agent: { id: string } }>("agents", "rm", "bea");
  expect(await refused("agents", "rm", "bea")).toEqual([
    1,
    "agent-relay: Remove agent 'bea': there is no agent of that name that a runner can have\n",
  ]);
  expect((await world.cli([...run, "--takeover", "--", "true"])).code).toBe(0);
  const { agents } = await json<{ agents: { name: string; id: string }[] }>("agents");
  const named = agents.filter(({ name }) => name === "bea");
  expect(named).toEqual([expect.objectContaining({ id: expect.not.stringContaining(agent.id) })]);
}, 30_000);

test("[C.40] a host's token enrols, within what it was granted", async () => {
  const file = join(world.folder, "host.token");
  const made = await json<{ token: object }>(
    ...["token", "create", "--kind", "host", "--grant", "message:read", "--out", file],
  );
  expect(made).toMatchObject({ token: { kind: "host", grants: ["message:read"] } });
  expect(readFileSync(file, "utf8")).toStartWith("arl_hst_");
  const home = ["--home", join(world.folder, "barn")];
  const run = ["run", "exec", "--name", "cal", "--relay", url, "--token-file", file, ...home];
  expect(await world.cli([...run, "--", "true"])).toMatchObject({ code: 0, stderr: "" });
  const { tokens } = await json<{ tokens: { kind: string; agent?: string; scopes: string[] }[] }>(
    "token",
    "ls",
  );
  const held = tokens.find(({ kind, agent }) => kind === "agent" && agent === "cal");
  expect(held?.scopes).toEqual(["message:read"]);
}, 30_000);

test.each([
  [
    "a scope that no agent may hold",
    ["profile", "set", "x", "--allow", "token:admin"],
    "is no scope of agents",
  ],
  ["an unknown feature", ["profile", "set", "x", "--off", "wings"], "'wings' is no feature"],
  [
    "all scopes and changed ones",
    ["profile", "set", "x", "--scopes", "agent:read", "--deny", "agent:read"],
    "--scopes",
  ],
])("[C.4] %s is refused in one line", async (_, args, says) => {
  const [code, stderr] = await refused(...args);
  expect(code).toBe(2);
  expect(stderr.split("\n")).toHaveLength(2);
  expect(stderr).toContain(says);
});
