/** The exact commands and environments that providers are started with, frozen as literals. */
import { describe, expect, test } from "bun:test";
import { tokenText } from "../wire/token.ts";
import * as claude from "./claude.ts";
import * as codex from "./codex.ts";
import * as exec from "./exec.ts";
import { playedRequest, playedSecret } from "./played-request.ts";
import { type LaunchPlan, type LaunchRequest, type ProviderName, providerNames } from "./provider.ts";
import { isProviderName, providers } from "./providers.ts";
import { tomlString } from "./toml.ts";

const secret = playedSecret;
const request: LaunchRequest = {
  ...playedRequest,
  session: { ...playedRequest.session, approval: "ask" },
  mode: "terminal",
  args: ["one", "--two"],
};

function ready(plan: LaunchPlan) {
  if (plan.status !== "ready") throw new Error(plan.reason);
  return plan;
}
const launch = (name: ProviderName, change: Partial<LaunchRequest> = {}) =>
  ready(providers[name].launch({ ...request, ...change }));

/** Frozen: what a person sees in the list of processes, and what the programs were measured to accept. */
const commands = {
  claude: [
    "/opt/claude",
    `--mcp-config={"mcpServers":{"agent-relay":{"type":"http","url":"http://127.0.0.1:41000/mcp","headers":{"Authorization":"Bearer \${AGENT_RELAY_SESSION_TOKEN}"},"timeout":300000,"alwaysLoad":true}}}`,
    "one",
    "--two",
  ],
  exec: ["/opt/one", "--two"],
};
const environment = {
  PATH: "/bin",
  HOME: "/home/ada",
  NO_PROXY: "127.0.0.1,localhost,::1",
  no_proxy: "127.0.0.1,localhost,::1",
  AGENT_RELAY_MCP_URL: "http://127.0.0.1:41000/mcp",
  AGENT_RELAY_SESSION_TOKEN: secret,
  AGENT_RELAY_AGENT: "ada",
  AGENT_RELAY_URL: "http://127.0.0.1:4850",
  AGENT_RELAY_APPROVAL: "ask",
  AGENT_RELAY_TOKEN_JTI: "jti-1",
  AGENT_RELAY_TOKEN_PROFILE: "default",
  AGENT_RELAY_TOKEN_EXPIRES_AT: "2026-01-01T00:00:00.000Z",
  AGENT_RELAY_WORKSPACE_MODE: "shared",
};

test("all providers export the same names", () => {
  expect(Object.keys(codex)).toEqual(Object.keys(claude));
  expect(Object.keys(exec)).toEqual(Object.keys(claude));
});

/** Codex's are frozen beside its own file: its command is that of its app-server. */
describe.each(["claude", "exec"] as const)("%s", (name) => {
  test("its command and environment are exactly these", () => {
    expect(launch(name).command).toEqual(commands[name]);
    expect(launch(name).env).toEqual(environment);
  });

  test("arguments of the machine's settings come before the person's", () => {
    const plan = launch(name, { settings: { program: "other", args: ["--model", "m"] } });
    expect(plan.command[0]).toBe("/opt/other");
    expect(plan.command.slice(-4)).toEqual(["--model", "m", "one", "--two"]);
  });
});

describe.each([...providerNames])("%s", (name) => {
  test("is found by its name", () => {
    expect(isProviderName(name)).toBe(true);
    expect(providers[name].name).toBe(name);
  });

  test("P4: no secret is in the command", () => {
    const direct = tokenText("agent", new Uint8Array(32).fill(7));
    for (const value of [secret, direct]) {
      const session = { ...request.session, sessionToken: { ...request.session.sessionToken, value } };
      const plan = launch(name, { session });
      expect(plan.command.join("\0")).not.toContain(value);
      expect(plan.env.AGENT_RELAY_SESSION_TOKEN).toBe(value);
    }
  });

  test("with MCP off in the profile it gets neither endpoint nor secret", () => {
    const plan = launch(name, { features: { ...request.features, mcp: false } });
    expect(plan.command.join(" ")).not.toContain("mcp");
    expect(Object.keys(plan.env)).not.toContain("AGENT_RELAY_MCP_URL");
    expect(Object.values(plan.env)).not.toContain(secret);
  });

  test("settings of the machine: another program; environment below the session's", () => {
    const env = {
      EXTRA: "1",
      AGENT_RELAY_TOKEN: "mine",
      AGENT_RELAY_SESSION_TOKEN: "mine",
      no_proxy: "corp",
    };
    const plan = launch(name, { settings: { program: "other", args: ["--model", "m"], env } });
    expect(plan.command[0]).toBe("/opt/other");
    expect(plan.env).toEqual({
      ...environment,
      EXTRA: "1",
      NO_PROXY: "corp,127.0.0.1,localhost,::1",
      no_proxy: "corp,127.0.0.1,localhost,::1",
    });
  });

  test("a program that is not there is refused by name", () => {
    const error = new Error("Start it: there is no such program on PATH");
    const plan = providers[name].launch({ ...request, find: () => ({ error }) });
    expect(plan).toMatchObject({ status: "refused", reason: expect.stringContaining(error.message) });
  });
});

const installations: [ProviderName, string][] = [
  ["claude", "npm install -g @anthropic-ai/claude-code"],
  ["codex", "npm install -g @openai/codex"],
];
test.each(installations)("%s says how it is installed", (name, text) => {
  const plan = providers[name].launch({ ...request, find: () => ({ error: new Error("gone") }) });
  expect(plan).toMatchObject({ reason: expect.stringContaining(text) });
});

test("exec without a program is refused", () => {
  expect(providers.exec.launch({ ...request, args: [] })).toEqual({
    status: "refused",
    reason: "Start a program: none was given; write it after '--'",
  });
});

const strings: [string, string][] = [
  ["plain", '"plain"'],
  ['say "hi"', '"say \\"hi\\""'],
  ["back\\slash", '"back\\\\slash"'],
  ["tab\tnew\nline", '"tab\\tnew\\nline"'],
  ["\u0000\u001b\u007f", '"\\u0000\\u001b\\u007f"'],
  ["é 漢 😀", '"é 漢 😀"'],
  ["half \ud83d", '"half \ufffd"'],
];
test.each(strings)("TOML string %j", (text, toml) => {
  expect(tomlString(text)).toBe(toml);
  expect(Bun.TOML.parse(`x = ${toml}`)).toEqual({ x: text.toWellFormed() });
});
