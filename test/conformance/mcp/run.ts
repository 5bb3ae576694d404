/**
 * `npm run conformance`: the official suite against the fixture and with the client, directly and through
 * `agent-relay proxy`, compared check by check, and the relay's own endpoint. `-- --write` puts the tables into
 * docs/conformance.md, `-- --keep` leaves the suite's files, `-- --relay` asks the relay only.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { firstLine, launch, type Program, stopAll, until } from "../../../examples/demo/programs.ts";
import { waitingClock } from "../../../src/base/clock.ts";
import { realRandom } from "../../../src/base/random.ts";
import { createClient } from "../../../src/sdk/client.ts";
import { mcpPath } from "../../../src/wire/api.ts";
import { tokenHash, tokenText } from "../../../src/wire/token.ts";
import { startRelayProcess } from "../../relay/relay-process.ts";
import { scenarios } from "./client-scenarios.ts";
import { allowedSchema, type Check, compare, judge, type Results, tally } from "./compare.ts";
import { openHeaderPipe } from "./header-pipe.ts";
import { judgeRelay, type RelayReport, reasonsSchema, relayTable } from "./relay-checks.ts";
import { faults, type SuiteReport, table, withBlock } from "./report.ts";
import {
  clientScenarios,
  installSuite,
  type Revision,
  readResults,
  revisions,
  type Suite,
  versions,
} from "./suite.ts";

/** Everything together; what a fault leaves hanging is stopped then. */
const totalMs = 235_000;
const serverSuiteMs = 90_000;
const clientScenarioMs = 45_000;
const readyMs = 15_000;

const root = resolve(import.meta.dir, "../../..");
const bun = join(root, "tools/bun");
const document = join(root, "docs/conformance.md");
const ways = ["direct", "proxied"] as const;
type Way = (typeof ways)[number];

/** What one run of the whole shares. */
type Session = { suite: Suite; folder: string; signal: AbortSignal; programs: Program[] };
/** Results of one suite in one way, and what went wrong in it. */
type Outcome = { results: Results; unsound: string[] };

const readySchema = z.object({ url: z.string(), secretFile: z.string().optional() });

async function start(session: Session, name: string, command: string[]) {
  const program = launch({ name, command, folder: session.folder, environment: process.env });
  session.programs.push(program);
  const wait = { what: name, forMs: readyMs, clock: waitingClock, signal: session.signal };
  const line = await until(wait, () => firstLine(program, 0));
  return readySchema.parse(JSON.parse(line));
}

/** The server suites of one way, one after the other on a fresh fixture. */
async function serverSuites(session: Session, way: Way): Promise<Map<Revision, Outcome>> {
  const fixture = join(import.meta.dir, "everything-server.ts");
  let { url } = await start(session, `fixture-${way}`, [bun, fixture]);
  let close = () => {};
  if (way === "proxied") {
    const home = join(session.folder, "home");
    const command = [join(root, "bin/agent-relay"), "proxy", "--upstream", url, "--home", home, "--json"];
    const proxy = await start(session, "proxy", command);
    const secret = readFileSync(proxy.secretFile ?? "", "utf8").trim();
    const pipe = await openHeaderPipe({ proxyUrl: proxy.url, secret });
    ({ url, close } = pipe);
  }
  const outcomes = new Map<Revision, Outcome>();
  try {
    for (const revision of revisions) {
      const out = join(session.folder, `server-${revision}-${way}`);
      const given = ["server", "--url", url, "--requirements", revision, "-o", out];
      const { signal } = session;
      const { code } = await session.suite.run(given, { forMs: serverSuiteMs, signal });
      const results = readResults(out);
      const ended = code === 0 ? [] : [`the suite ended with ${code}`];
      outcomes.set(revision, { results, unsound: [...ended, ...failed(results)] });
    }
  } finally {
    close();
  }
  return outcomes;
}

/** One client scenario; its exit code, which tells a client that failed or hung, is a check of its own. */
async function clientScenario(
  session: Session,
  { scenario, revision, way }: { scenario: string; revision: Revision; way: Way },
): Promise<Check[]> {
  const out = join(session.folder, `client-${revision}-${way}-${scenario}`);
  // The suite splits the command at spaces and gives it to a shell, which joins what is quoted.
  const command = `"${bun}" "${join(import.meta.dir, "client.ts")}"`;
  const given = [
    "client",
    "--command",
    command,
    "--scenario",
    scenario,
    "--spec-version",
    revision,
    "-o",
    out,
  ];
  const { code, output } = await session.suite.run(given, {
    forMs: clientScenarioMs,
    signal: session.signal,
    environment: { CONFORMANCE_THROUGH: way === "proxied" ? "proxy" : "nothing" },
  });
  const ended: Check = {
    id: "client-scenario-passed",
    name: "client-scenario-passed",
    status: code === 0 ? "SUCCESS" : "FAILURE",
    ...(code === 0 ? {} : { errorMessage: output.slice(-600).trim() }),
  };
  return [...[...readResults(out).values()].flat(), ended];
}

/** The client scenarios of one revision and way, two at a time. */
async function clientSuite(session: Session, revision: Revision, way: Way): Promise<Outcome> {
  const left = Object.entries(scenarios)
    .filter(([, { versions }]) => versions.includes(revision))
    .map(([name]) => name);
  const results = new Map<string, readonly Check[]>();
  const worker = async () => {
    for (let scenario = left.shift(); scenario !== undefined; scenario = left.shift()) {
      results.set(scenario, await clientScenario(session, { scenario, revision, way }));
    }
  };
  await Promise.all([worker(), worker()]);
  return { results, unsound: failed(results) };
}

function failed(results: Results): string[] {
  return [...results].flatMap(([scenario, checks]) =>
    checks.some(({ status }) => status === "FAILURE") ? [`${scenario} failed`] : [],
  );
}

/** Fails when the client leaves out, or has too much of, what the suite lists. */
async function checkClientScenarios(session: Session): Promise<void> {
  for (const revision of revisions) {
    const given = ["list", "--requirements", revision];
    const { output } = await session.suite.run(given, { forMs: readyMs, signal: session.signal });
    const ours = Object.entries(scenarios).filter(([, { versions }]) => versions.includes(revision));
    const [wanted, have] = [clientScenarios(output), ours.map(([name]) => name).sort()];
    if (wanted.join() !== have.join()) {
      throw new Error(`Run the client suite ${revision}: it lists ${wanted}, and the client has ${have}`);
    }
  }
}

function report(
  suite: string,
  counted: boolean,
  outcomes: { direct: Outcome; proxied: Outcome },
): SuiteReport {
  const [direct, proxied] = [outcomes.direct.results, outcomes.proxied.results];
  return {
    suite,
    scenarios: direct.size,
    direct: tally(direct),
    proxied: tally(proxied),
    differences: compare(suite, { direct, proxied, counted }),
    unsound: outcomes.direct.unsound,
  };
}

async function runAll(session: Session): Promise<SuiteReport[]> {
  await checkClientScenarios(session);
  const reports: SuiteReport[] = [];
  const [direct, proxied] = [await serverSuites(session, "direct"), await serverSuites(session, "proxied")];
  const nothing: Outcome = { results: new Map(), unsound: ["it was not run"] };
  for (const revision of revisions) {
    const outcomes = { direct: direct.get(revision) ?? nothing, proxied: proxied.get(revision) ?? nothing };
    reports.push(report(`server ${revision}`, true, outcomes));
  }
  for (const revision of revisions) {
    const outcomes = {
      direct: await clientSuite(session, revision, "direct"),
      proxied: await clientSuite(session, revision, "proxied"),
    };
    reports.push(report(`client ${revision}`, false, outcomes));
  }
  return reports;
}

/** The server suites against the relay's own endpoint, as an agent that may do everything an agent may. */
async function relaySuites(session: Session): Promise<RelayReport[]> {
  const relay = await startRelayProcess(join(session.folder, "relay"));
  const reports: RelayReport[] = [];
  try {
    const secret = await agentToken(relay);
    const pipe = await openHeaderPipe({ proxyUrl: `${relay.url}${mcpPath}`, secret });
    for (const revision of revisions) {
      const out = join(session.folder, `relay-${revision}`);
      const given = ["server", "--url", pipe.url, "--requirements", revision, "-o", out];
      // Its exit code says that something failed, which what does not apply does.
      await session.suite.run(given, { forMs: serverSuiteMs, signal: session.signal });
      reports.push(judgeRelay(revision, readResults(out), relayReasons()));
    }
    pipe.close();
  } finally {
    await relay.kill();
  }
  return reports;
}

async function agentToken(relay: { url: string; operatorToken: string }): Promise<string> {
  const [runnerToken, token] = [
    tokenText("runner", realRandom.bytes(32)),
    tokenText("agent", realRandom.bytes(32)),
  ];
  const operator = createClient({ url: relay.url, token: () => relay.operatorToken });
  const runner = createClient({ url: relay.url, token: () => runnerToken });
  const facts = { agentName: "witness", provider: "exec", machine: "suite" };
  await operator.enrolRunner({ ...facts, secretHash: tokenHash(runnerToken) });
  await runner.mintAgentToken({ secretHash: tokenHash(token) });
  return token;
}

function relayReasons() {
  const list = readFileSync(join(import.meta.dir, "relay-reasons.json"), "utf8");
  return reasonsSchema.parse(JSON.parse(list));
}

/** Prints the tables and what is wrong; the exit code. */
function conclude(
  { reports, relay }: { reports: readonly SuiteReport[]; relay: readonly RelayReport[] },
  seconds: number,
  write: boolean,
): number {
  const list = readFileSync(join(import.meta.dir, "differences.json"), "utf8");
  // Where only the relay was asked there is nothing that could differ.
  const allowed = reports.length === 0 ? [] : allowedSchema.parse(JSON.parse(list));
  const judged = judge(
    reports.flatMap(({ differences }) => differences),
    allowed,
  );
  const wrong = [
    ...faults(reports, judged),
    ...relay.flatMap((one) => one.faults.map((fault) => `relay · ${fault}`)),
  ];
  const tools = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const block =
    reports.length === 0
      ? ""
      : `${table(reports)}\n\n${tools.join(", ")}, Bun ${Bun.version}; ${allowed.length} differences allowed.`;
  const own = relayTable(relay, relayReasons());
  console.log(`${block}\n\n${own}\n`);
  for (const line of wrong) console.log(`not ok  ${line}`);
  console.log(`${wrong.length === 0 ? "ok" : "not ok"}: ${wrong.length} faults, ${seconds.toFixed(0)} s`);
  if (write) {
    const old = readFileSync(document, "utf8");
    const text = reports.length === 0 ? old : withBlock(old, block);
    writeFileSync(document, withBlock(text, own, "relay"));
  }
  return wrong.length === 0 ? 0 : 1;
}

async function main(options: { write: boolean; keep: boolean; relay: boolean }): Promise<number> {
  const begun = waitingClock.monotonic();
  const stop = new AbortController();
  const cancel = waitingClock.after(totalMs, () => stop.abort());
  const interrupt = () => stop.abort();
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-conformance-run-"));
  mkdirSync(join(folder, "home"), { mode: 0o700 });
  const programs: Program[] = [];
  try {
    const suite = await installSuite(stop.signal);
    const session = { suite, folder, signal: stop.signal, programs };
    const relay = await relaySuites(session);
    const reports = options.relay ? [] : await runAll(session);
    return conclude({ reports, relay }, (waitingClock.monotonic() - begun) / 1_000, options.write);
  } finally {
    cancel();
    await stopAll(
      programs.filter(({ running }) => running()),
      6_000,
      waitingClock,
    );
    if (options.keep) console.log(`The suite's files are in ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}

const { values: options } = parseArgs({
  args: Bun.argv.slice(2),
  options: {
    write: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    relay: { type: "boolean", default: false },
  },
});
process.exit(await main(options));
