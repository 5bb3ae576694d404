/**
 * The agent's environment. What the person has set goes on working, but no token of this product is ever in it, and
 * nothing that would make the agent believe it runs inside another agent's session.
 */
import { tokenKind } from "../wire/token.ts";
import type { LaunchRequest } from "./launch.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables of this product that describe one session or hold a credential; `AGENT_RELAY_HOME` is not one of them. */
const ourNames = [
  "AGENT_RELAY_MCP_URL",
  "AGENT_RELAY_SESSION_TOKEN",
  "AGENT_RELAY_AGENT",
  "AGENT_RELAY_URL",
  "AGENT_RELAY_APPROVAL",
  "AGENT_RELAY_WORKSPACE_MODE",
  "AGENT_RELAY_PROGRAM",
  "AGENT_RELAY_RUNNER",
  "AGENT_RELAY_SCRATCH",
];
const ourPatterns = [/^AGENT_RELAY_TOKEN/, /^AGENT_RELAY_.*(?:TOKEN|SECRET)/];

/** Variables that Claude Code sets for the programs it starts, as opposed to settings of the person. */
const outerSessionNames = [
  "CLAUDECODE",
  "CLAUDE_CODE_ENTRYPOINT",
  "CLAUDE_CODE_SESSION_ID",
  "CLAUDE_CODE_SSE_PORT",
  "CLAUDE_CODE_EXECPATH",
  "CLAUDE_PID",
  "CLAUDE_ENV_FILE",
  "CLAUDE_PROJECT_DIR",
  "CLAUDE_PLUGIN_ROOT",
  "CLAUDE_PLUGIN_DATA",
];
const outerSessionPatterns = [
  /^CLAUDE_CODE_(?:SESSION|MESSAGING|PARENT|CHILD)(?:_|$)/,
  /^CLAUDE_CODE_REMOTE_SESSION/,
];

/** What a host passes on: where things are, language, terminal, the way to the network, and settings folders. */
const passedOn = [
  "PATH HOME USER LOGNAME SHELL TMPDIR TZ LANG LANGUAGE TERM COLORTERM NO_COLOR",
  "XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME XDG_STATE_HOME XDG_RUNTIME_DIR",
  "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy",
  "SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS CLAUDE_CONFIG_DIR CODEX_HOME AGENT_RELAY_HOME",
].flatMap((line) => line.split(" "));
const passedOnPatterns = [/^LC_/];

const loopback = ["127.0.0.1", "localhost", "::1"];
const tokenForm = /arl_[a-z]{3}_[A-Za-z0-9_-]{43}[0-9a-f]{6}/g;

/** For `run`: the person's environment less our tokens and an outer agent's session (a deny-list). */
export function scrubbedEnvironment(environment: Environment): Record<string, string> {
  return withLoopback(keep(environment, (name) => !isOurs(name) && !isOuterSession(name)));
}

/**
 * For agents that a host starts: only what is known to be needed (an allow-list).
 * @param also further names, from the machine's own configuration; never overrides what is denied
 */
export function listedEnvironment(environment: Environment, also: readonly string[]): Record<string, string> {
  const listed = (name: string) =>
    passedOn.includes(name) || passedOnPatterns.some((pattern) => pattern.test(name)) || also.includes(name);
  return withLoopback(keep(environment, (name) => listed(name) && !isOurs(name) && !isOuterSession(name)));
}

/** The whole environment of an agent: the scrubbed one, the machine's settings, then the session. */
export function agentEnvironment(request: LaunchRequest): Record<string, string> {
  const { session, settings } = request;
  return {
    ...withLoopback({ ...request.environment, ...keep(settings.env ?? {}, (name) => !isOurs(name)) }),
    ...(request.features.mcp
      ? { AGENT_RELAY_MCP_URL: session.mcpUrl, [session.sessionToken.name]: session.sessionToken.value }
      : {}),
    ...reportingEnvironment(request),
    AGENT_RELAY_AGENT: session.agentName,
    AGENT_RELAY_URL: session.relayUrl,
    AGENT_RELAY_APPROVAL: session.approval,
    AGENT_RELAY_TOKEN_JTI: session.token.jti,
    AGENT_RELAY_TOKEN_PROFILE: session.token.profile,
    AGENT_RELAY_TOKEN_EXPIRES_AT: session.token.expiresAt,
    AGENT_RELAY_WORKSPACE_MODE: session.workspaceMode,
  };
}

/** What hooks and the status line need to find the runner: its folder, whose files only the same user can read. */
function reportingEnvironment({ features, aids }: LaunchRequest): Record<string, string> {
  if (!(features.hooks || features.statusLine)) return {};
  if (aids.program === undefined || aids.folder === undefined) return {};
  return { AGENT_RELAY_PROGRAM: aids.program, AGENT_RELAY_RUNNER: aids.folder };
}

/** True when a token of this product is anywhere in the text. */
export function holdsToken(text: string): boolean {
  return (text.match(tokenForm) ?? []).some((candidate) => tokenKind(candidate) !== undefined);
}

function keep(environment: Environment, wanted: (name: string) => boolean): Record<string, string> {
  const entries = Object.entries(environment).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && wanted(entry[0]) && !holdsToken(entry[0]) && !holdsToken(entry[1]),
  );
  return Object.fromEntries(entries);
}

function isOurs(name: string): boolean {
  return ourNames.includes(name) || ourPatterns.some((pattern) => pattern.test(name));
}

function isOuterSession(name: string): boolean {
  return outerSessionNames.includes(name) || outerSessionPatterns.some((pattern) => pattern.test(name));
}

/** An HTTP proxy of the person must not be asked for the endpoint. Programs read one of the two spellings. */
function withLoopback(environment: Record<string, string>): Record<string, string> {
  const upper = environment.NO_PROXY ?? environment.no_proxy ?? "";
  const lower = environment.no_proxy ?? environment.NO_PROXY ?? "";
  return { ...environment, NO_PROXY: addLoopback(upper), no_proxy: addLoopback(lower) };
}

function addLoopback(list: string): string {
  const items = list.split(/[\s,]+/).filter((item) => item !== "");
  // `*` alone means every host; with company some programs no longer read it so.
  if (items.includes("*")) return list;
  return [...items, ...loopback.filter((item) => !items.includes(item))].join(",");
}
