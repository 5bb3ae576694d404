/** What an agent's environment holds and what never gets into it. */
import { describe, expect, test } from "bun:test";
import { tokenText } from "../wire/token.ts";
import { holdsToken, listedEnvironment, scrubbedEnvironment } from "./environment.ts";

const token = tokenText("operator", new Uint8Array(32).fill(1));
const runnerToken = tokenText("runner", new Uint8Array(32).fill(2));
const proxies = { NO_PROXY: "127.0.0.1,localhost,::1", no_proxy: "127.0.0.1,localhost,::1" };

const dropped = [
  ["AGENT_RELAY_TOKEN", "x"],
  ["AGENT_RELAY_TOKEN_FILE", "/home/ada/operator.token"],
  ["AGENT_RELAY_TOKEN_JTI", "x"],
  ["AGENT_RELAY_SESSION_TOKEN", "x"],
  ["AGENT_RELAY_RUNNER_SECRET", "x"],
  ["AGENT_RELAY_MCP_URL", "x"],
  ["AGENT_RELAY_AGENT", "x"],
  ["MY_OWN_NAME", token],
  ["WRAPPED", `Bearer ${runnerToken}`],
  ["JSON", JSON.stringify({ token, other: 1 })],
  ["TWO", `${token}${runnerToken}`],
  ["CLAUDECODE", "1"],
  ["CLAUDE_CODE_ENTRYPOINT", "cli"],
  ["CLAUDE_CODE_SESSION_ID", "x"],
  ["CLAUDE_CODE_SESSION_ACCESS_TOKEN", "x"],
  ["CLAUDE_CODE_CHILD_SESSION", "1"],
  ["CLAUDE_CODE_MESSAGING_SOCKET", "/tmp/x"],
  ["CLAUDE_CODE_MESSAGING_TOKEN", "x"],
  ["CLAUDE_CODE_SSE_PORT", "1"],
  ["CLAUDE_PID", "1"],
  ["CLAUDE_ENV_FILE", "/tmp/x"],
  ["CLAUDE_PROJECT_DIR", "/work"],
  ["CLAUDE_PLUGIN_ROOT", "/work"],
] as const;

const kept = [
  ["PATH", "/bin:/usr/bin"],
  ["HOME", "/home/ada"],
  ["ANTHROPIC_API_KEY", "sk-1"],
  ["OPENAI_API_KEY", "sk-2"],
  ["CLAUDE_CODE_OAUTH_TOKEN", "login"],
  ["CLAUDE_CODE_USE_BEDROCK", "1"],
  ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"],
  ["CLAUDE_CODE_SESSIONEND_HOOKS_TIMEOUT_MS", "5000"],
  ["CLAUDE_CODE_TMPDIR", "/scratch"],
  ["CLAUDE_CONFIG_DIR", "/home/ada/.claude"],
  ["CODEX_HOME", "/home/ada/.codex"],
  ["AGENT_RELAY_HOME", "/home/ada/.agent-relay"],
  ["HTTPS_PROXY", "http://proxy:3128"],
  ["SSH_AUTH_SOCK", "/tmp/ssh"],
  ["NOT_QUITE", `${token.slice(0, -1)}x`],
  ["EMPTY", ""],
] as const;

describe("for run", () => {
  test.each([...dropped])("P4: %s is dropped", (name, value) => {
    expect(scrubbedEnvironment({ [name]: value })).toEqual(proxies);
  });

  test.each([...kept])("%s is kept", (name, value) => {
    expect(scrubbedEnvironment({ [name]: value })).toEqual({ [name]: value, ...proxies });
  });
});

describe("for a host", () => {
  const environment = {
    PATH: "/bin",
    HOME: "/home/ada",
    LC_ALL: "C",
    LANG: token,
    ANTHROPIC_API_KEY: "sk-1",
    SOMETHING: "x",
    AGENT_RELAY_TOKEN: "x",
    CLAUDECODE: "1",
    UNSET: undefined,
  };

  test("only what is listed is passed on", () => {
    const passed = { PATH: "/bin", HOME: "/home/ada", LC_ALL: "C", ...proxies };
    expect(listedEnvironment(environment, [])).toEqual(passed);
  });

  test("the machine's configuration adds names, but never a credential of ours or an outer session", () => {
    const also = ["ANTHROPIC_API_KEY", "AGENT_RELAY_TOKEN", "CLAUDECODE", "UNSET"];
    expect(listedEnvironment(environment, also)).toEqual({
      PATH: "/bin",
      HOME: "/home/ada",
      LC_ALL: "C",
      ANTHROPIC_API_KEY: "sk-1",
      ...proxies,
    });
  });
});

describe("loopback joins NO_PROXY", () => {
  const ours = "127.0.0.1,localhost,::1";
  const cases: [string, Record<string, string>, string, string][] = [
    ["neither is set", {}, ours, ours],
    ["upper case only", { NO_PROXY: "corp, .lan" }, `corp,.lan,${ours}`, `corp,.lan,${ours}`],
    ["lower case only", { no_proxy: "corp" }, `corp,${ours}`, `corp,${ours}`],
    ["both, and they differ", { NO_PROXY: "a", no_proxy: "b" }, `a,${ours}`, `b,${ours}`],
    [
      "it is there already",
      { NO_PROXY: "localhost,a" },
      "localhost,a,127.0.0.1,::1",
      "localhost,a,127.0.0.1,::1",
    ],
    ["everything is direct", { NO_PROXY: "*" }, "*", "*"],
  ];
  test.each(cases)("%s", (_, environment, upper, lower) => {
    expect(scrubbedEnvironment(environment)).toEqual({ NO_PROXY: upper, no_proxy: lower });
  });
});

test("a token is found anywhere in a text, a look-alike is not one", () => {
  expect(holdsToken(token)).toBe(true);
  expect(holdsToken(`x${token}y`)).toBe(true);
  expect(holdsToken(`${token.slice(0, -6)}000000`)).toBe(false);
  expect(holdsToken("")).toBe(false);
});
