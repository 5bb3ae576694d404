/**
 * The client that the official suite puts to the test, on the official SDK. The suite gives the address of its server
 * as the last argument and the scenario in the environment. With CONFORMANCE_THROUGH=proxy the client starts a proxy
 * in front of that server and talks to it.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { z } from "zod";
import { firstLine, launch, stopAll, until } from "../../../examples/demo/programs.ts";
import { waitingClock } from "../../../src/base/clock.ts";
import { scenarios } from "./client-scenarios.ts";

/** Longer than any scenario takes, shorter than the suite waits: a proxy of ours is never left behind. */
const deadlineMs = 20_000;
const root = resolve(import.meta.dir, "../../..");
const readySchema = z.object({ url: z.string(), secretFile: z.string() });

type Server = { url: string; headers: Record<string, string>; close(): Promise<void> };

async function proxied(upstream: string): Promise<Server> {
  const home = mkdtempSync(join(tmpdir(), "agent-relay-conformance-client-"));
  const command = [join(root, "bin/agent-relay"), "proxy", "--upstream", upstream, "--home", home, "--json"];
  const program = launch({ name: "proxy", command, folder: home, environment: process.env });
  const close = async () => {
    await stopAll([program], 3_000, waitingClock);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const { signal } = new AbortController();
    const wait = { what: "the proxy", forMs: 10_000, clock: waitingClock, signal };
    const line = await until(wait, () => firstLine(program, 0));
    const { url, secretFile } = readySchema.parse(JSON.parse(line));
    const headers = { Authorization: `Bearer ${readFileSync(secretFile, "utf8").trim()}` };
    return { url, headers, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function createClient(version: string): Client {
  const client = new Client(
    { name: "conformance-client", version: "1.0.0" },
    {
      capabilities: { roots: {}, sampling: {}, elicitation: { form: { applyDefaults: true } } },
      versionNegotiation: { mode: version >= "2026-07-28" ? "auto" : "legacy" },
    },
  );
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: {} }));
  return client;
}

async function main(): Promise<void> {
  const { MCP_CONFORMANCE_SCENARIO: name = "", MCP_CONFORMANCE_PROTOCOL_VERSION: version = "" } = process.env;
  const scenario = scenarios[name];
  if (scenario === undefined) throw new Error(`Run scenario '${name}': the client does not know it`);
  const upstream = z.url().parse(process.argv.at(-1));
  const through = process.env.CONFORMANCE_THROUGH === "proxy";
  const server = through ? await proxied(upstream) : { url: upstream, headers: {}, close: async () => {} };
  const stop = waitingClock.after(deadlineMs, async () => {
    console.error(`Run scenario '${name}': it took more than ${deadlineMs / 1000} s`);
    await server.close();
    process.exit(1);
  });
  const client = createClient(version);
  try {
    const requestInit = { headers: server.headers };
    await client.connect(new StreamableHTTPClientTransport(new URL(server.url), { requestInit }));
    await scenario.run(client, process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
  } finally {
    stop();
    await client.close();
    await server.close();
  }
}

try {
  await main();
  process.exit(0);
} catch (error) {
  console.error(error);
  process.exit(1);
}
