/** The commands about the sessions of agents. What they do is loaded when they run. */
import { type Command, Option } from "commander";
import { homeOf, wholeNumber } from "./context.ts";
import { home, json, printer } from "./options.ts";

/** Adds what programs of providers start: hidden from the help. */
export function addHook(program: Command): void {
  program
    .command("hook", { hidden: true })
    .description("what a provider's hooks and status line start")
    .argument("<kind>", "claude or status-line")
    .action(async (kind) => (await import("./commands/hook.ts")).hook(kind));
}

/** Adds `logs`. */
export function addLogs(program: Command): void {
  program
    .command("logs")
    .description("what an agent of this machine was told, said and used, oldest first")
    .argument("<name>", "the agent")
    .addOption(
      new Option("--lines <n>", "at most this many steps")
        .argParser(wholeNumber("--lines", 1, 10_000))
        .default(30),
    )
    .option("--hooks", "hooks of the provider that failed, instead")
    .addOption(home())
    .addOption(json())
    .action(async (name, o) =>
      (await import("./commands/logs.ts")).logs({ ...o, home: homeOf(o), name }, printer(o)),
    );
}

/** Adds `agents show`. */
export function addAgentShow(agents: Command): void {
  agents
    .command("show")
    .description("one agent: as the relay sees it, its session on this machine, its last turn")
    .argument("<name>", "the agent")
    .action(async (name, _, command: Command) => {
      const o = command.optsWithGlobals();
      await (await import("./commands/logs.ts")).agentShow({ ...o, home: homeOf(o), name }, printer(o));
    });
}
