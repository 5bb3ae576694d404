/** The commands about who there is: agents, profiles, tokens. What they do is loaded when they run. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { features, type Scope, scopesOf } from "../wire/scope.ts";
import { wholeNumber } from "./context.ts";
import { home, json, printer, relay, tokenFile } from "./options.ts";
import { addQuarantine } from "./oversight-commands.ts";
import { addAgentShow } from "./session-commands.ts";

const common = (command: Command) =>
  command.addOption(relay()).addOption(tokenFile()).addOption(home()).addOption(json());
const count = (flag: string, text: string, least = 1) =>
  new Option(`${flag} <n>`, text).argParser(wholeNumber(flag, least, 1_000_000));
const scopeOption = (flag: string, text: string) =>
  new Option(`${flag} <scopes>`, `${text}, separated by commas`).argParser(agentScopes);

/** Adds them to the program. */
export function addIdentity(program: Command): void {
  addAgents(program);
  addProfiles(program);
  addTokens(program);
}

function addAgents(program: Command): void {
  const agents = common(program.command("agents").description("the agents at the relay"));
  agents.action(async (o) => (await import("./commands/agents.ts")).agents(o, printer(o)));
  addQuarantine(agents);
  addAgentShow(agents);
  agents
    .command("rm")
    .description("remove an agent: its name is free, its tokens end, what it has not sent comes back")
    .argument("<name>", "the agent")
    .action(async (name, _, command: Command) => {
      const o = command.optsWithGlobals();
      await (await import("./commands/agents.ts")).agentRemove({ ...o, name }, printer(o));
    });
  agents
    .command("profile")
    .description("give an agent another profile; it holds at once")
    .argument("<name>", "the agent")
    .argument("<profile>", "from profile ls")
    .action(async (name, profile, _, command: Command) => {
      const o = command.optsWithGlobals();
      await (await import("./commands/agents.ts")).agentProfile({ ...o, name, profile }, printer(o));
    });
}

function addProfiles(program: Command): void {
  const profile = program
    .command("profile")
    .description("what agents may do: scopes, features and limits by name");
  const name = ["<name>", "the profile"] as const;
  common(profile.command("ls").description("all profiles")).action(async (o) =>
    (await import("./commands/profile.ts")).profileList(o, printer(o)),
  );
  common(
    profile
      .command("show")
      .description("one profile")
      .argument(...name),
  ).action(async (named, o) =>
    (await import("./commands/profile.ts")).profileShow({ ...o, name: named }, printer(o)),
  );
  common(
    profile
      .command("set")
      .description(
        "make a profile, or change what is given of it; it holds at once for every agent that has it",
      )
      .argument(...name)
      .addOption(scopeOption("--scopes", "exactly these scopes"))
      .addOption(scopeOption("--allow", "these scopes too"))
      .addOption(scopeOption("--deny", "not these scopes"))
      .addOption(switchOption("--on", "switch these features on"))
      .addOption(switchOption("--off", "switch these features off"))
      .addOption(count("--burst", "writes at once"))
      .addOption(count("--per-minute", "writes per minute after that"))
      .addOption(count("--fan-out", "recipients of one message"))
      .addOption(count("--hops", "times a message may be forwarded", 0)),
  ).action(async (named, o) =>
    (await import("./commands/profile.ts")).profileSet({ ...o, name: named }, printer(o)),
  );
  common(
    profile
      .command("rm")
      .description("remove a profile that no agent has")
      .argument(...name),
  ).action(async (named, o) =>
    (await import("./commands/profile.ts")).profileRemove({ ...o, name: named }, printer(o)),
  );
}

function addTokens(program: Command): void {
  const token = program.command("token").description("tokens of the relay");
  common(token.command("create").description("make a token; its secret is shown once"))
    .addOption(
      new Option("--kind <kind>", "whom it speaks for").choices(["operator", "host"]).default("operator"),
    )
    .option("--note <text>", "what it is for", "")
    .addOption(
      new Option("--ttl <seconds>", "how long it is valid").argParser(wholeNumber("--ttl", 60, 999_999_999)),
    )
    .addOption(scopeOption("--grant", "what agents enrolled with a host's token may hold at most"))
    .option("--out <file>", "write the secret to this new 0600 file instead of showing it")
    .action(async (o) => (await import("./commands/token.ts")).tokenCreate(o, printer(o)));
  common(token.command("ls").description("all tokens, without their secrets")).action(async (o) =>
    (await import("./commands/token.ts")).tokenList(o, printer(o)),
  );
  common(
    token
      .command("revoke")
      .description("end a token at once")
      .argument("<id>", "its id, from token ls")
      .option(
        "--cascade",
        "also every token that it made and runner that it enrolled; the one in use is spared",
      ),
  ).action(async (id, o) => (await import("./commands/token.ts")).tokenRevoke({ ...o, id }, printer(o)));
}

function switchOption(flag: string, text: string): Option {
  return new Option(`${flag} <features>`, `${text}, separated by commas: ${features.join(", ")}`).argParser(
    (list) => words(list, { what: "feature", all: features }),
  );
}

function agentScopes(list: string): Scope[] {
  return words(list, { what: "scope of agents", all: scopesOf("agent") });
}

/** The words of a list, each one of those there are. */
function words<Word extends string>(
  list: string,
  { what, all }: { what: string; all: readonly Word[] },
): Word[] {
  const given = list.split(",").map((word) => word.trim());
  return given
    .filter((word) => word !== "")
    .map((word) => {
      const known = all.find((one) => one === word);
      if (known !== undefined) return known;
      throw new InvalidArgumentError(`'${word}' is no ${what}; there is ${all.join(", ")}`);
    });
}
