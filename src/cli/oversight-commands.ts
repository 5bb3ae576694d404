/** The commands about replies that are owed, quarantine and insights. What they do is loaded when they run. */
import { type Command, Option } from "commander";
import { limits } from "../limits.ts";
import { insightKinds } from "../wire/insight.ts";
import { type RelayOptions, wholeNumber } from "./context.ts";
import { home, json, printer, relay, tokenFile } from "./options.ts";

const common = (command: Command) =>
  command.addOption(relay()).addOption(tokenFile()).addOption(home()).addOption(json());

/** Adds them to the program. */
export function addOversight(program: Command): void {
  common(
    program
      .command("outstanding")
      .description("replies that are owed, oldest first")
      .argument("[name]", "owed by or to this agent; 'operator' for your own; all without it"),
  ).action(async (name, o) =>
    (await import("./commands/outstanding.ts")).outstanding(
      { ...o, ...(name === undefined ? {} : { name }) },
      printer(o),
    ),
  );
  common(
    program
      .command("decline")
      .description("decline a reply that you owe; the one who asked gets the reason")
      .argument("<message>", "id of the message that asked")
      .argument("<reason...>", "why"),
  ).action(async (message, reason, o) =>
    (await import("./commands/outstanding.ts")).decline({ ...o, message, reason }, printer(o)),
  );
  addInsights(program);
}

/** Adds the commands about stopping the writes of an agent to `agents`. */
export function addQuarantine(agents: Command): void {
  const name = ["<name>", "the agent"] as const;
  agents
    .command("quarantine")
    .description("stop the writes of an agent at once; it can go on reading")
    .argument(...name)
    .option("--reason <text>", "why; the agent and the audit log get it", "")
    .action(async (named, _, command: Command) => {
      const o = command.optsWithGlobals<RelayOptions & { json?: boolean; reason: string }>();
      await (await import("./commands/quarantine.ts")).quarantine({ ...o, name: named }, printer(o));
    });
  agents
    .command("release")
    .description("let a quarantined agent write again")
    .argument(...name)
    .action(async (named, _, command: Command) => {
      const o = command.optsWithGlobals();
      await (await import("./commands/quarantine.ts")).release({ ...o, name: named }, printer(o));
    });
}

function addInsights(program: Command): void {
  const insights = program.command("insights").description("what runners reported for people to look at");
  const kind = new Option("--kind <kind>", "only of this kind").choices(insightKinds);
  common(insights.command("ls").description("the newest, and how they are switched"))
    .addOption(kind)
    .option("--agent <name>", "only of this agent")
    .addOption(
      new Option("--limit <n>", "at most this many")
        .argParser(wholeNumber("--limit", 1, limits.insightsPageMax))
        .default(50),
    )
    .action(async (o) => (await import("./commands/insights.ts")).insightList(o, printer(o)));
  for (const [word, enabled] of [
    ["on", true],
    ["off", false],
  ] as const) {
    common(
      insights
        .command(word)
        .description(`switch kinds of insights ${word}`)
        .argument("<kind...>", insightKinds.join(", ")),
    ).action(async (kinds, o) =>
      (await import("./commands/insights.ts")).insightSwitch({ ...o, kinds, enabled }, printer(o)),
    );
  }
}
