/**
 * The thread that owns the relay's SQLite database. Its only connection lives here, and all SQL is in the files
 * beside it; calls that arrive together share one commit, and are answered after it.
 */
import type { Database } from "bun:sqlite";
import { openSqlite } from "../base/sqlite.ts";
import { serveWorker } from "../base/worker.ts";
import { limits } from "../limits.ts";
import { type Group, groupCommit } from "./group.ts";
import { migrate } from "./migrate.ts";
import { agentVerbs } from "./sqlite/agents.ts";
import { auditVerbs } from "./sqlite/audit.ts";
import { writeBackup } from "./sqlite/backup.ts";
import { quarantineVerbs } from "./sqlite/brakes.ts";
import { insightVerbs } from "./sqlite/insights.ts";
import { messageVerbs } from "./sqlite/messages.ts";
import { obligationVerbs } from "./sqlite/obligations.ts";
import { presenceVerbs } from "./sqlite/presence.ts";
import { profileVerbs, seedProfiles } from "./sqlite/profiles.ts";
import { renewalVerbs } from "./sqlite/renewals.ts";
import { tokenVerbs } from "./sqlite/tokens.ts";
import { readIdentity, upkeepVerbs } from "./sqlite/upkeep.ts";
import type { StoreIdentity } from "./store.ts";
import { type VerbAnswer, type VerbArguments, type VerbName, verbNames } from "./verbs.ts";

export type OpenArguments = { path: string; relayId: string; now: number };

/** What the owner of this thread may call. A verb takes its arguments as one list. */
export type StoreMethods = {
  open: (options: OpenArguments) => StoreIdentity;
  close: (nothing: null) => void;
  /** Asks for a backup: it is written after this group, because it cannot be part of a transaction. */
  beginBackup: (file: string) => void;
  /** What became of it. */
  endBackup: (nothing: null) => number;
} & { [Name in VerbName]: (args: VerbArguments<Name>) => VerbAnswer<Name> };

type Verbs = { [Name in VerbName]: (...args: VerbArguments<Name>) => VerbAnswer<Name> };
type Opened = { database: Database; group: Group; verbs: Verbs; close(): void };

serve();

function serve(): void {
  let opened: Opened | undefined;
  let closing = false;
  const verb =
    <Name extends VerbName>(name: Name) =>
    (args: VerbArguments<Name>): VerbAnswer<Name> => {
      if (opened === undefined) throw new Error(`Call ${name} of the store: it is not open`);
      const { group, verbs } = opened;
      return group.call(() => verbs[name](...args));
    };
  // Made from the names of the same table that the type is made from.
  const verbs = Object.fromEntries(verbNames.map((name) => [name, verb(name)])) as Pick<
    StoreMethods,
    VerbName
  >;
  const backup = backupJob();
  const methods: StoreMethods = {
    open(options) {
      const { identity, ...rest } = openDatabase(options);
      opened = rest;
      return identity;
    },
    close() {
      closing = true;
    },
    beginBackup: backup.ask,
    endBackup: backup.take,
    ...verbs,
  };
  serveWorker(methods, (runs) => {
    if (opened === undefined) {
      for (const run of runs) run();
      return;
    }
    try {
      opened.group.all(runs);
    } catch (error) {
      backup.forget();
      throw error;
    }
    backup.run(opened.database);
    if (!closing) return;
    opened.close();
    opened = undefined;
  });
}

function openDatabase(options: OpenArguments): Opened & { identity: StoreIdentity } {
  const database = openSqlite({
    path: options.path,
    exclusive: options.path !== ":memory:",
    cacheKib: limits.storeCacheKib,
    checkpointPages: limits.storeCheckpointPages,
  });
  try {
    const version = migrate(database);
    const identity = readIdentity(database, options, version);
    seedProfiles(database, options.now);
    const tokens = tokenVerbs(database);
    const messages = messageVerbs(database);
    const verbs = {
      ...tokens,
      ...renewalVerbs(database, tokens),
      ...agentVerbs(database, tokens),
      ...profileVerbs(database),
      ...messages,
      ...obligationVerbs(database, messages.applyWrites),
      ...quarantineVerbs(database),
      ...presenceVerbs(database),
      ...insightVerbs(database),
      ...upkeepVerbs(database),
      ...auditVerbs(database),
    };
    // Finalizes every statement too: a statement that is left keeps the file and its lock.
    return { identity, database, group: groupCommit(database), verbs, close: () => database.close(true) };
  } catch (error) {
    database.close(true);
    throw error;
  }
}

/** The one backup that is asked for: written between two groups, its outcome kept until it is asked for. */
function backupJob() {
  let asked: string | undefined;
  let outcome: { size: number } | { error: unknown } | undefined;
  return {
    ask(file: string): void {
      asked = file;
      outcome = undefined;
    },
    /** Who asked was told that it failed. */
    forget(): void {
      asked = undefined;
    },
    run(database: Database): void {
      if (asked === undefined) return;
      try {
        outcome = { size: writeBackup(database, asked) };
      } catch (error) {
        outcome = { error };
      }
      asked = undefined;
    },
    take(): number {
      if (outcome === undefined) throw new Error("End a backup: none was begun");
      if ("error" in outcome) throw outcome.error;
      return outcome.size;
    },
  };
}
