/** Claude Code. The MCP server is added to those that the person has; its secret is expanded from the environment. */
import { agentEnvironment } from "./environment.ts";
import { type LaunchPlan, type LaunchRequest, mcpServerName } from "./launch.ts";
import { openNoSession } from "./no-session.ts";
import type { Session, SessionOptions } from "./session.ts";

export const name = "claude";

const installation =
  "install Claude Code with 'npm install -g @anthropic-ai/claude-code' and start it once to log in";

/** The command that starts Claude Code. */
export function launch(request: LaunchRequest): LaunchPlan {
  const env = agentEnvironment(request);
  const path = request.find(request.settings.program ?? "claude", env.PATH ?? "", request.cwd);
  if (typeof path !== "string")
    return { status: "refused", reason: `${path.error.message}; ${installation}` };
  const ours = request.features.mcp ? [mcpArgument(request)] : [];
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

function mcpArgument({ session, toolCallMs }: LaunchRequest): string {
  const server = {
    type: "http",
    url: session.mcpUrl,
    headers: { Authorization: `Bearer \${${session.sessionToken.name}}` },
    timeout: toolCallMs,
    // Otherwise the model sees the tools only after it has searched for them.
    alwaysLoad: true,
  };
  // One argument with `=`: the option takes any number of values and would swallow a prompt that follows it.
  return `--mcp-config=${JSON.stringify({ mcpServers: { [mcpServerName]: server } })}`;
}
