/** Codex. Settings go in by `-c` as TOML; the secret is named by its environment variable. */
import { agentEnvironment } from "./environment.ts";
import { type LaunchPlan, type LaunchRequest, mcpServerName } from "./launch.ts";
import { openNoSession } from "./no-session.ts";
import type { Session, SessionOptions } from "./session.ts";
import { tomlString } from "./toml.ts";

export const name = "codex";

const installation = "install Codex with 'npm install -g @openai/codex' and start it once to log in";

/** The command that starts Codex. */
export function launch(request: LaunchRequest): LaunchPlan {
  const env = agentEnvironment(request);
  const path = request.find(request.settings.program ?? "codex", env.PATH ?? "", request.cwd);
  if (typeof path !== "string")
    return { status: "refused", reason: `${path.error.message}; ${installation}` };
  const ours = request.features.mcp ? mcpArguments(request) : [];
  return {
    status: "ready",
    command: [path, ...ours, ...(request.settings.args ?? []), ...request.args],
    env,
  };
}

/** The session of the started program. */
export function openSession(options: SessionOptions): Session {
  return openNoSession(options, launch);
}

function mcpArguments({ session, toolCallMs, mcpStartMs }: LaunchRequest): string[] {
  const server = `mcp_servers.${mcpServerName}`;
  const settings = [
    `${server}.url=${tomlString(session.mcpUrl)}`,
    `${server}.bearer_token_env_var=${tomlString(session.sessionToken.name)}`,
    // Without this, calls are refused when the person's approval policy is `never`.
    `${server}.default_tools_approval_mode="approve"`,
    `${server}.tool_timeout_sec=${seconds(toolCallMs)}`,
    `${server}.startup_timeout_sec=${seconds(mcpStartMs)}`,
    // Without this, Codex never asks for the list of tools again.
    "features.mcp_tool_list_changed=true",
  ];
  return settings.flatMap((setting) => ["-c", setting]);
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1_000);
}
