/**
 * One agent with its own MCP endpoint. The wiring of the runner: credential, outbox, proxy, control server, feed and
 * the agent's process are joined here, and the real clock, random source and disk come in. What the relay does or
 * does not answer never decides whether the agent runs.
 */
import { constants } from "node:os";
import { join } from "node:path";
import { type Environment, scrubbedEnvironment } from "./agent/environment.ts";
import { exitCodeOf } from "./agent/life.ts";
import { type LaunchPlan, mcpServerName, type ProviderName, type SessionFacts } from "./agent/provider.ts";
import { providers } from "./agent/providers.ts";
import { type AgentEnd, type Supervisor, supervise } from "./agent/supervisor.ts";
import { realClock, sleep } from "./base/clock.ts";
import { privateFolder } from "./base/file.ts";
import { createHttpClient } from "./base/http/client.ts";
import type { Log } from "./base/log.ts";
import { endRecordedGroup, findProgram, type ProcessIdentity } from "./base/process.ts";
import { realRandom } from "./base/random.ts";
import { limits } from "./limits.ts";
import { type OutboxHandle, openOutbox } from "./outbox/outbox.ts";
import { startEndpoint } from "./proxy/endpoint.ts";
import { type Endpoint, type EndpointOptions, PortTaken } from "./proxy/options.ts";
import { relayPolicy } from "./proxy/policy.ts";
import { type Acknowledger, acknowledger } from "./runner/acknowledge.ts";
import { type ControlServer, startControl } from "./runner/control.ts";
import { agentFolder, type EnrolledCredential, saveCredential } from "./runner/credential.ts";
import { createDirectory, type Directory } from "./runner/directory.ts";
import { type EndpointFile, loadEndpointFile, saveEndpointPort } from "./runner/endpoint-file.ts";
import { obtainCredential } from "./runner/enrol.ts";
import { type RunnerInfo, readInfoFile, removeInfoFile, writeInfoFile } from "./runner/info-file.ts";
import { folderMemory } from "./runner/memory.ts";
import { type TokenKeeper, tokenKeeper } from "./runner/token.ts";
import { awaitRelay } from "./sdk/await-relay.ts";
import { type Client, createClient } from "./sdk/client.ts";
import { relayDeliverer } from "./sdk/deliverer.ts";
import { type FeedState, followFeed } from "./sdk/feed.ts";
import { mcpPath } from "./wire/api.ts";
import { RelayError } from "./wire/error.ts";
import { toolDefinitions } from "./wire/tools.ts";

export type RunnerOptions = {
  home: string;
  relayUrl: string;
  agentName: string;
  /** This machine's name, for people. */
  machine: string;
  version: string;
  provider: ProviderName;
  /** What stands after `--`: for exec the command itself. */
  args: readonly string[];
  cwd: string;
  environment: Environment;
  /** The agent is at a person's terminal. */
  terminal: boolean;
  /** The off switch: the agent talks to the relay itself, with its scoped token. */
  direct: boolean;
  takeover: boolean;
  /** A token that may enrol; read only when there is no credential yet. */
  enrolmentToken(): string;
  log: Log;
  /** One line for the person. */
  say(line: string): void;
};

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

/** What the parts of one runner share. */
type Parts = {
  options: RunnerOptions;
  credential: EnrolledCredential;
  folder: string;
  relay: Client;
  tokens: TokenKeeper;
  directory: Directory;
  outbox: OutboxHandle;
  acknowledge: Acknowledger;
  closing: AbortController;
  /** Undefined in direct mode, and until it listens. */
  endpoint: Endpoint | undefined;
  feed: FeedState | "ended";
};

/**
 * Starts the agent's endpoint, then the agent. Rejects when the agent cannot be enrolled, another runner owns its
 * outbox, or direct mode would strand queued writes; nothing runs then.
 */
export async function startRunner(options: RunnerOptions): Promise<Runner> {
  const credential = await obtainCredential(enrolOptions(options));
  const folder = agentFolder(options.home, credential.relayId, credential.agentId);
  privateFolder(folder);
  const parts = await openParts(options, credential, folder);
  let control: ControlServer | undefined;
  try {
    await endPredecessor(folder, options.log);
    const saved = loadEndpointFile(folder, "proxy", realRandom);
    parts.endpoint = await openEndpoint(parts, saved);
    control = openControl(parts);
    const session = await sessionFacts(parts, saved.secret);
    const info = infoOf(parts, session, control);
    writeInfoFile(folder, info);
    const agent = launch(parts, session, (child) => writeInfoFile(folder, { ...info, child }));
    follow(parts);
    const opened = control;
    return {
      agentName: credential.agentName,
      agentId: credential.agentId,
      mcpUrl: session.mcpUrl,
      pid: process.pid,
      ended: agent.ended,
      stop: () => void agent.stop(),
      interrupt: () => agent.interrupt(),
      close: () => closeAll(parts, opened),
    };
  } catch (error) {
    parts.closing.abort();
    control?.close();
    await parts.endpoint?.close();
    await parts.outbox.close();
    throw error;
  }
}

/** The exit code with which a runner passes its agent's end on. */
export function runnerExitCode(end: AgentEnd): number {
  const exit = end.code === null && end.signal === null ? undefined : { code: end.code, signal: end.signal };
  return exitCodeOf({ cause: end.cause, exit }, (signal) => constants.signals[signal]);
}

function enrolOptions(options: RunnerOptions): Parameters<typeof obtainCredential>[0] {
  const client = (token: string | undefined) => createClient({ url: options.relayUrl, token: () => token });
  return {
    ...options,
    now: realClock.now(),
    random: realRandom,
    getRelay: (patient) =>
      awaitRelay(client(undefined), realClock, patient ? limits.enrolWaitMs : limits.knownRelayWaitMs),
    enrolRunner: (token, request) => client(token).enrolRunner(request),
  };
}

async function openParts(
  options: RunnerOptions,
  credential: EnrolledCredential,
  folder: string,
): Promise<Parts> {
  const { log, relayUrl } = options;
  const relay = createClient({ url: relayUrl, token: () => credential.secret });
  const directory = createDirectory(limits.outboxRecordsMax);
  const outbox = await openOutbox({
    dir: join(folder, "outbox"),
    relayId: credential.relayId,
    agentId: credential.agentId,
    limits,
    clock: realClock,
    random: realRandom,
    log: log.with({ part: "outbox" }),
    deliverer: relayDeliverer(relay, credential.storeId),
    recipientId: directory.recipientId,
    parentOf: directory.parentOf,
  });
  let parts: Parts | undefined;
  const tokens = tokenKeeper({
    credential,
    save: (changed) => saveCredential(options.home, changed),
    mint: (request) => relay.mintAgentToken(request),
    onAuthorization: () => parts?.endpoint?.authorizationChanged(),
    clock: realClock,
    random: realRandom,
    limits,
    log: log.with({ part: "token" }),
  });
  const acknowledge = acknowledger(
    (seq) => relay.acknowledgeInbox({ agent: credential.agentName, seq }),
    log.with({ part: "inbox" }),
  );
  parts = {
    ...{ options, credential, folder, relay, tokens, directory, outbox, acknowledge },
    closing: new AbortController(),
    endpoint: undefined,
    feed: "connecting",
  };
  return parts;
}

/** The endpoint at the address served before; undefined in direct mode. */
async function openEndpoint(parts: Parts, saved: EndpointFile): Promise<Endpoint | undefined> {
  const { options, folder, credential } = parts;
  if (options.direct) return refuseStranded(parts);
  const endpointOptions = endpointOptionsOf(parts, saved);
  const endpoint = await startEndpoint(endpointOptions).catch((error: unknown) => {
    if (!(error instanceof PortTaken) || saved.port === 0) throw error;
    options.say(`port ${saved.port} of ${credential.agentName}'s endpoint is taken now; another one is used`);
    return startEndpoint({ ...endpointOptions, port: 0 });
  });
  saveEndpointPort(folder, "proxy", endpoint.port);
  return endpoint;
}

/** Direct mode would leave what is queued behind, so it is refused while anything is. */
function refuseStranded({ outbox, credential }: Parts): undefined {
  const { depth } = outbox.status();
  if (depth === 0) return undefined;
  throw new RelayError(
    "bad_request",
    `Run ${credential.agentName} without its proxy: ${depth} writes wait in its outbox; run it with the proxy once`,
  );
}

function endpointOptionsOf(parts: Parts, saved: EndpointFile): EndpointOptions {
  const { options, credential, tokens, outbox, folder } = parts;
  const log = options.log.with({ part: "proxy" });
  const scopes = () => tokens.facts()?.scopes ?? credential.scopes ?? [];
  return {
    port: saved.port,
    secret: saved.secret,
    limits,
    clock: realClock,
    random: realRandom,
    log,
    upstream: {
      client: createHttpClient({ origin: new URL(options.relayUrl).origin, clock: realClock, limits }),
      path: mcpPath,
      credential: tokens.current,
      refresh: tokens.refresh,
    },
    outbox,
    policy: relayPolicy(),
    authorization: () => ({
      relay: credential.relayId,
      principal: credential.agentId,
      profile: tokens.facts()?.profile ?? credential.profile ?? "",
      scopes: scopes(),
    }),
    context: () => ({ worktree: "shared" }),
    memory: folderMemory(join(folder, "answers"), limits.rememberedAnswersMax, log),
    builtin: () => toolDefinitions(scopes()),
    staticList: options.provider === "codex",
    serverInfo: { name: mcpServerName, version: options.version },
    inboxSeen: parts.acknowledge.seen,
  };
}

function openControl(parts: Parts): ControlServer {
  const { folder, outbox, tokens, options } = parts;
  const saved = loadEndpointFile(folder, "control", realRandom);
  const control = startControl({
    port: saved.port,
    secret: saved.secret,
    sources: {
      records: () => outbox.records(),
      status: () => ({
        agent: options.agentName,
        relayUrl: options.relayUrl,
        provider: options.provider,
        mode: parts.endpoint === undefined ? "direct" : "proxy",
        token: tokens.state(),
        feed: parts.feed,
        outbox: outbox.status(),
        endpoint: parts.endpoint?.status(),
      }),
    },
  });
  saveEndpointPort(folder, "control", control.port);
  return control;
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

function launch(parts: Parts, session: SessionFacts, onChild: (child: ProcessIdentity) => void): Supervisor {
  const { options } = parts;
  const plan = (): LaunchPlan =>
    providers[options.provider].launch({
      session,
      features: { mcp: true, skills: true, statusLine: true, hooks: true },
      settings: {},
      args: options.args,
      cwd: options.cwd,
      environment: scrubbedEnvironment(options.environment),
      find: findProgram,
      toolCallMs: limits.agentToolCallMs,
      mcpStartMs: limits.agentMcpStartMs,
    });
  return supervise({
    plan,
    cwd: options.cwd,
    stdio: "inherit",
    terminal: options.terminal,
    policy: { when: "never" },
    clock: realClock,
    random: realRandom,
    log: options.log.with({ part: "agent" }),
    limits,
    onChild,
  });
}

/** Keeps the token alive and follows the feed, in the background, until the runner closes. */
function follow(parts: Parts): void {
  const { closing, log, say } = { ...parts, ...parts.options };
  void parts.tokens.run(closing.signal);
  const told = (error: unknown) => {
    parts.feed = "ended";
    log.error("The feed ended for good", { error });
    say(`the relay no longer accepts this runner: ${error instanceof Error ? error.message : String(error)}`);
  };
  void followRelay(parts).catch(told);
}

async function followRelay(parts: Parts): Promise<void> {
  const { options, credential, closing, outbox, tokens, directory, acknowledge } = parts;
  const onOpen = () => {
    outbox.kick();
    acknowledge.retry();
    parts.endpoint?.upstreamListChanged();
    void refreshDirectory(parts);
  };
  const feed = followFeed({
    url: options.relayUrl,
    token: () => credential.secret,
    clock: realClock,
    random: realRandom,
    signal: closing.signal,
    onState: (state, error) => {
      parts.feed = state;
      options.log.debug("feed", { state, ...(error === undefined ? {} : { error }) });
      if (state === "open") onOpen();
    },
  });
  for await (const { event } of feed) {
    if (event.type === "message") directory.addMessage(event.message);
    if (event.type !== "changed") continue;
    if (event.subject === "agents") void refreshDirectory(parts);
    if (event.subject === "token" || event.subject === "profile") void tokens.refresh();
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

async function closeAll(parts: Parts, control: ControlServer): Promise<{ left: number; folder: string }> {
  const { outbox, folder, closing, endpoint } = parts;
  await outbox.flush(limits.pumpFlushMs);
  await endpoint?.close();
  control.close();
  closing.abort();
  const left = outbox.status().depth;
  await outbox.close();
  removeInfoFile(folder);
  return { left, folder };
}
