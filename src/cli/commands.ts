/** The table of commands: names, options and help. What they do is loaded when they run. */
import { type Command, Option } from "commander";
import { homeOf, wholeNumber } from "./context.ts";
import { addIdentity } from "./identity-commands.ts";
import { addMessages } from "./message-commands.ts";
import { home, json, logLevel, port, printer, relay, tokenFile } from "./options.ts";
import { addOversight } from "./oversight-commands.ts";
import { addService } from "./service-commands.ts";
import { addHook, addLogs } from "./session-commands.ts";

/** What the option parser has to say, as one line. */
export function errorLine(text: string): string {
  return `agent-relay: ${text
    .trim()
    .replace(/^error: /, "")
    .replaceAll(/\s*\n\s*/g, " ")}\n`;
}

type SetExit = (code: number) => void;

/** Adds every command to the program. */
export function addCommands(program: Command, version: string, setExit: SetExit): void {
  addRelay(program, version);
  addRunning(program, version, setExit);
  addPeople(program, setExit);
  addLogs(program);
  addHook(program);
  addMessages(program);
  addService(program, setExit);
  addOutbox(program, setExit);
  addIdentity(program);
  addOversight(program);
  for (const command of [program, ...program.commands, ...program.commands.flatMap((c) => c.commands)]) {
    command.exitOverride();
    command.configureOutput({
      outputError: (text, write) => write(errorLine(text)),
    });
  }
}

function addRelay(program: Command, version: string): void {
  program
    .command("up")
    .description("run the relay")
    .addOption(port(4850, "port to listen on; 0 = any"))
    .option("--host <address>", "address to listen on; other than loopback needs TLS", "127.0.0.1")
    .option("--tls-cert <file>", "certificate chain (PEM) to speak TLS with")
    .option("--tls-key <file>", "its key (PEM), readable by nobody else")
    .option(
      "--allow-host <name...>",
      "further names or addresses it is reached by, with a port where it is another; the first is the one it tells",
    )
    .option(
      "--insecure-bind",
      "listen beyond this machine without TLS: something else must protect the connection",
    )
    .addOption(
      new Option(
        "--retention-days <n>",
        "forget older messages that were read; without it all are kept",
      ).argParser(wholeNumber("--retention-days", 1, 36_500)),
    )
    .addOption(home())
    .addOption(json())
    .addOption(logLevel("warn"))
    .action(async (o) =>
      (await import("./commands/up.ts")).up({ ...o, home: homeOf(o), version }, printer(o)),
    );
}

function addRunning(program: Command, version: string, setExit: SetExit): void {
  program
    .command("run")
    .description("run one agent, with its own MCP endpoint that outlives the relay")
    .argument("<provider>", "claude, codex, or exec for any program")
    .argument("[args...]", "after --: arguments of the agent; for exec the command itself")
    .requiredOption("--name <name>", "the agent's name at the relay")
    .addOption(relay())
    .addOption(tokenFile())
    .addOption(home())
    .option("--profile <name>", "profile of an agent that is enrolled now; an agent keeps its own without it")
    .option("--takeover", "take the name over from the runner that holds it")
    .option(
      "--headless",
      "without a terminal: its input is messages, and --task; it is started again when it crashes",
    )
    .option("--task <text>", "what a headless agent does first; - reads it from standard input")
    .option("--fresh", "begin a new conversation even when an earlier run was killed in the middle of one")
    .addOption(json())
    // The agent has the terminal: an outage, which it need not notice, is not written over it.
    .addOption(logLevel("error"))
    .action(async (provider, args, o) => {
      setExit(
        await (await import("./commands/run.ts")).run(
          { ...o, provider, args, home: homeOf(o), version },
          printer(o),
        ),
      );
    });
  program
    .command("proxy")
    .description("put the same resilient endpoint in front of any Streamable-HTTP MCP server")
    .requiredOption("--upstream <url>", "MCP endpoint of the server")
    .option(
      "--upstream-ca <file>",
      "certificates (PEM) that the server's must be signed by, not the system's",
    )
    .option("--token-file <file>", "file with the bearer token for the server")
    .option("--policy <file>", "JSON policy: what may be buffered, what is shown when")
    .addOption(port(0, "port to listen on; 0 = the one used before, else any"))
    .addOption(home())
    .addOption(json())
    .addOption(logLevel("warn"))
    .action(async (o) =>
      (await import("./commands/proxy.ts")).proxy({ ...o, home: homeOf(o), version }, printer(o)),
    );
  program
    .command("demo")
    .description("two agents, a relay that is killed in the middle, and a verdict from their ledgers")
    .addOption(
      new Option("--messages <n>", "messages each way")
        .argParser(wholeNumber("--messages", 30, 5_000))
        .default(300),
    )
    .option("--keep", "keep the ledgers and homes")
    .addOption(json())
    .action(async (o) => setExit(await (await import("./commands/demo.ts")).demo(o, printer(o))));
}

function addPeople(program: Command, setExit: SetExit): void {
  program
    .command("status")
    .description("what runs, what waits, what is stuck")
    .addOption(relay())
    .addOption(tokenFile())
    .addOption(home())
    .addOption(json())
    .action(async (o) =>
      (await import("./commands/status.ts")).status({ ...o, home: homeOf(o) }, printer(o)),
    );
  program
    .command("doctor")
    .description("what is wrong on this machine: relay, clock, disk, permissions, outboxes")
    .addOption(relay())
    .addOption(home())
    .addOption(json())
    .action(async (o) =>
      setExit(await (await import("./commands/doctor.ts")).doctor({ ...o, home: homeOf(o) }, printer(o))),
    );
}

function addOutbox(program: Command, setExit: SetExit): void {
  const outbox = program.command("outbox").description("writes of the agents on this machine");
  const common = (command: Command) =>
    command.option("--name <name>", "the agent whose outbox it is").addOption(home()).addOption(json());
  const which = "<record...>";
  const what = "number, key or message id, from outbox ls";
  common(outbox.command("ls").description("what waits, and what has ended in the last two days"))
    .option("--all", "also what was sent")
    .action(async (o) =>
      (await import("./commands/outbox.ts")).outboxList({ ...o, home: homeOf(o) }, printer(o)),
    );
  common(outbox.command("show").description("one record in full").argument("<record>", what))
    .option("--body", "also what was written, while it is kept")
    .action(async (record, o) =>
      (await import("./commands/outbox.ts")).outboxShow({ ...o, home: homeOf(o), record }, printer(o)),
    );
  common(outbox.command("export").description("what waits, with what was written, as JSON lines")).action(
    async (o) =>
      (await import("./commands/outbox.ts")).outboxExport({ ...o, home: homeOf(o) }, (text) =>
        process.stdout.write(text),
      ),
  );
  for (const [action, description] of Object.entries(recordActions))
    common(outbox.command(action).description(description).argument(which, what)).action(async (records, o) =>
      setExit(
        await (await import("./commands/outbox.ts")).outboxAct(
          { ...o, home: homeOf(o), action, records },
          printer(o),
        ),
      ),
    );
  for (const [action, description] of Object.entries(wholeActions))
    common(outbox.command(action).description(description)).action(async (o) =>
      setExit(
        await (await import("./commands/outbox.ts")).outboxAct(
          { ...o, home: homeOf(o), action, records: [] },
          printer(o),
        ),
      ),
    );
}

const recordActions = {
  drop: "take waiting records out of the queue; the agent gets a notice, and it is written to audit.log",
  retry: "send records that ended without effect again, each as a new write with a key and id of its own",
};
const wholeActions = {
  pause: "stop delivery, also over restarts; writes are taken and wait",
  resume: "let delivery go on",
};
