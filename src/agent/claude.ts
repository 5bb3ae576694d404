/** Claude Code: what is added to the person's own command, and the two ways in which a running session is driven. */
import { claudeArguments } from "./claude/arguments.ts";
import { openHeadlessSession } from "./claude/headless.ts";
import { openTerminalSession } from "./claude/terminal.ts";
import { agentEnvironment } from "./environment.ts";
import type { LaunchPlan, LaunchRequest } from "./launch.ts";
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
  return {
    status: "ready",
    command: [path, ...claudeArguments(request), ...(request.settings.args ?? []), ...request.args],
    env,
  };
}

/** Headless: by stream-json. At a terminal: by hooks and the session's own inbox socket. */
export function openSession(options: SessionOptions): Session {
  return options.mode === "headless"
    ? openHeadlessSession(options, launch)
    : openTerminalSession(options, launch);
}
