/**
 * The same resilient endpoint in front of any Streamable-HTTP MCP server: a wiring without a relay and without an
 * agent's process. What the policy calls bufferable goes through an outbox, everything else is forwarded.
 */
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { realClock } from "./base/clock.ts";
import { privateFolder } from "./base/file.ts";
import { createHttpClient } from "./base/http/client.ts";
import { listen } from "./base/http/listen.ts";
import type { Log } from "./base/log.ts";
import { realRandom } from "./base/random.ts";
import { type Limits, limits } from "./limits.ts";
import { type OutboxHandle, openOutbox } from "./outbox/outbox.ts";
import { outboxSources } from "./outboxes.ts";
import { upstreamDeliverer } from "./proxy/deliver.ts";
import { startEndpoint } from "./proxy/endpoint.ts";
import { type Authorization, type Endpoint, PortTaken, type UpstreamOptions } from "./proxy/options.ts";
import type { Policy } from "./proxy/policy.ts";
import { type ControlServer, startControl } from "./runner/control.ts";
import { type EndpointFile, loadEndpointFile, saveEndpointPort } from "./runner/endpoint-file.ts";
import { folderMemory } from "./runner/memory.ts";
import { type AgentId, asId, uuidOf } from "./wire/id.ts";

export { openPolicy, type Policy, PolicyError } from "./proxy/policy.ts";
export { parsePolicyText } from "./proxy/policy-text.ts";

export type UpstreamProxyOptions = {
  home: string;
  /** MCP endpoint of the server. */
  upstreamUrl: string;
  /** Authorities (PEM) that replace the system's when it is an https address. */
  ca?: string | undefined;
  policy: Policy;
  /** 0 = the port served before, else any. */
  port: number;
  version: string;
  /** The bearer token for the server, read again after a 401; undefined when it needs none. */
  readToken: (() => string) | undefined;
  log: Log;
};

export type UpstreamProxy = {
  readonly url: string;
  /** 0600 file with the secret that clients present. */
  readonly secretFile: string;
  close(): Promise<{ left: number; folder: string }>;
};

type Parts = {
  options: UpstreamProxyOptions;
  folder: string;
  saved: EndpointFile;
  upstream: UpstreamOptions;
  outbox: OutboxHandle | undefined;
};

/** Folder of a proxy's state, one per upstream address. */
export function upstreamFolder(home: string, upstreamUrl: string): string {
  return join(home, "proxies", createHash("sha256").update(upstreamUrl).digest("hex").slice(0, 16));
}

/** Starts the endpoint. The upstream need not be up. */
export async function startUpstreamProxy(options: UpstreamProxyOptions): Promise<UpstreamProxy> {
  const folder = upstreamFolder(options.home, options.upstreamUrl);
  let endpoint: Endpoint | undefined;
  const upstream = upstreamOf(options, () => endpoint?.authorizationChanged());
  if (options.port !== 0) await requireFreePort(options.port);
  for (const path of [options.home, join(options.home, "proxies"), folder]) privateFolder(path);
  const buffers = [...options.policy.tools.values()].some((tool) => tool.buffered);
  const outbox = buffers ? await openUpstreamOutbox(options, folder, upstream) : undefined;
  const parts: Parts = {
    options,
    folder,
    saved: loadEndpointFile(folder, "proxy", realRandom),
    upstream,
    outbox,
  };
  try {
    endpoint = await open(parts);
    saveEndpointPort(folder, "proxy", endpoint.port);
    const control = openControl(parts, endpoint);
    const opened = endpoint;
    return {
      url: endpoint.url,
      secretFile: parts.saved.secretFile,
      close: () => closeAll(parts, opened, control),
    };
  } catch (error) {
    await endpoint?.close();
    await outbox?.close();
    throw error;
  }
}

/** A taken port is told before anything is written. */
async function requireFreePort(port: number): Promise<void> {
  const refuse = () => Promise.resolve(new Response(null, { status: 503 }));
  await listen({ hostname: "127.0.0.1", port, clock: realClock, serve: refuse }).close(0);
}

/** The bounds of this upstream: the product's, where the policy does not lower them. */
function boundsOf({ policy }: UpstreamProxyOptions): Limits {
  return { ...limits, ...policy.limits };
}

/** A foreign server has no agent in a worktree. */
const context = { worktree: "none" } as const;

/** The upstream with the token of its file; `onToken` is called when another one was read. */
function upstreamOf(options: UpstreamProxyOptions, onToken: () => void): UpstreamOptions {
  const url = new URL(options.upstreamUrl);
  let token = options.readToken?.();
  return {
    client: createHttpClient({
      origin: url.origin,
      clock: realClock,
      limits: boundsOf(options),
      ...(options.ca === undefined ? {} : { tls: { ca: options.ca } }),
    }),
    path: `${url.pathname}${url.search}`,
    credential: () => token,
    async refresh() {
      const before = token;
      try {
        token = options.readToken?.();
      } catch (error) {
        options.log.warn("The upstream's token could not be read again", { error });
      }
      if (token !== before) onToken();
      return token !== before;
    },
  };
}

function openUpstreamOutbox(
  options: UpstreamProxyOptions,
  folder: string,
  upstream: UpstreamOptions,
): Promise<OutboxHandle> {
  return openOutbox({
    dir: join(folder, "outbox"),
    relayId: uuidOf("upstream", options.upstreamUrl),
    agentId: asId<AgentId>(uuidOf("upstream-client", options.upstreamUrl)),
    limits: boundsOf(options),
    clock: realClock,
    random: realRandom,
    log: options.log.with({ part: "outbox" }),
    deliverer: upstreamDeliverer({
      upstream,
      policy: options.policy,
      context: () => context,
      limits: boundsOf(options),
      clock: realClock,
    }),
  });
}

function open(parts: Parts): Promise<Endpoint> {
  const { options, folder, saved, upstream, outbox } = parts;
  const log = options.log.with({ part: "proxy" });
  const start = (port: number) =>
    startEndpoint({
      port,
      secret: saved.secret,
      limits: boundsOf(options),
      clock: realClock,
      random: realRandom,
      log,
      upstream,
      outbox,
      policy: options.policy,
      // Another token may be shown other tools, so what is remembered is remembered per token.
      authorization: authorizationOf(options.upstreamUrl, upstream),
      context: () => context,
      memory: folderMemory(join(folder, "answers"), limits.rememberedAnswersMax, log),
      builtin: () => undefined,
      staticList: false,
      serverInfo: { name: "agent-relay-proxy", version: options.version },
    });
  if (options.port !== 0) return start(options.port);
  return start(saved.port).catch((error: unknown) => {
    if (!(error instanceof PortTaken) || saved.port === 0) throw error;
    options.log.warn("The port served before is taken; another one is used", { port: saved.port });
    return start(0);
  });
}

/** Made once per token: it is asked for at every call. */
function authorizationOf(relay: string, upstream: UpstreamOptions): () => Authorization {
  let token: string | undefined;
  let made: Authorization | undefined;
  return () => {
    const live = upstream.credential();
    if (made === undefined || live !== token) {
      token = live;
      made = { relay, principal: uuidOf("upstream-token", live ?? ""), profile: "", scopes: [] };
    }
    return made;
  };
}

function openControl({ options, folder, outbox }: Parts, endpoint: Endpoint): ControlServer {
  const saved = loadEndpointFile(folder, "control", realRandom);
  const control = startControl({
    port: saved.port,
    secret: saved.secret,
    clock: realClock,
    sources: {
      ...(outbox === undefined
        ? { records: () => Promise.resolve([]) }
        : outboxSources(outbox, { home: options.home, name: basename(folder) })),
      status: async () => ({
        upstreamUrl: options.upstreamUrl,
        outbox: outbox?.status(),
        metrics: await outbox?.metrics(),
        endpoint: endpoint.status(),
      }),
    },
  });
  saveEndpointPort(folder, "control", control.port);
  return control;
}

async function closeAll(
  { folder, outbox }: Parts,
  endpoint: Endpoint,
  control: ControlServer,
): Promise<{ left: number; folder: string }> {
  await outbox?.flush(limits.pumpFlushMs);
  await endpoint.close();
  control.close();
  const left = outbox?.status().depth ?? 0;
  await outbox?.close();
  return { left, folder };
}
