/**
 * Loaded before the product's own code in the worker that holds a database: wraps the SQL verbs of Bun's SQLite, so
 * that the process dies at the point it was told. Also the control `synchronous=NORMAL`: the product asks for FULL,
 * reads FULL back, and does not have it.
 */
import { Database, type Statement } from "bun:sqlite";
import { crashOf, die, note } from "./die.ts";
import { type Crash, lazySyncVariable, type SqlPoint, sqlPoints } from "./points.ts";

type Verb = "run" | "get" | "all";
type Wrapped = { [Name in Verb]: (...values: unknown[]) => unknown };

const crash = crashOf(process.env);
const point: SqlPoint | undefined =
  crash !== undefined && crash.point in sqlPoints
    ? sqlPoints[crash.point as keyof typeof sqlPoints]
    : undefined;
const lazySync = process.env[lazySyncVariable] !== undefined;

/** SQL of the running transaction that has the point's form. */
let written = false;
let occurrence = 0;

/** True at the occurrence that was asked for. */
function isNow(wanted: Crash): boolean {
  occurrence += 1;
  return occurrence === wanted.nth;
}

function onStatement(sql: string): void {
  if (crash === undefined || point === undefined || !point.of.test(sql)) return;
  written = true;
  if (point.at === "statement" && isNow(crash)) die(crash);
}

/** A thread that kills the process after so many µs: the only way to end it in the middle of a blocking call. */
function startKiller(): (afterUs: number) => void {
  const shared = new SharedArrayBuffer(8);
  const flags = new Int32Array(shared);
  const source = `self.onmessage = ({ data }) => {
    const flags = new Int32Array(data);
    Atomics.wait(flags, 0, 0);
    const end = performance.now() + Atomics.load(flags, 1) / 1000;
    while (performance.now() < end);
    process.kill(${process.pid}, "SIGKILL");
  };`;
  const killer = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  killer.postMessage(shared);
  return (afterUs) => {
    Atomics.store(flags, 1, afterUs);
    Atomics.store(flags, 0, 1);
    Atomics.notify(flags, 0);
  };
}

const kill = point?.when === "during" ? startKiller() : undefined;

function commit(database: Database, run: () => unknown): unknown {
  const hit = written && crash !== undefined && point?.at === "commit" && isNow(crash) ? crash : undefined;
  written = false;
  if (hit !== undefined && point?.when === "before") die(hit);
  const changes = run();
  if (hit !== undefined && point?.when === "after") die(hit);
  if (hit !== undefined && kill !== undefined) {
    note(hit.hits, hit.point);
    kill(Math.floor(Math.random() * 900));
    originalRun.call(database, "PRAGMA wal_checkpoint(TRUNCATE)");
    note(hit.hits, `${hit.point} was over`);
    for (;;);
  }
  return changes;
}

const isCommit = (sql: string) => /^\s*COMMIT/i.test(sql);

const originalRun = Database.prototype.run;
Database.prototype.run = function (this: Database, sql: string, ...rest: never[]) {
  if (lazySync && /^\s*BEGIN IMMEDIATE/i.test(sql)) originalRun.call(this, "PRAGMA synchronous = NORMAL");
  const go = () => originalRun.call(this, sql, ...rest);
  if (isCommit(sql)) return commit(this, go) as ReturnType<typeof originalRun>;
  onStatement(sql);
  return go();
} as typeof originalRun;

/** `query` gives the same statement again for the same text. */
const wrappedOnes = new WeakSet<Statement>();

for (const name of ["query", "prepare"] as const) {
  const original = Database.prototype[name] as (sql: string, ...rest: unknown[]) => Statement;
  const wrapped = function (this: Database, sql: string, ...rest: unknown[]): Statement {
    const statement = original.call(this, sql, ...rest);
    const commits = isCommit(sql);
    if ((!commits && point?.of.test(sql) !== true) || wrappedOnes.has(statement)) return statement;
    wrappedOnes.add(statement);
    const own = statement as unknown as Wrapped;
    for (const verb of ["run", "get", "all"] as const) {
      const plain = own[verb].bind(statement);
      own[verb] = (...values) => {
        if (commits) return commit(this, () => plain(...values));
        onStatement(sql);
        return plain(...values);
      };
    }
    return statement;
  };
  Database.prototype[name] = wrapped as never;
}
