/** `agent-relay run`: one agent in the foreground, with its endpoint around it. Ends with the agent's exit code. */

import { isProviderName, providerNames, type Runner, runnerExitCode, startRunner } from "../../runner.ts";
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
  // The agent owns standard output; what we say goes to standard error.
  const say = (line: string) => process.stderr.write(`agent-relay: ${line}\n`);
  let runner: Runner | undefined;
  const release = passSignals(() => runner);
  runner = await startRunner({
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
    enrolmentToken: () => enrolmentToken(options),
    log: stderrLog(options.logLevel),
    say,
  });
  const { agentName: agent, agentId, mcpUrl, pid } = runner;
  print.data({ event: "ready", agent, agentId, mcpUrl, pid });
  const code = await finish(runner, say);
  release();
  return code;
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
