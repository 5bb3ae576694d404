/** `agent-relay backup FILE` while the relay runs, and `agent-relay restore FILE` while it does not. */
import { chmodSync, copyFileSync, existsSync, linkSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { realClock, sleep } from "../../base/clock.ts";
import { syncFile } from "../../base/sqlite.ts";
import { inspectBackup, restoreHome } from "../../server.ts";
import type { OperationReply } from "../../wire/api.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { CliError, type Printer } from "../print.ts";

/** Asked for again this often, ms. */
const pollMs = 1_000;

/** Has the relay make a backup, checks it page by page, and puts it where it was asked for. */
export async function backup(options: RelayOptions & { file: string }, print: Printer): Promise<void> {
  const file = resolve(options.file);
  if (existsSync(file)) {
    throw new CliError("usage", `Write the backup: ${file} exists already, a new file was wanted`);
  }
  const client = operatorClient(options);
  let made = await client.makeBackup({});
  while (made.state === "running") {
    print.line(print.dim("The relay writes the backup; agents' writes wait meanwhile"));
    await sleep(realClock, pollMs);
    made = await client.getBackup({ id: made.id });
  }
  if (made.state === "failed") throw new CliError("failed", `Make a backup: ${made.why}`);
  const facts = inspectBackup(here(made));
  move(made.file, file);
  print.data({ file, ...facts });
  print.line(
    `${file}: ${facts.bytes} bytes, ${facts.messages} messages, ${facts.agents} agents, every page checked`,
  );
  print.line(`  audit head ${facts.auditSeq}:${facts.auditHash}`);
  print.line(
    print.dim("It holds every message and the hashes of all tokens: keep it as you keep the relay's home"),
  );
}

function here({ file }: OperationReply<"makeBackup">): string {
  if (existsSync(file)) return file;
  throw new CliError(
    "failed",
    `Fetch the backup: it is ${file} on the relay's machine, and this is another one`,
  );
}

/** Gives the file its new name; on another disk it is copied, and there only once it is complete. */
function move(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    const partial = `${to}.new`;
    copyFileSync(from, partial);
    chmodSync(partial, 0o600);
    syncFile(partial);
    linkSync(partial, to);
    rmSync(partial);
  }
  syncFile(to);
  rmSync(from);
}

/** Puts a backup in the place of the database. */
export async function restore(options: { home: string; file: string }, print: Printer): Promise<void> {
  const restored = restoreHome(options.home, resolve(options.file), realClock.now());
  const { generation, messages, agents, aside, revoked } = restored;
  print.data({ ...restored, file: resolve(options.file) });
  print.line(
    `Restored: ${messages} messages, ${agents} agents; this is generation ${generation} of the relay's database`,
  );
  if (aside !== undefined) print.line(`  the database that was there is ${aside}`);
  if (revoked > 0) print.line(`  ${revoked} tokens that were revoked since then stay revoked`);
  if (aside === undefined) {
    print.line(
      "  tokens that were revoked after the backup was made are valid again: revoke them with 'agent-relay token'",
    );
  }
  print.line("Runners find out by themselves: they tell their agents which writes may be missing.");
}
