/**
 * The SQLite twin of the relay's store: one file, one process, one thread that owns the connection. A second
 * process that opens the same file is refused.
 */
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { SqliteBusyError } from "../base/sqlite.ts";
import { type WorkerClient, workerClient } from "../base/worker.ts";
import { uuidV7 } from "../wire/id.ts";
import { SchemaError } from "./migrate.ts";
import type { StoreMethods } from "./sqlite.worker.ts";
import type { RelayStore, StoreIdentity } from "./store.ts";
import { type VerbArguments, type VerbName, verbNames } from "./verbs.ts";

export type SqliteStoreOptions = {
  /** File path, or `:memory:` for tests. */
  path: string;
  /** The first opening makes the relay's id from clock and random. */
  clock: Clock;
  random: Random;
};

/**
 * Opens or makes the store.
 * @throws SqliteBusyError when another process has it open
 * @throws SchemaError when it is newer than this program or belongs to another one
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<RelayStore> {
  const { path, clock, random } = options;
  const worker = new Worker(new URL("./sqlite.worker.ts", import.meta.url).href);
  const client = workerClient<StoreMethods>(worker, "relay store");
  try {
    const now = clock.now();
    const identity = await client.call("open", { path, now, relayId: uuidV7(now, random.bytes(10)) });
    return storeOver(client, identity);
  } catch (error) {
    await client.close();
    throw openingError(path, error);
  }
}

function storeOver(client: WorkerClient<StoreMethods>, identity: StoreIdentity): RelayStore {
  let closed: Promise<void> | undefined;
  const call: WorkerClient<StoreMethods>["call"] = (method, argument) =>
    closed === undefined
      ? client.call(method, argument)
      : Promise.reject(new Error(`Call ${method} of the relay's store: it was closed`));
  // Made from the names of the same table that the type is made from.
  const verbs = Object.fromEntries(
    verbNames.map((name) => [name, (...args: VerbArguments<VerbName>) => call(name, args as never)]),
  ) as unknown as Pick<RelayStore, VerbName>;
  return {
    identity,
    ...verbs,
    // In bounded steps, like everything that may touch many rows: writes are not held up for long.
    async acknowledgeInbox(...args) {
      for (let held = -1; ; ) {
        const seq = await verbs.acknowledgeInbox(...args);
        if (seq >= args[1] || seq === held) return seq;
        held = seq;
      }
    },
    // What was committed before is taken into the search first.
    async searchMessages(query) {
      while ((await verbs.indexMessages()) > 0);
      return verbs.searchMessages(query);
    },
    async prune(...args) {
      let gone = 0;
      for (;;) {
        const step = await verbs.prune(...args);
        gone += step;
        if (step === 0) return gone;
      }
    },
    async backup(file) {
      await call("beginBackup", file);
      return call("endBackup", null);
    },
    close() {
      closed ??= client.call("close", null).finally(() => client.close());
      return closed;
    },
  };
}

/** Errors lose their class on the way out of a thread; the ones that a caller tells apart get it back. */
function openingError(path: string, error: unknown): Error {
  const fault = error instanceof Error ? error : new Error(String(error));
  if (fault.name === "SqliteBusyError") {
    return new SqliteBusyError(
      `Open the relay's database ${path}: another process uses it; stop that relay or choose another home`,
      { cause: fault },
    );
  }
  if (fault.name === "SchemaError") return new SchemaError(`${fault.message} (${path})`, { cause: fault });
  return new Error(`Open the relay's database ${path}: ${fault.message}`, { cause: fault });
}
