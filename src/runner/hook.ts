/**
 * The small program that a provider's hooks start: it tells the runner what happened and prints the runner's answer. It
 * never fails: what goes wrong is written to `hooks.log` in the runner's folder, and the session goes on as if there
 * were no hook.
 */
import { appendFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Limits } from "../limits.ts";
import { type ControlQuestion, controlPaths } from "./control-paths.ts";

/** Fields of a hook's input that the runner knows what to do with; nothing else leaves the hook. */
const knownFields = [
  ...["session_id", "transcript_path", "cwd", "hook_event_name", "source", "prompt", "tool_name"],
  ...["notification_type", "stop_hook_active", "last_assistant_message", "error", "reason", "agent_id"],
];
const knownVariables = ["CLAUDE_CODE_MESSAGING_SOCKET", "CLAUDE_CODE_MESSAGING_TOKEN"];

export type HookRun = {
  /** What the provider wrote to the hook's standard input. */
  input: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Asks the runner's control server; undefined when nobody answers. */
  ask(folder: string, question: ControlQuestion): Promise<unknown>;
  now(): number;
  limits: Pick<Limits, "hookFieldCharactersMax" | "hookLogBytesMax">;
};

/** Runs one hook; resolves with what to print, "" for nothing. Never rejects. */
export async function runHook(run: HookRun): Promise<string> {
  const folder = run.env.AGENT_RELAY_RUNNER;
  if (folder === undefined || folder === "") return "";
  let event = "unknown";
  try {
    const input = JSON.parse(run.input) as Record<string, unknown>;
    event = typeof input.hook_event_name === "string" ? input.hook_event_name : event;
    const report = { event, input: cut(input, run.limits.hookFieldCharactersMax), env: variables(run.env) };
    const answer = await run.ask(folder, { path: controlPaths.hook, method: "POST", body: report });
    if (answer === undefined) throw new Error("the runner does not answer");
    const { reply } = answer as { reply?: unknown };
    return reply === null || reply === undefined ? "" : `${JSON.stringify(reply)}\n`;
  } catch (error) {
    writeFatal(folder, event, error, run);
    return "";
  }
}

/** The file in which failed hooks are written down. */
export function hookLogOf(folder: string): string {
  return join(folder, "hooks.log");
}

function cut(input: Readonly<Record<string, unknown>>, charactersMax: number): Record<string, unknown> {
  const known = knownFields.filter((name) => input[name] !== undefined);
  return Object.fromEntries(
    known.map((name) => {
      const value = input[name];
      return [name, typeof value === "string" ? value.slice(0, charactersMax) : value];
    }),
  );
}

function variables(env: HookRun["env"]): Record<string, string> {
  return Object.fromEntries(
    knownVariables.flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** One line of JSON at the level fatal. A log that cannot be written is no reason to disturb the session either. */
function writeFatal(folder: string, event: string, error: unknown, { now, limits }: HookRun): void {
  try {
    const path = hookLogOf(folder);
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size > limits.hookLogBytesMax) renameSync(path, `${path}.old`);
    const line = {
      level: "fatal",
      time: new Date(now()).toISOString(),
      msg: "FATAL: a hook failed; the session goes on without it",
      event,
      error: error instanceof Error ? error.message : String(error),
    };
    appendFileSync(path, `${JSON.stringify(line)}\n`, { mode: 0o600 });
  } catch {
    // Nobody is left to tell.
  }
}

/** What a status line is made from; undefined parts are not known. */
export type LineFacts = {
  agent?: string;
  endpoint?: { upstream?: { reach?: string } } | undefined;
  outbox?: { depth?: number } | undefined;
  inbox?: { waiting?: number } | undefined;
};

/** The line under the person's prompt: who this is at the relay, whether it is there, and what waits. */
export function statusLine(facts: LineFacts | undefined): string {
  if (facts?.agent === undefined) return "relay: the runner does not answer";
  const reach = facts.endpoint?.upstream?.reach;
  const out = facts.outbox?.depth ?? 0;
  const waiting = facts.inbox?.waiting ?? 0;
  return [
    `relay: ${facts.agent}`,
    ...(reach === undefined || reach === "up" ? [] : [`relay ${reach}`]),
    ...(out === 0 ? [] : [`${out} to send`]),
    ...(waiting === 0 ? [] : [`${waiting} waiting for you`]),
  ].join(" · ");
}
