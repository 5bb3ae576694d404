/**
 * The relay as a running server: its home folder, its store, its first token, its port. One of the wirings: the real
 * clock, random source, disk and network come in here.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Clock, realClock } from "./base/clock.ts";
import { privateFolder, readPrivate, writePrivate } from "./base/file.ts";
import { type Listener, listen } from "./base/http/listen.ts";
import type { Log } from "./base/log.ts";
import { type Random, realRandom } from "./base/random.ts";
import { SqliteBusyError } from "./base/sqlite.ts";
import { limits } from "./limits.ts";
import { createAccess } from "./relay/access.ts";
import { doorOf } from "./relay/door.ts";
import { createHandler, type Handler, type HandlerOptions } from "./relay/handler.ts";
import { createHub } from "./relay/hub.ts";
import { createMcpEndpoint, type McpEndpoint } from "./relay/mcp.ts";
import { keepObligations } from "./relay/obligation-timer.ts";
import { createObservers } from "./relay/observers.ts";
import { problemResponse } from "./relay/problem.ts";
import type { RequestRate } from "./relay/rates.ts";
import type { Relay } from "./relay/relay.ts";
import { createStreams } from "./relay/streams.ts";
import { operatorToken } from "./relay/tokens.ts";
import { keepUp } from "./relay/upkeep.ts";
import {
  inspectBackup,
  type Restored,
  RestoreError,
  restoreBackup,
  unfinishedRestore,
} from "./store/restore.ts";
import { openSqliteStore } from "./store/sqlite.ts";
import type { RelayStore } from "./store/store.ts";
import { mcpPath } from "./wire/api.ts";
import type { AuditFacts } from "./wire/audit.ts";
import { RelayError } from "./wire/error.ts";
import { type AgentId, asId, type RelayId, uuidV7 } from "./wire/id.ts";
import { tokenHash, tokenKind, tokenText } from "./wire/token.ts";

export { type BackupFacts, inspectBackup, type Restored, RestoreError } from "./store/restore.ts";

export type ServerOptions = {
  /** Folder of the relay's state; made when it does not exist. */
  home: string;
  /** The address to listen on; 127.0.0.1 by default. Others than loopback need TLS, or `insecureBind`. */
  hostname?: string;
  /** Certificate and key (PEM) to speak TLS with. */
  tls?: { cert: string; key: string };
  /** Listen beyond this machine without TLS: tokens and messages then travel in the clear. */
  insecureBind?: boolean;
  /** Further names it is reached by, for the check of Host; the first one is where it says it is. */
  allowHosts?: readonly string[];
  /** How often one token may ask; the product's bounds without it. */
  requestRate?: RequestRate;
  /** Failed logins of one address in a minute that are answered at once; the product's bound without it. */
  failedLoginsMax?: number;
  /** 0 takes any free port. */
  port: number;
  /** Messages older than this that nobody needs any more are forgotten, ms; all are kept without it. */
  retentionMs?: number;
  log: Log;
  version: string;
  clock?: Clock;
  random?: Random;
};

/** A running relay. */
export type RelayServer = {
  url: string;
  mcpUrl: string;
  /** File, 0600, with the operator's token. */
  operatorTokenFile: string;
  relayId: RelayId;
  /** Ends feeds and subscriptions, lets calls in flight end, closes the store. */
  close(): Promise<void>;
};

type World = { clock: Clock; random: Random; log: Log };
type Running = { relay: Relay; mcp: McpEndpoint; handler: Handler };

const loopback = ["127.0.0.1", "::1", "localhost"];
const everywhere = ["0.0.0.0", "::"];

/** Where the relay of a home keeps its database. */
export function databaseOf(home: string): string {
  return join(home, "relay", "relay.sqlite");
}

/**
 * Puts a backup in the place of the database of a home. No relay may run there.
 * @throws RestoreError, UnsafePathError, SqliteBusyError
 */
export function restoreHome(home: string, file: string, now: number): Restored {
  // Before anything is made.
  inspectBackup(file);
  privateFolder(home);
  privateFolder(join(home, "relay"));
  return restoreBackup({ file, path: databaseOf(home), now });
}

/**
 * Starts a relay. The port is bound first, so nothing is written when it is taken.
 * @throws ListenError, UnsafePathError, SqliteBusyError, SchemaError
 */
export async function startServer(options: ServerOptions): Promise<RelayServer> {
  const { home, hostname = "127.0.0.1", port, log, version } = options;
  const world: World = { clock: options.clock ?? realClock, random: options.random ?? realRandom, log };
  const local = loopback.includes(hostname);
  if (!local && options.tls === undefined && options.insecureBind !== true) {
    throw new Error(
      `Listen on ${hostname}: without TLS the relay listens on loopback only, ${loopback.join(" or ")} was wanted; ` +
        "give --tls-cert and --tls-key, or --insecure-bind when something else protects the connection",
    );
  }
  let running: Running | undefined;
  const notReady = () => problemResponse(new RelayError("unavailable", "The relay is starting or stopping"));
  const listener = listen({
    hostname,
    port,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    clock: world.clock,
    serve: (request, streaming, peer) =>
      running?.handler(request, streaming, peer) ?? Promise.resolve(notReady()),
  });
  const url = addressOf(options, listener.port);
  const files = { token: join(home, "operator.token"), url: join(home, "relay", "url") };
  const opened = await open(home, world).catch(async (error: unknown) => {
    await listener.close(0);
    throw error;
  });
  try {
    await ensureOperator(opened, files.token, world);
    const door = doorOf({
      port: listener.port,
      tls: options.tls !== undefined,
      names: namesOf(options, listener.port),
    });
    const rate = options.requestRate;
    running = assemble(opened, {
      ...world,
      version,
      home,
      failedLoginsMax: options.failedLoginsMax,
      handler: {
        door,
        local: local && options.allowHosts === undefined,
        ...(rate === undefined ? {} : { rate }),
      },
    });
    await running.relay.audit({ kind: "relay_started", by: "relay", facts: startFacts(options, url) });
    writePrivate(files.url, `${url}\n`);
  } catch (error) {
    await Promise.allSettled([listener.close(0), opened.close()]);
    throw error;
  }
  const endUpkeep = keepUp({ store: opened, retentionMs: options.retentionMs, ...world });
  log.info("The relay is up", { url, home, relayId: opened.identity.relayId });
  const { relay, mcp } = running;
  let closing: Promise<void> | undefined;
  return {
    url,
    mcpUrl: `${url}${mcpPath}`,
    operatorTokenFile: files.token,
    relayId: opened.identity.relayId,
    close() {
      endUpkeep();
      closing ??= shutDown({ relay, mcp, listener, urlFile: files.url }, () => {
        running = undefined;
      });
      return closing;
    },
  };
}

/** The settings of a start, for the audit log. */
function startFacts(
  { version, tls, insecureBind, retentionMs, requestRate }: ServerOptions,
  url: string,
): AuditFacts {
  return {
    version,
    url,
    tls: tls !== undefined,
    ...(insecureBind === true ? { insecureBind } : {}),
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(requestRate === undefined ? {} : { requestsPerSecond: requestRate.perSecond }),
  };
}

/** What the relay tells others to use: its first name, else the address it listens on. */
function addressOf({ hostname = "127.0.0.1", tls, allowHosts = [] }: ServerOptions, port: number): string {
  const name = allowHosts[0] ?? (everywhere.includes(hostname) ? "127.0.0.1" : hostname);
  const host = name.split(":").length > 2 && !name.startsWith("[") ? `[${name}]` : name;
  const scheme = tls === undefined ? "http" : "https";
  return /:\d+$/.test(host) && !host.endsWith("]") ? `${scheme}://${host}` : `${scheme}://${host}:${port}`;
}

/** Names for the check of Host: the address listened on is one with its port, unless it stands for all of them. */
function namesOf({ hostname = "127.0.0.1", allowHosts = [] }: ServerOptions, port: number): string[] {
  if (loopback.includes(hostname) || everywhere.includes(hostname)) return [...allowHosts];
  return [...allowHosts, `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`];
}

/** The private folder for backups. */
function backupFolder(home: string): string {
  const folder = join(home, "backups");
  privateFolder(folder);
  return folder;
}

async function open(home: string, { clock, random }: World): Promise<RelayStore> {
  privateFolder(home);
  privateFolder(join(home, "relay"));
  const path = databaseOf(home);
  if (!existsSync(path) && existsSync(unfinishedRestore(path))) {
    throw new RestoreError(
      `Start a relay in ${home}: a restore was interrupted; run 'agent-relay restore' again`,
    );
  }
  try {
    return await openSqliteStore({ path, clock, random });
  } catch (cause) {
    if (!(cause instanceof SqliteBusyError)) throw cause;
    throw new SqliteBusyError(`Start a relay in ${home}: another one runs there`, { cause });
  }
}

type Assembly = World & {
  version: string;
  home: string;
  failedLoginsMax: number | undefined;
  handler: HandlerOptions;
};

function assemble(store: RelayStore, world: Assembly): Running {
  const { clock, random, log, version, home } = world;
  const hub = createHub({
    clock,
    seen: (agent) => {
      store.markSeen(agent, clock.now()).catch((error: unknown) => {
        log.warn("When an agent was seen could not be written down", { agent, error });
      });
    },
  });
  const observers = createObservers({
    store,
    clock,
    log,
    failedLoginsMax: world.failedLoginsMax,
    residentBytes: () => process.memoryUsage.rss(),
    backupFolder: () => backupFolder(home),
  });
  const relay: Relay = {
    store,
    hub,
    clock,
    random,
    log,
    version,
    access: createAccess({ store, clock }),
    streams: createStreams(clock),
    ...observers,
    obligations: keepObligations({ store, hub, audit: observers.audit, clock, log }),
    startedAt: clock.now(),
  };
  const mcp = createMcpEndpoint(relay);
  return {
    relay,
    mcp,
    handler: createHandler(relay, mcp, world.handler),
  };
}

/**
 * Sees to it that the token in the operator's file is valid. A new one is on disk before the store knows its hash,
 * so a crash in between leaves a file that the next start makes valid.
 */
async function ensureOperator(store: RelayStore, file: string, world: World): Promise<void> {
  const { clock, random, log } = world;
  const newId = () => uuidV7(clock.now(), random.bytes(10));
  const write = () => {
    const text = tokenText("operator", random.bytes(32));
    writePrivate(file, `${text}\n`);
    return tokenHash(text);
  };
  const stored = readPrivate(file)?.trim();
  if (stored !== undefined && tokenKind(stored) !== "operator") {
    throw new Error(
      `Read ${file}: it does not hold an operator token (arl_opr_…); move it away to get a new one`,
    );
  }
  const hash = stored === undefined ? write() : tokenHash(stored);
  const ownId = asId<AgentId>(newId());
  if (await store.createOperator(ownId, operatorToken(newId(), hash, ownId), clock.now())) return;
  const known = await store.findToken(hash, clock.now());
  const ended =
    known?.revokedAt !== undefined || (known?.expiresAt ?? Number.POSITIVE_INFINITY) <= clock.now();
  if (known !== undefined && !ended) return;
  const operator = await store.agentByName("operator");
  if (operator === undefined) throw new Error("Make an operator token: the store has no operator");
  if (ended) log.warn("The operator's token had ended; the file has a new one", { file });
  const next = ended ? write() : hash;
  await store.addToken(operatorToken(newId(), next, operator.id), clock.now());
}

async function shutDown(
  parts: { relay: Relay; mcp: McpEndpoint; listener: Listener; urlFile: string },
  refuse: () => void,
): Promise<void> {
  const { relay, mcp, listener, urlFile } = parts;
  rmSync(urlFile, { force: true });
  refuse();
  // Streams never end by themselves; calls in flight keep the SDK's instances until they are answered.
  relay.streams.close();
  relay.failedLogins.close();
  relay.rateHolds.close();
  await listener.close(limits.pumpFlushMs);
  await mcp.close();
  await relay.refusals.close();
  await relay.audit({ kind: "relay_stopped", by: "relay" });
  relay.hub.close();
  await relay.obligations.close();
  await relay.store.close();
  relay.log.info("The relay has stopped");
}
