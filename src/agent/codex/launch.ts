/**
 * The commands of Codex: the app-server that holds the conversation, and a person's terminal that is attached to it.
 * Settings go in by `-c` as TOML; a secret is named by its environment variable, and the app-server knows only the hash.
 */
import { agentEnvironment } from "../environment.ts";
import { type LaunchPlan, type LaunchRequest, mcpServerName } from "../launch.ts";
import { tomlString } from "../toml.ts";

const installation = "install Codex with 'npm install -g @openai/codex' and start it once to log in";

/** The variable by which a terminal gets the app-server's token. */
export const remoteTokenName = "AGENT_RELAY_CODEX_TOKEN";

/** Options of the terminal that are settings of the conversation, and their keys. */
const settingOptions: Readonly<Record<string, string>> = {
  "-m": "model",
  "--model": "model",
  "-s": "sandbox_mode",
  "--sandbox": "sandbox_mode",
  "-a": "approval_policy",
  "--ask-for-approval": "approval_policy",
};
const configOptions = ["-c", "--config", "--enable", "--disable"];

/**
 * The app-server.
 * @param tokenHash SHA-256 of the token it is to ask for, hex; without one it speaks on its standard streams only
 */
export function serverPlan(request: LaunchRequest, tokenHash?: string): LaunchPlan {
  const env = agentEnvironment(request);
  const path = programOf(request, env);
  if (typeof path !== "string")
    return { status: "refused", reason: `${path.error.message}; ${installation}` };
  const listen =
    tokenHash === undefined
      ? []
      : ["--listen", "ws://127.0.0.1:0", "--ws-auth", "capability-token", "--ws-token-sha256", tokenHash];
  const theirs = splitArguments(personsArguments(request));
  const rest = request.mode === "headless" ? theirs.rest : [];
  const ours = settingsOf(request).flatMap((setting) => ["-c", setting]);
  return {
    status: "ready",
    command: [path, "app-server", ...listen, ...ours, ...theirs.config, ...instructionsOf(request), ...rest],
    env,
  };
}

/**
 * A person's terminal at the app-server.
 * @param remote its address, the token it asks for, and the conversation that is to go on
 */
export function terminalPlan(
  request: LaunchRequest,
  remote: { url: string; token: string; resume: string | undefined },
): LaunchPlan {
  const { [request.session.sessionToken.name]: _, ...env } = agentEnvironment(request);
  const path = programOf(request, env);
  if (typeof path !== "string")
    return { status: "refused", reason: `${path.error.message}; ${installation}` };
  const resume = remote.resume === undefined ? [] : ["resume", remote.resume];
  const way = ["--remote", remote.url, "--remote-auth-token-env", remoteTokenName];
  return {
    status: "ready",
    command: [path, ...resume, ...way, ...personsArguments(request)],
    env: { ...env, [remoteTokenName]: remote.token },
  };
}

function programOf(request: LaunchRequest, env: Record<string, string>): string | { error: Error } {
  return request.find(request.settings.program ?? "codex", env.PATH ?? "", request.cwd);
}

function personsArguments({ settings, args }: LaunchRequest): string[] {
  return [...(settings.args ?? []), ...args];
}

/** The arguments that the app-server understands, as it wants them; the rest is the terminal's. */
export function splitArguments(args: readonly string[]): { config: string[]; rest: string[] } {
  const config: string[] = [];
  const rest: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const argument = args[at] ?? "";
    if (argument === "--") return { config, rest: [...rest, ...args.slice(at)] };
    const equals = argument.startsWith("--") ? argument.indexOf("=") : -1;
    const option = equals === -1 ? argument : argument.slice(0, equals);
    const key = settingOptions[option];
    if (key === undefined && !configOptions.includes(option)) {
      rest.push(argument);
      continue;
    }
    if (equals === -1) at += 1;
    const value = equals === -1 ? args[at] : argument.slice(equals + 1);
    if (value === undefined) rest.push(argument);
    else if (key === undefined) config.push(option, value);
    else config.push("-c", `${key}=${tomlString(value)}`);
  }
  return { config, rest };
}

/** Behind the person's own settings: they hold the person's instructions too (`instructions.ts`). */
function instructionsOf({ features, instructions }: LaunchRequest): string[] {
  if (!features.mcp || instructions === "") return [];
  return ["-c", `developer_instructions=${tomlString(instructions)}`];
}

/** Each setting is there only when its feature is on, or the machine's configuration has it. */
function settingsOf(request: LaunchRequest): string[] {
  const { settings } = request;
  const own: (readonly [string, string | undefined])[] = [
    ["model", settings.model],
    ["model_reasoning_effort", settings.effort],
    ["approval_policy", settings.approval],
    ["sandbox_mode", settings.sandbox],
  ];
  const tokens = settings.toolOutputTokens;
  return [
    ...(request.features.mcp ? mcpSettings(request) : []),
    ...own.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${tomlString(value)}`])),
    ...(tokens === undefined ? [] : [`tool_output_token_limit=${tokens}`]),
  ];
}

function mcpSettings({ session, toolCallMs, mcpStartMs }: LaunchRequest): string[] {
  const server = `mcp_servers.${mcpServerName}`;
  return [
    `${server}.url=${tomlString(session.mcpUrl)}`,
    `${server}.bearer_token_env_var=${tomlString(session.sessionToken.name)}`,
    // Without this, calls are refused when the person's approval policy is `never`.
    `${server}.default_tools_approval_mode="approve"`,
    `${server}.tool_timeout_sec=${seconds(toolCallMs)}`,
    `${server}.startup_timeout_sec=${seconds(mcpStartMs)}`,
    // Without this, Codex never asks for the list of tools again.
    "features.mcp_tool_list_changed=true",
    // Codex writes the environment of its shells to a file that others may read; the agent's commands need no secret.
    `shell_environment_policy.set.${session.sessionToken.name}=""`,
  ];
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1_000);
}
