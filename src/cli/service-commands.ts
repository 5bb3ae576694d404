/** Commands about the relay as a whole: its audit log, its backups. What they do is loaded when they run. */
import { type Command, Option } from "commander";
import { auditKinds } from "../wire/audit.ts";
import { homeOf, wholeNumber } from "./context.ts";
import { home, json, printer, relay, tokenFile } from "./options.ts";

/** Adds the commands to the program. */
export function addService(program: Command, setExit: (code: number) => void): void {
  const common = (command: Command) =>
    command.addOption(relay()).addOption(tokenFile()).addOption(home()).addOption(json());
  const audit = program.command("audit").description("what was done at the relay, by whom and when");
  common(audit.command("ls").description("the newest entries, oldest of them first"))
    .addOption(new Option("--kind <kind>", "only entries of this kind").choices(auditKinds))
    .addOption(
      new Option("--limit <n>", "at most this many").argParser(wholeNumber("--limit", 1, 1_000)).default(50),
    )
    .action(async (o) => (await import("./commands/audit.ts")).auditList(o, printer(o)));
  common(
    audit
      .command("verify")
      .description(
        "recompute the chain of all entries here; exit code 1 when one was changed, removed or moved",
      ),
  )
    .option("--head <seq:hash>", "an entry noted earlier: the log must still hold it")
    .action(async (o) => setExit(await (await import("./commands/audit.ts")).auditVerify(o, printer(o))));
  common(
    program
      .command("backup")
      .description("write the relay's database into a new private file while it runs")
      .argument("<file>", "the file to write; must not exist"),
  ).action(async (file, o) => (await import("./commands/backup.ts")).backup({ ...o, file }, printer(o)));
  program
    .command("restore")
    .description("put a backup in the place of the relay's database; the relay must be stopped")
    .argument("<file>", "a file that 'backup' wrote")
    .addOption(home())
    .addOption(json())
    .action(async (file, o) =>
      (await import("./commands/backup.ts")).restore({ ...o, home: homeOf(o), file }, printer(o)),
    );
}
