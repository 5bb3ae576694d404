/**
 * Claude Code's arguments, each pinned by a test. A feature that is off leaves none of its own; what the person has
 * chosen with an option of the same meaning is left to the person.
 */
import { join } from "node:path";
import { type LaunchRequest, mcpServerName } from "../launch.ts";

/** Input and output as one JSON object in a line (`claude --help`, 2.1.330). */
const streams = [
  "-p",
  "--input-format",
  "stream-json",
  "--output-format",
  "stream-json",
  "--verbose",
] as const;

/** Options with which a person chooses the conversation. */
const conversationOptions = [
  "--session-id",
  "--resume",
  "-r",
  "--continue",
  "-c",
  "--fork-session",
  "--from-pr",
];
const promptOptions = ["--append-system-prompt", "--append-system-prompt-file"];

/** Everything between the program and what the machine's settings and the person add. */
export function claudeArguments(request: LaunchRequest): string[] {
  const { features, settings, aids, instructions } = request;
  const person = [...(settings.args ?? []), ...request.args];
  return [
    ...(request.mode === "headless" ? streams : []),
    ...(features.mcp ? [mcpArgument(request)] : []),
    ...(features.mcp && aids.plugins !== undefined && features.skills
      ? [`--plugin-dir=${join(aids.plugins, "skills")}`]
      : []),
    ...(canReport(request) && aids.plugins !== undefined
      ? [`--plugin-dir=${join(aids.plugins, "hooks")}`]
      : []),
    ...settingsArgument(request, person),
    ...(features.mcp && instructions !== "" && !hasOption(person, promptOptions)
      ? [`--append-system-prompt=${instructions}`]
      : []),
    ...conversationArgument(request, person),
    ...(settings.model === undefined ? [] : [`--model=${settings.model}`]),
    ...(settings.effort === undefined ? [] : [`--effort=${settings.effort}`]),
    ...(settings.approval === undefined ? [] : [`--permission-mode=${settings.approval}`]),
  ];
}

/** True when the person's own arguments say which conversation it is. */
export function personChoosesConversation(args: readonly string[]): boolean {
  return hasOption(args, conversationOptions);
}

/** Hooks need a program that they start and a runner that they tell. */
function canReport({ features, aids }: LaunchRequest): boolean {
  return features.hooks && aids.program !== undefined && aids.folder !== undefined;
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

/** One `--settings` counts: when the person gives one, ours stays out. */
function settingsArgument(request: LaunchRequest, person: readonly string[]): string[] {
  const { features, aids } = request;
  if (hasOption(person, ["--settings"])) return [];
  const reports = canReport(request);
  const shows = features.statusLine && aids.program !== undefined && aids.folder !== undefined;
  const settings = {
    // The runner speaks to the session's own inbox; without this a session that asks for nothing would hold it back.
    ...(reports && request.mode === "terminal" ? { crossSessionInbound: "accept" } : {}),
    ...(shows && request.mode === "terminal"
      ? { statusLine: { type: "command", command: '"$AGENT_RELAY_PROGRAM" hook status-line' } }
      : {}),
  };
  return Object.keys(settings).length === 0 ? [] : [`--settings=${JSON.stringify(settings)}`];
}

function conversationArgument({ conversation }: LaunchRequest, person: readonly string[]): string[] {
  if (conversation === undefined || personChoosesConversation(person)) return [];
  return [conversation.resume ? `--resume=${conversation.id}` : `--session-id=${conversation.id}`];
}

function hasOption(args: readonly string[], names: readonly string[]): boolean {
  return args.some((arg) => names.some((name) => arg === name || arg.startsWith(`${name}=`)));
}
