/** The exact commands and environments of Codex, frozen as literals, feature by feature. */
import { describe, expect, test } from "bun:test";
import type { LaunchPlan, LaunchRequest } from "../launch.ts";
import { playedRequest, playedSecret } from "../played-request.ts";
import { remoteTokenName, serverPlan, splitArguments, terminalPlan } from "./launch.ts";

const request = playedRequest;
const secret = playedSecret;
const mcp = [
  ...["-c", 'mcp_servers.agent-relay.url="http://127.0.0.1:41000/mcp"'],
  ...["-c", 'mcp_servers.agent-relay.bearer_token_env_var="AGENT_RELAY_SESSION_TOKEN"'],
  ...["-c", 'mcp_servers.agent-relay.default_tools_approval_mode="approve"'],
  ...["-c", "mcp_servers.agent-relay.tool_timeout_sec=300"],
  ...["-c", "mcp_servers.agent-relay.startup_timeout_sec=20"],
  ...["-c", "features.mcp_tool_list_changed=true"],
  ...["-c", 'shell_environment_policy.set.AGENT_RELAY_SESSION_TOKEN=""'],
];
const remote = { url: "ws://127.0.0.1:42000", token: "t0ken", resume: undefined };

function ready(plan: LaunchPlan) {
  if (plan.status !== "ready") throw new Error(plan.reason);
  return plan;
}
const server = (change: Partial<LaunchRequest> = {}) => ready(serverPlan({ ...request, ...change }));
const terminal = (change: Partial<LaunchRequest> = {}, resume?: string) =>
  ready(terminalPlan({ ...request, mode: "terminal", ...change }, { ...remote, resume }));

describe("the app-server", () => {
  test("without an address it speaks on its standard streams", () => {
    expect(server().command).toEqual(["/opt/codex", "app-server", ...mcp]);
  });

  test("with a token hash it listens on loopback and asks for the token", () => {
    expect(ready(serverPlan(request, "ab12")).command).toEqual([
      ...["/opt/codex", "app-server", "--listen", "ws://127.0.0.1:0"],
      ...["--ws-auth", "capability-token", "--ws-token-sha256", "ab12"],
      ...mcp,
    ]);
  });

  test("settings of the machine, each only when it is there", () => {
    const settings = {
      ...{ program: "other", args: ["--enable", "a"], model: "m", effort: "high" },
      ...{ approval: "never", sandbox: "read-only", toolOutputTokens: 50_000 },
    };
    const { command } = server({
      settings,
      args: ["-c", "b=1", "--disable=c"],
      features: { ...request.features, mcp: false },
    });
    expect(command).toEqual([
      ...["/opt/other", "app-server", "-c", 'model="m"', "-c", 'model_reasoning_effort="high"'],
      ...["-c", 'approval_policy="never"', "-c", 'sandbox_mode="read-only"'],
      ...["-c", "tool_output_token_limit=50000"],
      ...["--enable", "a", "-c", "b=1", "--disable", "c"],
    ]);
  });

  test("instructions stand behind the person's own settings, whose place they take", () => {
    const { command } = server({ instructions: 'You are "ada".', args: ["-c", "b=1", "do it"] });
    expect(command.slice(2 + mcp.length)).toEqual([
      ...["-c", "b=1", "-c", 'developer_instructions="You are \\"ada\\"."', "do it"],
    ]);
  });

  test("with MCP off it gets neither endpoint nor secret nor instructions", () => {
    const { command, env } = server({
      instructions: "You are ada.",
      features: { ...request.features, mcp: false },
    });
    expect(command).toEqual(["/opt/codex", "app-server"]);
    expect(Object.keys(env)).not.toContain("AGENT_RELAY_SESSION_TOKEN");
  });

  test("beside a terminal it gets the settings, and the terminal the rest", () => {
    const args = ["-m", "gpt", "fix it", "--search"];
    expect(server({ mode: "terminal", args }).command).toEqual([
      ...["/opt/codex", "app-server", ...mcp],
      ...["-c", 'model="gpt"'],
    ]);
    expect(terminal({ args }).command.slice(-4)).toEqual(args);
  });
});

describe("the terminal", () => {
  test("is attached, and its token is in the environment only", () => {
    const { command, env } = terminal();
    expect(command).toEqual([
      ...["/opt/codex", "--remote", "ws://127.0.0.1:42000"],
      ...["--remote-auth-token-env", "AGENT_RELAY_CODEX_TOKEN"],
    ]);
    expect(env[remoteTokenName]).toBe("t0ken");
  });

  test("P4: it needs no secret of the MCP endpoint and gets none", () => {
    expect(Object.values(terminal().env)).not.toContain(secret);
    expect(server().env.AGENT_RELAY_SESSION_TOKEN).toBe(secret);
  });

  test("a conversation goes on", () => {
    expect(terminal({}, "01a2").command.slice(0, 4)).toEqual(["/opt/codex", "resume", "01a2", "--remote"]);
  });
});

test("a program that is not there says how it is installed", () => {
  const find = () => ({ error: new Error("Start codex: there is no such program") });
  const expected = {
    status: "refused" as const,
    reason:
      "Start codex: there is no such program; install Codex with 'npm install -g @openai/codex' and start it once to log in",
  };
  expect(serverPlan({ ...request, find })).toEqual(expected);
  expect(terminalPlan({ ...request, find }, remote)).toEqual(expected);
});

const splits: [string[], string[], string[]][] = [
  [["--model=gpt"], ["-c", 'model="gpt"'], []],
  [
    ["-a", "never", "-s", "read-only"],
    ["-c", 'approval_policy="never"', "-c", 'sandbox_mode="read-only"'],
    [],
  ],
  [["--config", "x=1", "do it"], ["--config", "x=1"], ["do it"]],
  [["--search", "--", "-c", "x"], [], ["--search", "--", "-c", "x"]],
  [["-c"], [], ["-c"]],
];
test.each(splits)("arguments %j are split into settings and the rest", (args, config, rest) => {
  expect(splitArguments(args)).toEqual({ config, rest });
});
