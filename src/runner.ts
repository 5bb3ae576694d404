/**
 * One agent with its own MCP endpoint. The wiring of the runner: credential, outbox, proxy, control server, feed and
 * the agent's process are joined here, and the real clock, random source and disk come in. What the relay does or
 * does not answer never decides whether the agent runs.
 */
import { constants } from "node:os";
import { askVersion } from "./agent/ask-version.ts";
import { scrubbedEnvironment } from "./agent/environment.ts";
import { exitCodeOf } from "./agent/life.ts";
import type { LaunchPlan, ProviderName, SessionFacts } from "./agent/provider.ts";
import { providers } from "./agent/providers.ts";
import type { AgentEnd } from "./agent/supervisor.ts";
import { tooOld } from "./agent/version.ts";
import { authorityOf } from "./base/authority.ts";
import { realClock, sleep } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import { endRecordedGroup, processStart } from "./base/process.ts";
import { realRandom } from "./base/random.ts";
import { limits } from "./limits.ts";
import { drainHome } from "./outboxes.ts";
import type { ControlServer } from "./runner/control.ts";
import { loadEndpointFile } from "./runner/endpoint-file.ts";
import { type RunnerInfo, readInfoFile, removeInfoFile, writeInfoFile } from "./runner/info-file.ts";
import { programVersion } from "./runner/program-version.ts";
import { keepRunnerToken, type RenewalOptions, recoverRunnerToken } from "./runner/renewal.ts";
import { readConfig, settingsFor } from "./runner/settings.ts";
import { launchRequest } from "./runner-launch.ts";
import {
  openControl,
  openEndpoint,
  openParts,
  openSessionScratch,
  type Parts,
  type RunnerOptions,
} from "./runner-parts.ts";
import { type AgentSession, startAgentSession } from "./runner-session.ts";
import { type FeedState, followFeed } from "./sdk/feed.ts";
import { mcpPath } from "./wire/api.ts";
import { RelayError } from "./wire/error.ts";
import { defaultProfile } from "./wire/scope.ts";

export { providerNames } from "./agent/provider.ts";
export { isProviderName } from "./agent/providers.ts";
export { ConfigError } from "./runner/settings.ts";
export type { RunnerOptions } from "./runner-parts.ts";

/** Settings for a provider from `config.toml` in the home, by profile. Throws `ConfigError` when it is not right. */
export function machineSettings(
  home: string,
  provider: ProviderName,
): NonNullable<RunnerOptions["settings"]> {
  const config = readConfig(home);
  return (profile) => settingsFor(config, provider, profile);
}

type ReadyPlan = Extract<LaunchPlan, { status: "ready" }>;

/** The agent's program cannot be started. Told before anything is written or the relay is asked. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";
}

/** A running agent with everything around it. */
export type Runner = {
  readonly agentName: string;
  readonly agentId: string;
  readonly mcpUrl: string;
  readonly pid: number;
  /** The agent has ended for good. */
  readonly ended: Promise<AgentEnd>;
  /** Asks the agent to end, then forces it. */
  stop(): void;
  interrupt(): void;
  /** After the agent's end: delivers what can be delivered and closes; how many writes are left on this machine. */
  close(): Promise<{ left: number; folder: string }>;
};

/**
 * Starts the agent's endpoint, then the agent. Rejects when its program is not there, the agent cannot be enrolled, another runner owns its
 * outbox, or direct mode would strand queued writes; nothing runs then.
 */
export async function startRunner(options: RunnerOptions): Promise<Runner> {
  const plan = firstPlan(options);
  const parts = await openParts(options);
  const checked = sayTooOld(options, plan);
  const { credential, folder } = parts;
  let control: ControlServer | undefined;
  try {
    await endPredecessor(folder, options.log);
    parts.scratch = openSessionScratch(parts);
    const saved = loadEndpointFile(folder, "proxy", realRandom);
    parts.endpoint = await openEndpoint(parts, saved);
    control = openControl(parts);
    await checkProfile(parts);
    const session = await sessionFacts(parts, saved.secret);
    const info = infoOf(parts, session, control);
    writeInfoFile(folder, info);
    await checked;
    const agent = startAgentSession(parts, session, (child) => writeInfoFile(folder, { ...info, child }));
    parts.session = agent;
    follow(parts, agent);
    const opened = control;
    return {
      agentName: credential.agentName,
      agentId: credential.agentId,
      mcpUrl: session.mcpUrl,
      pid: process.pid,
      ended: agent.ended,
      stop: () => agent.stop(),
      interrupt: () => agent.interrupt(),
      close: () => closeAll(parts, agent, opened),
    };
  } catch (error) {
    parts.closing.abort();
    parts.acknowledge.close();
    control?.close();
    await parts.endpoint?.close();
    await parts.outbox.close();
    parts.scratch?.close();
    throw error;
  }
}

/** The exit code with which a runner passes its agent's end on. */
export function runnerExitCode(end: AgentEnd): number {
  const exit = end.code === null && end.signal === null ? undefined : { code: end.code, signal: end.signal };
  return exitCodeOf({ cause: end.cause, exit }, (signal) => constants.signals[signal]);
}

/** What the agent is told of its session. A first token is waited for shortly; later ones never. */
async function sessionFacts(parts: Parts, secret: string): Promise<SessionFacts> {
  const { options, tokens, endpoint } = parts;
  if (tokens.facts() === undefined)
    await Promise.race([tokens.refresh(), sleep(realClock, limits.knownRelayWaitMs)]);
  const direct = tokens.current();
  if (endpoint === undefined && (direct === undefined || tokens.state() !== "fresh")) {
    throw new RelayError(
      "unavailable",
      `Run ${options.agentName} without its proxy: the relay gave no token for it`,
    );
  }
  const facts = tokens.facts();
  return {
    mcpUrl: endpoint?.url ?? `${options.relayUrl}${mcpPath}`,
    sessionToken: {
      name: "AGENT_RELAY_SESSION_TOKEN",
      value: endpoint === undefined ? (direct ?? "") : secret,
    },
    agentName: options.agentName,
    relayUrl: options.relayUrl,
    approval: "provider",
    token: {
      jti: facts?.jti ?? "",
      profile: facts?.profile ?? "",
      expiresAt: facts === undefined ? "" : new Date(facts.expiresAt).toISOString(),
    },
    workspaceMode: "shared",
  };
}

/** Refuses another profile than the agent has: the person may have wanted it to be allowed less. */
async function checkProfile({ options, tokens, credentials }: Parts): Promise<void> {
  const { agentName, profile: wanted } = options;
  const held = () => tokens.facts()?.profile ?? credentials.current().profile ?? defaultProfile.name;
  if (wanted === undefined || held() === wanted) return;
  // It may have been changed while the agent did not run.
  await Promise.race([tokens.refresh(), sleep(realClock, limits.knownRelayWaitMs)]);
  if (held() === wanted) return;
  throw new RelayError(
    "bad_request",
    `Run ${agentName} with profile '${wanted}': the agent has profile '${held()}'; leave --profile out, ` +
      `or change it with 'agent-relay agents profile ${agentName} ${wanted}'`,
  );
}

/** Facts of no session: enough to see whether the agent's program can be started at all. */
const noSession: SessionFacts = {
  mcpUrl: "http://127.0.0.1/",
  sessionToken: { name: "AGENT_RELAY_SESSION_TOKEN", value: "" },
  agentName: "",
  relayUrl: "",
  approval: "provider",
  token: { jti: "", profile: "", expiresAt: "" },
  workspaceMode: "shared",
};

/** The start of the agent's program without a session: says whether it can be started at all. */
function firstPlan(options: RunnerOptions): ReadyPlan {
  const environment = scrubbedEnvironment(options.environment);
  const plan = providers[options.provider].launch(
    launchRequest(options, { session: noSession, environment }),
  );
  if (plan.status === "refused") throw new LaunchError(`Run ${options.agentName}: ${plan.reason}`);
  return plan;
}

/** Says so when the program is too old; one that was asked before costs no time. Never rejects. */
async function sayTooOld(options: RunnerOptions, { command, env }: ReadyPlan): Promise<void> {
  if (options.provider === "exec") return;
  const text = await programVersion(options.home, command[0] ?? "", (program) =>
    askVersion({ command: [program, "--version"], env, cwd: options.cwd }, realClock),
  );
  const advice = text === undefined ? undefined : tooOld(options.provider, text);
  if (advice !== undefined) options.say(advice);
}

/** Keeps the token alive and follows the feed, in the background, until the runner closes. */
function follow(parts: Parts, agent: AgentSession): void {
  const { closing, log, say } = { ...parts, ...parts.options };
  void parts.tokens.run(closing.signal);
  void keepRunnerToken(renewalOf(parts), closing.signal);
  const told = (error: unknown) => {
    parts.feed = "ended";
    parts.displaced = error instanceof RelayError && error.code === "displaced";
    log.error("The feed ended for good", { error });
    const why = error instanceof Error ? error.message : String(error);
    say(`the relay no longer accepts this runner: ${why}`);
    agent.tell(
      `Agent Relay: this agent is no longer accepted by the relay (${why}). Its tools for messages will refuse; tell your user, and go on with what you can do without them.`,
    );
  };
  void followRelay(parts, agent).catch(told);
  drainOthers(parts.options.home, log, closing.signal);
}

/** What the runner's own token is renewed with. */
function renewalOf({ credentials, relay, options }: Parts): RenewalOptions {
  const log = options.log.with({ part: "token" });
  return { credentials, renew: relay.renewToken, clock: realClock, random: realRandom, limits, log };
}

/** Looks after what agents of this machine have left that do not run, once this one is on its way. */
function drainOthers(home: string, log: Log, signal: AbortSignal): void {
  const failed = (error: unknown) =>
    log.warn("The writes that others have left were not looked after", { error });
  void sleep(realClock, limits.orphanSliceMs, signal)
    .then(() => drainHome(home, log.with({ part: "drain" }), signal))
    .catch(failed);
}

async function followRelay(parts: Parts, agent: AgentSession): Promise<void> {
  const { options, credentials, closing, outbox, tokens, directory, acknowledge } = parts;
  const onOpen = () => {
    outbox.kick();
    acknowledge.retry();
    agent.relayBack();
    parts.endpoint?.upstreamListChanged();
    void refreshDirectory(parts);
  };
  let recovering = false;
  const recover = () => {
    if (recovering) return;
    recovering = true;
    void recoverRunnerToken(renewalOf(parts)).finally(() => {
      recovering = false;
    });
  };
  let heard = false;
  const first = (state: FeedState) => {
    if (heard || state === "connecting") return;
    heard = true;
    // A program of exec owns its output; nobody reads there what a person would.
    if (state === "waiting" && options.provider !== "exec")
      options.say(
        `the relay at ${options.relayUrl} is not reached now; ${options.agentName} runs all the same, and what it sends waits here`,
      );
  };
  const feed = followFeed({
    url: options.relayUrl,
    token: () => credentials.current().secret,
    ca: authorityOf(options.home),
    clock: realClock,
    random: realRandom,
    signal: closing.signal,
    onState: (state, error) => {
      parts.feed = state;
      options.log.debug("feed", { state, ...(error === undefined ? {} : { error }) });
      first(state);
      if (state === "open") onOpen();
      if (error instanceof RelayError && error.code === "unauthorized") recover();
    },
  });
  for await (const { event } of feed) {
    if (event.type === "message") {
      directory.addMessage(event.message);
      acknowledge.handed(event.message.id);
      agent.message(event.message);
    }
    if (event.type !== "changed") continue;
    if (event.subject === "agents") void refreshDirectory(parts);
    if (event.subject === "obligations") agent.repliesChanged();
    // An agent that talks to the relay itself has the token it was started with: another one would end it sooner.
    const isHeld = parts.endpoint !== undefined;
    if (isHeld && (event.subject === "token" || event.subject === "profile")) void tokens.refresh();
  }
}

async function refreshDirectory({ relay, directory, options }: Parts): Promise<void> {
  try {
    directory.setAgents((await relay.listAgents({})).agents);
  } catch (error) {
    options.log.debug("The directory was not refreshed", { error });
  }
}

/** Ends what an earlier runner of this agent left running when it was killed. */
async function endPredecessor(folder: string, log: Log): Promise<void> {
  const info = readInfoFile(folder);
  if (info?.child === undefined) return;
  const end = await endRecordedGroup(info.child, realClock);
  log.info("Looked for an agent left behind by an earlier runner", { pid: info.child.pid, end });
}

async function closeAll(
  parts: Parts,
  agent: AgentSession,
  control: ControlServer,
): Promise<{ left: number; folder: string }> {
  const { outbox, folder, closing, endpoint } = parts;
  await Promise.all([outbox.flush(limits.pumpFlushMs), agent.ended.then((end) => agent.close(end))]);
  await endpoint?.close();
  control.close();
  closing.abort();
  parts.acknowledge.close();
  const left = outbox.status().depth;
  await outbox.close();
  parts.scratch?.close();
  removeInfoFile(folder);
  return { left, folder };
}

function infoOf(
  { options, credential, endpoint }: Parts,
  session: SessionFacts,
  control: ControlServer,
): RunnerInfo {
  return {
    pid: process.pid,
    startTime: processStart(process.pid) ?? "unknown",
    startedAt: new Date(realClock.now()).toISOString(),
    agentName: credential.agentName,
    agentId: credential.agentId,
    relayUrl: options.relayUrl,
    relayId: credential.relayId,
    provider: options.provider,
    cwd: options.cwd,
    mode: endpoint === undefined ? "direct" : "proxy",
    mcpUrl: session.mcpUrl,
    controlUrl: control.url,
  };
}
