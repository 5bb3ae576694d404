/** What a start is made from, in tests: everything on, nothing of the machine's own. */
import type { LaunchRequest } from "./launch.ts";

/** The secret in the request. */
export const playedSecret = "s3cr3t-of-this-session";

/** A headless start of ada. */
export const playedRequest: LaunchRequest = {
  session: {
    mcpUrl: "http://127.0.0.1:41000/mcp",
    sessionToken: { name: "AGENT_RELAY_SESSION_TOKEN", value: playedSecret },
    agentName: "ada",
    relayUrl: "http://127.0.0.1:4850",
    approval: "provider",
    token: { jti: "jti-1", profile: "default", expiresAt: "2026-01-01T00:00:00.000Z" },
    workspaceMode: "shared",
  },
  features: { mcp: true, skills: true, statusLine: true, hooks: true },
  settings: {},
  mode: "headless",
  conversation: undefined,
  instructions: "",
  aids: {},
  args: [],
  cwd: "/work",
  environment: { PATH: "/bin", HOME: "/home/ada" },
  find: (program) => `/opt/${program}`,
  toolCallMs: 300_000,
  mcpStartMs: 20_000,
};
