/**
 * Group commit: calls that arrived together run in one transaction and share one fsync. Each has its own savepoint,
 * so that a call that fails takes back only itself; when the commit fails, all of them fail and nothing is visible.
 */
import type { Database } from "bun:sqlite";

export type Group = {
  /** Runs one call of the group in its own savepoint; undone when it throws. */
  call<Value>(work: () => Value): Value;
  /** Runs the calls in order in one transaction. Throws when it could not be committed. */
  all(runs: readonly (() => void)[]): void;
};

/**
 * @param database the only connection that writes; nothing else may begin a transaction on it
 */
export function groupCommit(database: Database): Group {
  const begin = database.prepare("BEGIN IMMEDIATE");
  const commit = database.prepare("COMMIT");
  const within = savepoint(database, "call_of_group");
  // Some failures (disk full, I/O) end the whole transaction. A savepoint begun after that would be a transaction
  // of its own and commit alone, so nothing runs any more until the group has ended.
  let lost: unknown;
  return {
    call(work) {
      if (lost !== undefined) throw lost;
      try {
        return within(work);
      } catch (error) {
        if (!database.inTransaction) lost = error;
        throw error;
      }
    },
    all(runs) {
      lost = undefined;
      begin.run();
      try {
        for (const run of runs) run();
        if (lost !== undefined) throw lost;
        commit.run();
      } catch (error) {
        if (database.inTransaction) database.run("ROLLBACK");
        throw error;
      }
    },
  };
}

/**
 * A function that runs work in a savepoint and undoes it when it throws. Must be used inside a transaction.
 * @param name of the savepoint; savepoints that nest need different names
 */
export function savepoint(database: Database, name: string): <Value>(work: () => Value) => Value {
  const begin = database.prepare(`SAVEPOINT ${name}`);
  const release = database.prepare(`RELEASE ${name}`);
  const undo = database.prepare(`ROLLBACK TO ${name}`);
  return (work) => {
    begin.run();
    try {
      const value = work();
      release.run();
      return value;
    } catch (error) {
      if (database.inTransaction) {
        undo.run();
        release.run();
      }
      throw error;
    }
  };
}
