/** What a provider's hooks and status line start, with the real clock and disk: a small wiring that loads little. */
import { realClock } from "./base/clock.ts";
import { limits } from "./limits.ts";
import { askControl } from "./runner/ask-control.ts";
import { type ControlQuestion, controlPaths } from "./runner/control-paths.ts";
import { type LineFacts, runHook, statusLine } from "./runner/hook.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Tells the runner what a hook was given; what to print. Never rejects. */
export function tellHook(input: string, env: Environment): Promise<string> {
  return runHook({ input, env, ask, now: realClock.now, limits });
}

/** The text of the status line. Never rejects. */
export async function showStatusLine(env: Environment): Promise<string> {
  const folder = env.AGENT_RELAY_RUNNER;
  if (folder === undefined || folder === "") return "";
  try {
    return `${statusLine((await ask(folder, { path: controlPaths.status })) as LineFacts | undefined)}\n`;
  } catch {
    return `${statusLine(undefined)}\n`;
  }
}

function ask(folder: string, question: ControlQuestion): Promise<unknown> {
  return askControl(folder, question, AbortSignal.timeout(limits.hookAnswerMs));
}
