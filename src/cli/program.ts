/** Arguments → command → exit code. Each command lives in its own file and is loaded only when it runs. */
import { Command, CommanderError } from "commander";
import { version } from "../../package.json" with { type: "json" };
import { addCommands, errorLine } from "./commands.ts";
import { describeFailure, exitCodes } from "./print.ts";

/** Runs the command that the arguments name; resolves with the exit code. */
export async function runProgram(args: string[]): Promise<number> {
  let code: number = exitCodes.ok;
  const program = new Command("agent-relay")
    .description(
      "Messages between coding agents that are never lost or doubled, and tools that never vanish.",
    )
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ sortSubcommands: false })
    .configureOutput({ outputError: (text, write) => write(errorLine(text)) })
    .addHelpText("after", exitHelp);
  addCommands(program, version, (exit) => {
    code = exit;
  });
  if (args.length === 0) {
    process.stderr.write(program.helpInformation());
    return exitCodes.usage;
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    return failed(error, args.includes("--json"));
  }
}

function failed(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) {
    const asked = error.exitCode === 0;
    return asked ? exitCodes.ok : exitCodes.usage;
  }
  const { exit, message } = describeFailure(error);
  const line = json ? JSON.stringify({ event: "error", exit, message }) : `agent-relay: ${message}`;
  process.stderr.write(`${line}\n`);
  if (process.env.AGENT_RELAY_DEBUG === "1" && error instanceof Error)
    process.stderr.write(`${error.stack}\n`);
  return exitCodes[exit];
}

function exitHelp(): string {
  return [
    "",
    "Exit codes: 0 done · 1 failed · 2 wrong usage · 69 relay unreachable · 75 in use by another process · 77 not allowed.",
    "'run' ends with the exit code of the agent, 128 + the signal's number, or 127 when its program is not there.",
    "State is kept in ~/.agent-relay; --home or AGENT_RELAY_HOME name another folder.",
    "",
  ].join("\n");
}
