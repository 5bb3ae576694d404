/** `agent-relay run`: one agent in the foreground, with its endpoint around it. Ends with the agent's exit code. */

import { resolve } from "node:path";
import {
  isProviderName,
  machineSettings,
  providerNames,
  type Runner,
  runnerExitCode,
  startRunner,
} from "../../runner.ts";
import { RelayError } from "../../wire/error.ts";
import { agentNameRule, isAgentName } from "../../wire/id.ts";
import { machineName, type RelayOptions, readTokenFile, relayUrlOf } from "../context.ts";
import { CliError, type Printer } from "../print.ts";
import { passSignals, stderrLog } from "../process.ts";

export type RunOptions = RelayOptions & {
  home: string;
  name: string;
  provider: string;
  args: string[];
  takeover?: boolean;
  profile?: string;
  headless?: boolean;
  task?: string;
  fresh?: boolean;
  logLevel: string;
  version: string;
};

/** Runs the agent; resolves with its exit code. */
export async function run(options: RunOptions, print: Printer): Promise<number> {
  const { provider } = options;
  if (!isProviderName(provider)) {
    throw new CliError(
      "usage",
      `Run '${provider}': it is not a provider, one of ${providerNames.join(", ")} was wanted`,
    );
  }
  if (!isAgentName(options.name)) {
    throw new CliError("usage", `Read --name: '${options.name}' is not ${agentNameRule}`);
  }
  if (provider === "exec" && options.args.length === 0) {
    throw new CliError(
      "usage",
      "Run exec: the command is missing, write it after --, such as: run exec --name a -- my-agent",
    );
  }
  checkHeadless(options);
  const tooSmall = options.headless === true ? undefined : smallTerminal();
  if (tooSmall !== undefined) process.stderr.write(tooSmall);
  // The agent owns standard output; what we say goes to standard error.
  const say = (line: string) => process.stderr.write(`agent-relay: ${line}\n`);
  let runner: Runner | undefined;
  const release = passSignals(() => runner);
  const started = startRunner({
    home: options.home,
    relayUrl: relayUrlOf(options),
    agentName: options.name,
    machine: machineName(),
    version: options.version,
    provider,
    args: options.args,
    cwd: process.cwd(),
    environment: process.env,
    terminal: process.stdin.isTTY === true,
    direct: ["0", "false", "off"].includes((process.env.AGENT_RELAY_MCP_PROXY ?? "").toLowerCase()),
    takeover: options.takeover === true,
    profile: options.profile,
    headless: options.headless === true,
    task: await taskOf(options),
    fresh: options.fresh === true,
    settings: machineSettings(options.home, provider),
    program: resolve(import.meta.dir, "..", "..", "..", "bin", "agent-relay"),
    ...(options.headless === true ? { onTurn: (turn) => showTurn(turn, print) } : {}),
    enrolmentToken: () => enrolmentToken(options),
    log: stderrLog(options.logLevel),
    say,
  });
  runner = await started.catch((error: unknown) => {
    throw withAdvice(error);
  });
  const { agentName: agent, agentId, mcpUrl, pid } = runner;
  print.data({ event: "ready", agent, agentId, mcpUrl, pid });
  const code = await finish(runner, say);
  release();
  return code;
}

/** What to do about a name that another runner holds: the relay's words do not know the options of this command. */
function withAdvice(error: unknown): unknown {
  if (!(error instanceof RelayError) || error.code !== "name_taken") return error;
  const message = `${error.message}; give another --name, or --takeover`;
  return new RelayError(error.code, message, { cause: error, data: error.data });
}

/** What is wrong with how the agent is to be run: a program for a person needs a terminal, the others a task or none. */
function checkHeadless({ provider, headless, task, args }: RunOptions): void {
  if (headless !== true && task !== undefined)
    throw new CliError("usage", "Read --task: it is only for --headless; at the terminal write it after --");
  if (provider === "exec") {
    if (headless === true)
      throw new CliError("usage", "Read --headless: it is only for claude and codex; exec runs any command");
    return;
  }
  const prints = args.some((arg) => ["-p", "--print", "exec", "--version", "--help"].includes(arg));
  if (headless !== true && process.stdin.isTTY !== true && !prints)
    throw new CliError(
      "usage",
      `Run ${provider}: standard input is not a terminal; run it at one, or give --headless and --task`,
    );
}

/** What the agent's program needs to draw its screen. */
const screenWanted = { columns: 40, rows: 10 };

/** A line for a terminal that is too small, broken between its words: it is to be read there. Undefined when it is not. */
function smallTerminal(): string | undefined {
  const { columns, rows, isTTY } = process.stdout;
  if (isTTY !== true || columns === 0 || rows === 0) return undefined;
  const { columns: wide, rows: high } = screenWanted;
  if (columns >= wide && rows >= high) return undefined;
  const said = `agent-relay: this terminal is ${columns} by ${rows}; make it ${wide} by ${high} or larger`;
  return `${brokenAt(columns, said)}\n`;
}

/** The text in lines of at most that many columns, as far as its words are no longer. */
function brokenAt(columns: number, text: string): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = [...lines.slice(-1), word].join(" ");
    if (lines.length > 0 && line.length <= columns) lines[lines.length - 1] = line;
    else lines.push(word);
  }
  return lines.join("\n");
}

/** The task from the command line, or from standard input for `-`. */
async function taskOf({ task }: RunOptions): Promise<string | undefined> {
  if (task !== "-") return task;
  const text = (await Bun.stdin.text()).trim();
  if (text === "") throw new CliError("usage", "Read --task: standard input is empty");
  return text;
}

/** What a turn of a headless agent said, for the person or program that started it. */
function showTurn(turn: { text: string; how: string; reason?: string | undefined }, print: Printer): void {
  print.data({ event: "turn", ...turn });
  print.line(turn.how === "completed" ? turn.text : `(turn ${turn.how}: ${turn.reason ?? ""}) ${turn.text}`);
}

async function finish(runner: Runner, say: (line: string) => void): Promise<number> {
  const end = await runner.ended;
  if (end.fault !== undefined) say(end.fault);
  const { left, folder } = await runner.close();
  if (left > 0) {
    say(
      `${left} writes of ${runner.agentName} wait in ${folder}; the next 'up' or 'run' on this machine delivers them`,
    );
  }
  return runnerExitCode(end);
}

function enrolmentToken(options: RunOptions): string {
  if (options.tokenFile !== undefined) return readTokenFile(options.tokenFile, true);
  try {
    return readTokenFile(`${options.home}/operator.token`, true);
  } catch (cause) {
    throw new CliError(
      "usage",
      `Enrol ${options.name}: give --token-file with an operator's token; the relay's 'up' prints where its own is`,
      cause,
    );
  }
}
