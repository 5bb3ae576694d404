/**
 * The parts around one agent, opened one by one: credential, outbox, token, endpoint, control server. A wiring: the
 * real clock, random source and disk come in here; `runner.ts` puts the parts in order around the agent's process.
 */

import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { Environment } from "./agent/environment.ts";
import { mcpServerName, type ProviderName, type ProviderSettings } from "./agent/provider.ts";
import { authorityOf } from "./base/authority.ts";
import { realClock } from "./base/clock.ts";
import { privateFolder } from "./base/file.ts";
import { createHttpClient } from "./base/http/client.ts";
import type { Log } from "./base/log.ts";
import { processStart } from "./base/process.ts";
import { realRandom } from "./base/random.ts";
import { limits } from "./limits.ts";
import type { OutboxHandle } from "./outbox/outbox.ts";
import { openOwnOutbox, outboxSources, waitingIn } from "./outboxes.ts";
import { startEndpoint } from "./proxy/endpoint.ts";
import { type Endpoint, type EndpointOptions, PortTaken } from "./proxy/options.ts";
import { relayPolicy } from "./proxy/policy.ts";
import { type Acknowledger, acknowledger } from "./runner/acknowledge.ts";
import { type ControlServer, controlPaths, type HookInput, startControl } from "./runner/control.ts";
import {
  agentFolder,
  type CredentialKeeper,
  credentialKeeper,
  type EnrolledCredential,
  saveCredential,
} from "./runner/credential.ts";
import { createDirectory, type Directory } from "./runner/directory.ts";
import { type EndpointFile, loadEndpointFile, saveEndpointPort } from "./runner/endpoint-file.ts";
import { obtainCredential } from "./runner/enrol.ts";
import { askControl, type LocalPlace, localPlaces } from "./runner/local.ts";
import { folderMemory } from "./runner/memory.ts";
import { openScratch, type Scratch, sweepScratch } from "./runner/scratch.ts";
import { type TokenKeeper, tokenKeeper } from "./runner/token.ts";
import { awaitRelay } from "./sdk/await-relay.ts";
import { type Client, createClient } from "./sdk/client.ts";
import { relayDeliverer } from "./sdk/deliverer.ts";
import type { FeedState } from "./sdk/feed.ts";
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
  /** Profile of an agent that is enrolled now; without it the agent's own, for a new one the default. */
  profile?: string | undefined;
  /** Nobody is at the agent: all its input comes from here, and it is started again when it crashes. */
  headless?: boolean;
  /** What it is to do first; headless only. */
  task?: string | undefined;
  /** Begin a new conversation also when an earlier runner was killed in the middle of one. */
  fresh?: boolean;
  /** For the provider, from this machine's own configuration, by profile; undefined when that is not known yet. */
  settings?(profile: string | undefined): ProviderSettings;
  /** This product's program, for hooks and the status line; without it they are left out. */
  program?: string | undefined;
  /** A turn has ended. */
  onTurn?(turn: { text: string; how: string; reason?: string | undefined }): void;
  /** A token that may enrol; read only when there is no credential yet. */
  enrolmentToken(): string;
  log: Log;
  /** One line for the person. */
  say(line: string): void;
};

/** The agent's session, as far as the parts around it know it. */
export type SessionPart = {
  /** The agent has seen its inbox up to this seq with a tool. */
  seen(seq: number): void;
  /** Its program has got the list of our tools. */
  toolsListed(): void;
  hook(report: HookInput): unknown;
  /** What it does and did. */
  view(): unknown;
  /** Messages that wait for it on this machine. */
  waiting(): number;
};

/** What the parts of one runner share. */
export type Parts = {
  options: RunnerOptions;
  /** As it was at the start: what names the agent never changes. */
  credential: EnrolledCredential;
  /** As it is now: its secrets are renewed. */
  credentials: CredentialKeeper;
  folder: string;
  relay: Client;
  tokens: TokenKeeper;
  directory: Directory;
  outbox: OutboxHandle;
  acknowledge: Acknowledger;
  closing: AbortController;
  /** Undefined in direct mode, and until it listens. */
  endpoint: Endpoint | undefined;
  /** Folder for the session's short-lived files. */
  scratch: Scratch | undefined;
  feed: FeedState | "ended";
  /** Another runner runs the agent now: what it has written is delivered, nothing new is taken. */
  displaced: boolean;
  /** Undefined until the agent is started. */
  session: SessionPart | undefined;
};

function enrolOptions(options: RunnerOptions): Parameters<typeof obtainCredential>[0] {
  const ca = authorityOf(options.home);
  const client = (token: string | undefined) =>
    createClient({ url: options.relayUrl, token: () => token, ca });
  return {
    ...options,
    profile: options.profile,
    random: realRandom,
    now: realClock.now,
    place: placeOf(options),
    getRelay: (patient) =>
      awaitRelay(client(undefined), realClock, patient ? limits.enrolWaitMs : limits.knownRelayWaitMs),
    enrolRunner: (token, request) => client(token).enrolRunner(request),
  };
}

/** Names machine and home to the relay, which so tells a runner that comes back from another one. */
function placeOf({ machine, home }: RunnerOptions): string {
  return createHash("sha256")
    .update(`${machine}\n${resolve(home)}`)
    .digest("hex");
}

/** What an agent hears of a new write when another runner runs it. */
const displacedWords =
  "displaced: another runner runs this agent now; what was written before is still delivered, nothing new is taken; a person has to look";

/** The credential, the outbox and what keeps the token; enrols the agent when it never was. */
export async function openParts(options: RunnerOptions): Promise<Parts> {
  const credential = await obtainCredential(enrolOptions(options));
  const folder = agentFolder(options.home, credential.relayId, credential.agentId);
  privateFolder(folder);
  const { log, relayUrl } = options;
  const credentials = credentialKeeper(credential, (changed) => saveCredential(options.home, changed));
  const relay = createClient({
    url: relayUrl,
    token: () => credentials.current().secret,
    ca: authorityOf(options.home),
  });
  const directory = createDirectory(limits.outboxRecordsMax);
  let parts: Parts | undefined;
  const outbox = await openOwnOutbox({
    dir: join(folder, "outbox"),
    relayId: credential.relayId,
    agentId: credential.agentId,
    limits,
    clock: realClock,
    random: realRandom,
    log: log.with({ part: "outbox" }),
    deliverer: (storeId) => relayDeliverer(relay, storeId),
    recipientId: directory.recipientId,
    parentOf: directory.parentOf,
    validate: () => (parts?.displaced === true ? displacedWords : undefined),
  });
  const { damage } = outbox;
  if (damage !== undefined)
    options.say(
      `the outbox of ${credential.agentName} was damaged (${damage.why}): ${damage.kept} writes were kept, ` +
        `${damage.lost} are missing; the damaged file is ${damage.aside}`,
    );
  const tokens = tokenKeeper({
    credentials,
    mint: (request) => relay.mintAgentToken(request),
    onAuthorization: () => parts?.endpoint?.authorizationChanged(),
    clock: realClock,
    random: realRandom,
    limits,
    log: log.with({ part: "token" }),
  });
  const acknowledge = acknowledger(
    {
      seen: (seq) => relay.acknowledgeInbox({ agent: credential.agentName, seq }),
      handed: (messageIds) =>
        relay.reportReceipts({ agent: credential.agentName, stage: "handed", messageIds }),
    },
    { clock: realClock, random: realRandom, log: log.with({ part: "inbox" }) },
  );
  parts = {
    ...{ options, credential, credentials, folder, relay, tokens, directory, outbox, acknowledge },
    closing: new AbortController(),
    endpoint: undefined,
    scratch: undefined,
    feed: "connecting",
    displaced: false,
    session: undefined,
  };
  return parts;
}

/** Sweeps what killed runners of this home left of their sessions, and makes this session's folder. */
export function openSessionScratch({ options }: Parts): Scratch {
  const { home, agentName, log } = options;
  const swept = sweepScratch(home, {
    startOf: processStart,
    now: realClock.now(),
    unownedMs: limits.scratchUnownedMs,
  });
  if (swept.length > 0) log.info("Removed the scratch folders of sessions that were killed", { swept });
  const owner = { pid: process.pid, startTime: processStart(process.pid) ?? "unknown" };
  return openScratch(home, `${agentName}-${process.pid}`, owner);
}

/** The endpoint at the address served before; undefined in direct mode. */
export async function openEndpoint(parts: Parts, saved: EndpointFile): Promise<Endpoint | undefined> {
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
  const ca = authorityOf(options.home);
  return {
    port: saved.port,
    secret: saved.secret,
    limits,
    clock: realClock,
    random: realRandom,
    log,
    upstream: {
      client: createHttpClient({
        origin: new URL(options.relayUrl).origin,
        clock: realClock,
        limits,
        ...(ca === undefined ? {} : { tls: { ca } }),
      }),
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
    inboxSeen: (seq) => {
      parts.acknowledge.seen(seq);
      parts.session?.seen(seq);
    },
    toolsListed: () => parts.session?.toolsListed(),
  };
}

/** Serves status and outbox to people's programs. */
export function openControl(parts: Parts): ControlServer {
  const { folder, outbox, tokens, options } = parts;
  const saved = loadEndpointFile(folder, "control", realRandom);
  const control = startControl({
    port: saved.port,
    secret: saved.secret,
    clock: realClock,
    sources: {
      ...outboxSources(outbox, { home: options.home, name: options.agentName }),
      status: async () => ({
        agent: options.agentName,
        relayUrl: options.relayUrl,
        provider: options.provider,
        mode: parts.endpoint === undefined ? "direct" : "proxy",
        token: tokens.state(),
        feed: parts.feed,
        outbox: outbox.status(),
        metrics: await outbox.metrics(),
        endpoint: parts.endpoint?.status(),
        inbox: { waiting: parts.session?.waiting() ?? 0 },
      }),
      session: () => parts.session?.view(),
      hook: (report) => parts.session?.hook(report),
    },
  });
  saveEndpointPort(folder, "control", control.port);
  return control;
}

/** One agent or proxy of this machine, as far as it can be told. */
export type LocalStatus = {
  name: string;
  kind: LocalPlace["kind"];
  running: boolean;
  mode?: string | undefined;
  url?: string | undefined;
  upstream?: string | undefined;
  waiting?: number | undefined;
  oldestAgeMs?: number | undefined;
  tools?: number | undefined;
  /** How its outbox stands: idle, delivering, waiting, paused, damaged or closed. */
  outbox?: string | undefined;
  /** The figures that its control server serves as metrics too. */
  metrics?: unknown;
};

const statusSchema = z.object({
  mode: z.string().optional(),
  outbox: z.object({ depth: z.number(), oldestAgeMs: z.number(), state: z.string() }).optional(),
  metrics: z.unknown(),
  endpoint: z
    .object({ url: z.string(), upstream: z.object({ reach: z.string() }), visibleTools: z.array(z.string()) })
    .optional(),
});

/** The agents and proxies of a home, running or not. */
export function localStatus(home: string): Promise<LocalStatus[]> {
  return Promise.all(
    localPlaces(home).map(async (place) => {
      const { name, kind, folder } = place;
      const answer = statusSchema.safeParse(await askControl(folder, controlPaths.status, controlSignal()));
      if (!answer.success) return { name, kind, running: false, waiting: await waitingIn(place) };
      const { mode, outbox: queue, endpoint, metrics } = answer.data;
      return {
        ...{ name, kind, mode, running: true, url: endpoint?.url, upstream: endpoint?.upstream.reach },
        ...{ waiting: queue?.depth, oldestAgeMs: queue?.oldestAgeMs, tools: endpoint?.visibleTools.length },
        ...{ outbox: queue?.state, metrics },
      };
    }),
  );
}

function controlSignal(): AbortSignal {
  return AbortSignal.timeout(limits.controlRequestMs);
}
