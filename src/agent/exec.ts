/** Any program. It finds the MCP endpoint in `AGENT_RELAY_MCP_URL` and the secret in `AGENT_RELAY_SESSION_TOKEN`. */
import { agentEnvironment } from "./environment.ts";
import type { LaunchPlan, LaunchRequest } from "./launch.ts";
import { openNoSession } from "./no-session.ts";
import type { Session, SessionOptions } from "./session.ts";

export const name = "exec";

/** The command: the machine's setting when there is one, followed by what the person wrote. */
export function launch(request: LaunchRequest): LaunchPlan {
  const env = agentEnvironment(request);
  const { program: chosen, args = [] } = request.settings;
  const [program, ...rest] = [...(chosen === undefined ? [] : [chosen, ...args]), ...request.args];
  if (program === undefined || program === "")
    return { status: "refused", reason: "Start a program: none was given; write it after '--'" };
  const path = request.find(program, env.PATH ?? "", request.cwd);
  if (typeof path !== "string") return { status: "refused", reason: path.error.message };
  return { status: "ready", command: [path, ...rest], env };
}

/** The session of the started program. */
export function openSession(options: SessionOptions): Session {
  return openNoSession(options, launch);
}
