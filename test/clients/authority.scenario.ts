/**
 * What changes at the relay while two real clients run: scopes, which change the tools that the model is offered, and the
 * agent's token, which nobody notices. And where secrets are to be found while they run: only in files of their owner.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { readProcFolder, treeOf } from "../../src/base/process-table.ts";
import { until } from "../e2e/kit.ts";
import { bareName } from "./brain.ts";
import type { ModelRequest } from "./model-log.ts";
import { watchNetwork } from "./network.ts";
import { type ClientName, clientNames, openRig, type Rig } from "./rig.ts";

const network = await watchNetwork();
const waitMs = 45_000;
let rig: Rig;
beforeEach(async () => {
  rig = await openRig();
});
afterEach(() => rig.close());

const operator = (...args: string[]) =>
  rig.world.cli([
    ...args,
    ...["--relay", rig.relayUrl, "--token-file", join(rig.world.home, "operator.token"), "HOME"],
  ]);
/** Our tools in the request in which the model saw these words first. */
async function toolsAt(client: ClientName, words: string): Promise<string[]> {
  await rig.send("ada", words);
  const request = await until(`the model has ${words}`, () => rig.seenBy(client, words)[0], waitMs);
  return request.tools.map(bareName).filter((name) => name.startsWith("relay_"));
}

/** What of a conversation shows the change; each look is a turn, because a client shows its tools only then. */
function onceShown(client: ClientName, shown: (request: ModelRequest) => boolean): Promise<ModelRequest> {
  const look = async () => {
    const words = `words ${crypto.randomUUID()}`;
    await toolsAt(client, words);
    return rig.seenBy(client, words).find(shown);
  };
  return until("the change is shown to the model", look, waitMs);
}
const setAgentRead = async (how: "--allow" | "--deny") =>
  expect((await operator("profile", "set", "default", how, "agent:read")).code).toBe(0);
const lists = ({ tools }: ModelRequest) => tools.map(bareName).includes("relay_list_agents");
const reads = (words: RegExp) => (request: ModelRequest) =>
  request.items.some((item) => item.kind === "text" && words.test(item.text));

test("P3: codex offers its model exactly what the scopes allow now", async () => {
  await rig.headless("ada", "codex");
  const before = await toolsAt("codex", "first words");
  expect(before).toContain("relay_list_agents");
  await setAgentRead("--deny");
  const narrowed = await onceShown("codex", (request) => !lists(request));
  expect(narrowed.tools.map(bareName)).toContain("relay_reply");
  await setAgentRead("--allow");
  expect(lists(await onceShown("codex", lists))).toBe(true);
});

test("P3: claude tells its model which tools have come and gone, and keeps the list of its request as it was", async () => {
  await setAgentRead("--deny");
  await rig.headless("ada", "claude");
  expect(await toolsAt("claude", "first words")).not.toContain("relay_list_agents");
  await setAgentRead("--allow");
  await onceShown("claude", reads(/now available[\s\S]*relay_list_agents/));
  await setAgentRead("--deny");
  await onceShown("claude", reads(/no longer available[\s\S]*relay_list_agents/));
});

test("P3: claude may still call a tool that is gone from the list: it is refused, with the reason", async () => {
  await rig.headless("ada", "claude");
  expect(await toolsAt("claude", "first words")).toContain("relay_list_agents");
  await setAgentRead("--deny");
  await Bun.sleep(2_000);
  await rig.send("ada", "DO relay_list_agents");
  const model = rig.models.claude;
  const results = (request: ModelRequest) =>
    request.items.flatMap((item) => (item.kind === "result" ? [item.text] : []));
  const last = await until(
    "the call is over",
    () => model.requests.find((one) => results(one).length > 0),
    waitMs,
  );
  expect(results(last)).toEqual([expect.stringMatching(/relay_list_agents/)]);
  expect(results(last).join("")).not.toContain("lastSeenAt");
});

describe.each([...clientNames])("%s", (client) => {
  test("P4: the agent's token is ended in the middle of a turn: the next call works", async () => {
    const pause = {
      claude: 'DO Bash {"command":"sleep 6; echo slept","description":"sleep"}',
      codex: 'DO exec_command {"cmd":"sleep 6; echo slept"}',
    }[client];
    await rig.headless("ada", client, {
      task: ["DO relay_list_agents", pause, "DO relay_list_channels"].join("\n"),
    });
    const model = rig.models[client];
    await until(
      "it pauses",
      () => model.requests.find(({ move }) => JSON.stringify(move).includes("sleep 6")),
      waitMs,
    );
    const { tokens } = JSON.parse((await operator("token", "ls", "--json")).stdout) as {
      tokens: { id: string; kind: string; revokedAt?: string }[];
    };
    const [held] = tokens.filter(({ kind, revokedAt }) => kind === "agent" && revokedAt === undefined);
    expect((await operator("token", "revoke", held?.id ?? "")).code).toBe(0);
    const last = await until(
      "the turn is over",
      () => model.requests.find(({ move }) => move.kind === "say"),
      waitMs,
    );
    const results = last.items.flatMap((item) => (item.kind === "result" ? [item.text] : []));
    expect(results).toHaveLength(3);
    expect(results[2]).toContain("channels");
    expect(results[2]).not.toMatch(/401|unauthori[sz]ed|revoked|unreachable/i);
  });

  test("P4: secrets are in files of their owner only, and the relay's token in no environment", async () => {
    const shell = {
      claude: 'DO Bash {"command":"echo here","description":"echo"}',
      codex: 'DO exec_command {"cmd":"echo here"}',
    }[client];
    const run = await rig.headless("ada", client, { task: `DO relay_list_agents\n${shell}` });
    await until(
      "a turn is over",
      () => rig.models[client].requests.find(({ move }) => move.kind === "say"),
      waitMs,
    );
    const kept = secretsBelow(rig.world.home);
    expect(kept.tokens.length).toBeGreaterThanOrEqual(2);
    expect(kept.others.length).toBeGreaterThanOrEqual(2);
    expect(kept.modes).toEqual([]);
    const everything = [...kept.tokens, ...kept.others];
    const processes = treeOf(run.pid, readProcFolder() ?? []).map(({ pid }) => pid);
    const commands = allProcesses().map((pid) => readOr(`/proc/${pid}/cmdline`));
    expect(everything.filter((secret) => commands.some((text) => text.includes(secret)))).toEqual([]);
    const environments = processes
      .filter((pid) => pid !== run.pid)
      .map((pid) => readOr(`/proc/${pid}/environ`));
    expect(environments.join("")).not.toMatch(/arl_(?:opr|hst|run|agt)_/);
    // The endpoint's secret is the agent's own; without it nothing of this test would have looked.
    expect(everything.some((secret) => environments.some((text) => text.includes(secret)))).toBe(true);
    const written = [...textsBelow(rig.person.home), run.stderr(), run.lines().join("\n")];
    expect(everything.filter((secret) => written.some((text) => text.includes(secret)))).toEqual([]);
    const sent = rig.models[client].requests.map(({ raw }) => raw);
    expect(everything.filter((secret) => sent.some((text) => text.includes(secret)))).toEqual([]);
  });
});

test("no host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
});

/** Every secret below our home, and the files that hold one and can be read by others. */
function secretsBelow(home: string): { tokens: string[]; others: string[]; modes: string[] } {
  const tokens = new Set<string>();
  const others = new Set<string>();
  const modes: string[] = [];
  for (const { path, text } of filesBelow(home)) {
    const found = text.match(/arl_(?:opr|hst|run|agt)_[A-Za-z0-9_-]{43}[0-9a-f]{6}/g) ?? [];
    const secret = path.endsWith(".secret") ? text.trim() : undefined;
    for (const token of found) tokens.add(token);
    if (secret !== undefined) others.add(secret);
    const holds = found.length > 0 || secret !== undefined;
    if (holds && (statSync(path).mode & 0o077) !== 0) modes.push(path);
  }
  return { tokens: [...tokens], others: [...others], modes };
}

function filesBelow(folder: string): { path: string; text: string }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, text: readOr(path) }));
}

function textsBelow(folder: string): string[] {
  return filesBelow(folder).map(({ text }) => text);
}

function allProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The text, or nothing of what has just gone. */
function readOr(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
