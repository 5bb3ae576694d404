/** `agent-relay logs` and `agents show`: what an agent of this machine does, said and used. */
import { realClock } from "../../base/clock.ts";
import {
  hookFailures,
  type LocalSession,
  lastSteps,
  localSession,
  type SessionFile,
  stepText,
} from "../../sessions.ts";
import type { OperationReply } from "../../wire/api.ts";
import { plainText } from "../../wire/message.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { ageText, CliError, describeFailure, type Printer } from "../print.ts";

type Named = RelayOptions & { home: string; name: string };

/** Prints the last steps of an agent's session. */
export async function logs(
  options: Named & { lines: number; hooks?: boolean },
  print: Printer,
): Promise<void> {
  const { session, folder } = await required(options, "Show the log of");
  if (options.hooks === true) {
    const failures = hookFailures(folder, options.lines);
    print.data({ failures });
    for (const line of failures.length === 0 ? ["no hook has failed"] : failures) print.line(plainText(line));
    return;
  }
  const steps = session === undefined ? undefined : lastSteps(session, options.lines);
  print.data({ steps: steps ?? [], lastTurn: session?.lastTurn });
  if (steps !== undefined && steps.length > 0) {
    for (const step of steps) print.line(stepText(step));
    return;
  }
  const words = session?.lastTurn?.text;
  print.line(words === undefined ? `${options.name} has had no turn here yet` : plainText(words));
}

/** Prints one agent: as the relay sees it, and its session when it is of this machine. */
export async function agentShow(options: Named, print: Printer): Promise<void> {
  const [relay, local] = await Promise.all([atRelay(options), localSession(options.home, options.name)]);
  if (local === undefined && relay.agent === undefined)
    throw new CliError("failed", `Show ${options.name}: ${relay.why ?? "there is no agent of that name"}`);
  print.data({ agent: relay.agent, local });
  print.line(print.bold(options.name));
  if (relay.agent !== undefined) {
    const { provider, machine, profile, presence } = relay.agent;
    print.line(
      `  at the relay  ${provider} on ${machine}, profile ${profile}, ${presence?.state ?? "unknown"}`,
    );
  } else print.line(`  at the relay  not known: ${relay.why}`);
  if (local !== undefined) for (const line of sessionLines(local)) print.line(`  ${line}`);
}

type AtRelay = { agent?: OperationReply<"listAgents">["agents"][number] | undefined; why?: string };

async function atRelay(options: Named): Promise<AtRelay> {
  try {
    const { agents } = await operatorClient(options).listAgents({});
    const agent = agents.find(({ name }) => name === options.name);
    return agent === undefined ? { why: "there is no agent of that name" } : { agent };
  } catch (error) {
    return { why: describeFailure(error).message };
  }
}

function sessionLines({ running, session }: LocalSession): string[] {
  if (session === undefined) return ["session       none yet on this machine"];
  const { lastTurn, figures, conversation } = session;
  return [
    `session       ${running ? stateText(session) : endText(session)}, in ${plainText(session.cwd)}`,
    ...(conversation === undefined ? [] : [`conversation  ${conversation.id}`]),
    ...(figures === undefined
      ? []
      : [
          `turns         ${figures.turns} (${figures.turnsFailed} failed, ${figures.turnsInterrupted} interrupted), ` +
            `${figures.toolCalls} tool calls (${figures.toolsFailed} failed), busy ${ageText(figures.busyMs)}`,
        ]),
    ...(lastTurn === undefined
      ? []
      : [`last turn     ${lastTurn.how}${lastTurn.reason === undefined ? "" : `: ${lastTurn.reason}`}`]),
    ...(lastTurn === undefined || lastTurn.text === ""
      ? []
      : [`              ${plainText(lastTurn.text).slice(0, 500).split("\n").join("\n                ")}`]),
  ];
}

function stateText({ state, approval }: SessionFile): string {
  const what = approval === undefined ? "" : ` of ${plainText(approval)}`;
  return state === "waiting_approval" ? `waits for an approval${what}` : (state ?? "runs");
}

function endText({ endedAt, cause }: SessionFile): string {
  if (endedAt === undefined) return "was killed; the next run goes on with it";
  return `ended ${ageText(realClock.now() - Date.parse(endedAt))} ago (${cause ?? "unknown"})`;
}

async function required({ home, name }: Named, action: string): Promise<LocalSession> {
  const local = await localSession(home, name);
  if (local !== undefined) return local;
  throw new CliError("failed", `${action} ${name}: no agent of that name has run from ${home}`);
}
