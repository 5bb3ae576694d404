/** Claude Code's arguments, frozen: one row for each feature and setting, on and off. */
import { describe, expect, test } from "bun:test";
import { agentEnvironment } from "../environment.ts";
import type { LaunchRequest } from "../launch.ts";
import { playedRequest, playedSecret } from "../played-request.ts";
import { claudeArguments } from "./arguments.ts";

const request: LaunchRequest = {
  ...playedRequest,
  mode: "terminal",
  conversation: { id: "c1", resume: false },
  instructions: "You are 'ada'.",
  aids: { plugins: "/app/plugins/claude", program: "/app/bin/agent-relay", folder: "/home/ada/r" },
};

const mcp = `--mcp-config={"mcpServers":{"agent-relay":{"type":"http","url":"http://127.0.0.1:41000/mcp","headers":{"Authorization":"Bearer \${AGENT_RELAY_SESSION_TOKEN}"},"timeout":300000,"alwaysLoad":true}}}`;
const skills = "--plugin-dir=/app/plugins/claude/skills";
const hooks = "--plugin-dir=/app/plugins/claude/hooks";
const inbox = '"crossSessionInbound":"accept"';
const line = `"statusLine":{"type":"command","command":"\\"$AGENT_RELAY_PROGRAM\\" hook status-line"}`;
const prompt = "--append-system-prompt=You are 'ada'.";
const begin = "--session-id=c1";
const streams = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
const on = request.features;

const rows: [string, Partial<LaunchRequest>, string[]][] = [
  ["everything", {}, [mcp, skills, hooks, `--settings={${inbox},${line}}`, prompt, begin]],
  [
    "headless: streams, no status line, no inbox",
    { mode: "headless" },
    [...streams, mcp, skills, hooks, prompt, begin],
  ],
  [
    "resumed",
    { conversation: { id: "c1", resume: true } },
    [mcp, skills, hooks, `--settings={${inbox},${line}}`, prompt, "--resume=c1"],
  ],
  [
    "mcp off: no tools, nothing that speaks of them",
    { features: { ...on, mcp: false } },
    [hooks, `--settings={${inbox},${line}}`, begin],
  ],
  [
    "skills off",
    { features: { ...on, skills: false } },
    [mcp, hooks, `--settings={${inbox},${line}}`, prompt, begin],
  ],
  [
    "hooks off: no inbox either",
    { features: { ...on, hooks: false } },
    [mcp, skills, `--settings={${line}}`, prompt, begin],
  ],
  [
    "status line off",
    { features: { ...on, statusLine: false } },
    [mcp, skills, hooks, `--settings={${inbox}}`, prompt, begin],
  ],
  ["all off", { features: { mcp: false, skills: false, statusLine: false, hooks: false } }, [begin]],
  ["no instructions", { instructions: "" }, [mcp, skills, hooks, `--settings={${inbox},${line}}`, begin]],
  ["no program of ours", { aids: { plugins: "/app/plugins/claude" } }, [mcp, skills, prompt, begin]],
  [
    "a conversation of the person's",
    { args: ["--continue"] },
    [mcp, skills, hooks, `--settings={${inbox},${line}}`, prompt],
  ],
  ["settings of the person's", { args: ["--settings=mine.json"] }, [mcp, skills, hooks, prompt, begin]],
  [
    "a prompt of the person's",
    { args: ["--append-system-prompt", "mine"] },
    [mcp, skills, hooks, `--settings={${inbox},${line}}`, begin],
  ],
  [
    "settings of the machine",
    {
      features: { ...on, mcp: false, hooks: false, statusLine: false },
      settings: { model: "m", effort: "high", approval: "plan" },
    },
    [begin, "--model=m", "--effort=high", "--permission-mode=plan"],
  ],
];

test.each(rows)("%s", (_, change, wanted) => {
  expect(claudeArguments({ ...request, ...change })).toEqual(wanted);
});

test("a turn that the person's arguments resume is no resume of ours", () => {
  expect(claudeArguments({ ...request, args: ["-r", "x"] }).join(" ")).not.toContain("c1");
});

describe("environment", () => {
  test("hooks and status line find the runner by it", () => {
    expect(agentEnvironment(request)).toMatchObject({
      AGENT_RELAY_PROGRAM: "/app/bin/agent-relay",
      AGENT_RELAY_RUNNER: "/home/ada/r",
    });
  });

  test("with both off nothing of it is there, also when an outer session had it", () => {
    const env = agentEnvironment({ ...request, features: { ...on, hooks: false, statusLine: false } });
    expect(Object.keys(env).filter((name) => /_(?:PROGRAM|RUNNER)$/.test(name))).toEqual([]);
  });

  test("P4: the secret is in one variable and in no argument", () => {
    const env = agentEnvironment(request);
    expect(Object.entries(env).filter(([, value]) => value.includes(playedSecret))).toEqual([
      ["AGENT_RELAY_SESSION_TOKEN", playedSecret],
    ]);
    expect(claudeArguments(request).join(" ")).not.toContain(playedSecret);
  });
});
