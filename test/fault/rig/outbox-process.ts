/**
 * The sender's side of the rig as a process: the product's outbox and endpoint, wired as the runner wires them, with
 * scaled limits, a deliverer that can die at its points, and the variants that the negative controls need. Started
 * with its configuration as JSON in the first argument; prints one ready line.
 */
import "./crash-worker.ts";
import "./lifeline.ts";
import { realClock, waitingClock } from "../../../src/base/clock.ts";
import { createHttpClient } from "../../../src/base/http/client.ts";
import { createLog } from "../../../src/base/log.ts";
import { realRandom } from "../../../src/base/random.ts";
import { type Limits, limits as productLimits } from "../../../src/limits.ts";
import { OutboxOwnedError, openOutbox } from "../../../src/outbox/outbox.ts";
import { startEndpoint } from "../../../src/proxy/endpoint.ts";
import { relayPolicy } from "../../../src/proxy/policy.ts";
import { createClient } from "../../../src/sdk/client.ts";
import { relayDeliverer } from "../../../src/sdk/deliverer.ts";
import { mcpPath } from "../../../src/wire/api.ts";
import { asId } from "../../../src/wire/id.ts";
import { toolDefinitions } from "../../../src/wire/tools.ts";
import type { Deliverer } from "../../../src/wire/write.ts";
import { crashOf } from "./die.ts";
import { type Variant, variantDeliverer, variantOutbox } from "./variants.ts";

/** What the parent decides. */
export type OutboxConfig = {
  dir: string;
  relayUrl: string;
  relayId: string;
  agentId: string;
  runnerToken: string;
  agentToken: string;
  /** Of the endpoint; 0 the first time. */
  port: number;
  secret: string;
  limits: Partial<Limits>;
  variant: Variant;
};

export type OutboxReady = { url: string; port: number; controlUrl: string; pid: number; openMs: number };
export type OutboxFacts = {
  depth: number;
  state: string;
  notices: number;
  /** Message ids of records that ended without being sent. */
  endedUnsent: string[];
};

const scopes = ["message:send", "message:read", "agent:read"] as const;

async function serve(config: OutboxConfig): Promise<OutboxReady> {
  const { dir, relayUrl, relayId, agentId, variant } = config;
  const limits: Limits = { ...productLimits, ...config.limits };
  const log = createLog("warn", (line) => process.stderr.write(line));
  const client = createClient({ url: relayUrl, token: () => config.runnerToken, clock: waitingClock });
  const crash = crashOf(process.env);
  const startedAt = performance.now();
  const outbox = await openOutbox({
    ...{ dir, relayId, agentId: asId(agentId), limits, clock: waitingClock, random: realRandom, log },
    deliverer: (storeId): Deliverer => variantDeliverer(relayDeliverer(client, storeId), { variant, crash }),
  });
  const openMs = performance.now() - startedAt;
  const endpoint = await startEndpoint({
    ...{ port: config.port, secret: config.secret, limits, clock: waitingClock, random: realRandom, log },
    upstream: {
      client: createHttpClient({ origin: relayUrl, clock: realClock, limits }),
      path: mcpPath,
      credential: () => config.agentToken,
      refresh: async () => false,
    },
    outbox: variantOutbox(outbox, { variant, relayUrl, token: config.agentToken }),
    policy: relayPolicy(),
    authorization: () => ({ relay: relayId, principal: agentId, profile: "default", scopes }),
    context: () => ({ worktree: "shared" }),
    memory: { load: async () => undefined, save: async () => {} },
    builtin: () => toolDefinitions([...scopes]),
    staticList: false,
    serverInfo: { name: "agent-relay", version: "0.0.0" },
  });
  const facts = async (): Promise<OutboxFacts> => {
    const { depth, state } = outbox.status();
    // While its file is being opened again it cannot say.
    const ended = await outbox.records().catch(() => []);
    const unsent = ended.filter(({ state: end }) => !["queued", "sending", "sent"].includes(end));
    const notices = outbox.notices().filter(({ reason }) => reason !== "delayed").length;
    return { depth, state, notices, endedUnsent: unsent.map(({ messageId }) => String(messageId)) };
  };
  const control = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname === "/kick") outbox.kick();
      if (pathname === "/drop") {
        const ids = new Set(searchParams.get("messageIds")?.split(","));
        const all = await outbox.records();
        await outbox.drop(all.filter(({ messageId }) => ids.has(messageId)).map(({ id }) => id));
      }
      return Response.json(await facts());
    },
  });
  process.on("SIGTERM", () => {
    void outbox.close().then(() => process.exit(0));
  });
  return {
    url: endpoint.url,
    port: endpoint.port,
    controlUrl: `http://127.0.0.1:${control.port}`,
    pid: process.pid,
    openMs,
  };
}

try {
  const ready = await serve(JSON.parse(process.argv[2] ?? "{}") as OutboxConfig);
  process.stdout.write(`${JSON.stringify(ready)}\n`);
} catch (error) {
  const owned = error instanceof OutboxOwnedError;
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(owned ? 3 : 1);
}
