/**
 * What is attacked: `agent-relay proxy` as a process of its own, before an upstream that writes down every request
 * that gets through. Only tests use it.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { firstLine, launch, type Program, stopAll, until } from "../../examples/demo/programs.ts";
import { waitingClock } from "../../src/base/clock.ts";

type Json = Record<string, unknown>;
/** A request as the upstream got it. */
export type Arrived = {
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  /** The body as the usual parser reads it; undefined when it cannot. */
  readonly body: Json | undefined;
};

export type Recorder = {
  readonly origin: string;
  /** Everything but what the proxy asks in its own name. */
  readonly arrived: Arrived[];
  /** `tools/call` requests. */
  readonly calls: number;
  stop(): Promise<void>;
};

export type Victim = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  readonly secret: string;
  readonly program: Program;
  readonly upstream: Recorder;
  /** Resident memory of the proxy now, MiB. */
  residentMiB(): number;
  /** The most it ever was, MiB. */
  peakMiB(): number;
  log(): string;
};

const root = resolve(import.meta.dir, "../..");
/** Offered by the upstream, hidden by the policy. */
export const hiddenTool = "gamma";
export const shownTools = ["alpha", "beta", "line"];
const ownIds = /^agent-relay-/;

/** How large the one line is that the tool `line` answers with. */
export const longLineBytes = 1024 * 1024;

/** An upstream of both eras that answers everything at once. */
export function startRecorder(): Recorder {
  const arrived: Arrived[] = [];
  let calls = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const bytes = await request.bytes();
      const body = parsed(bytes);
      if (typeof body?.id !== "string" || !ownIds.test(body.id))
        arrived.push({ headers: request.headers, bytes, body });
      if (body?.method === "tools/call") calls += 1;
      if (request.method !== "POST") return new Response(null, { status: 405 });
      return answer(body);
    },
  });
  return {
    origin: `http://127.0.0.1:${server.port}`,
    arrived,
    get calls() {
      return calls;
    },
    stop: () => server.stop(true),
  };
}

function parsed(bytes: Uint8Array): Json | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

function answer(body: Json | undefined): Response {
  if (body === undefined) return new Response("not JSON", { status: 400 });
  if (!("id" in body) || !("method" in body)) return new Response(null, { status: 202 });
  const { id } = body;
  const params = (typeof body.params === "object" && body.params !== null ? body.params : {}) as Json;
  if (body.method === "tools/call" && params.name === "line") return longLine(id);
  const result = results[String(body.method)];
  if (result !== undefined) return Response.json({ jsonrpc: "2.0", id, result });
  const error = { code: -32601, message: "Method not found" };
  return Response.json({ jsonrpc: "2.0", id, error }, { status: 404 });
}

const tools = [...shownTools, hiddenTool].map((name) => ({ name, inputSchema: { type: "object" } }));
const results: Readonly<Record<string, Json>> = Object.assign(Object.create(null), {
  "server/discover": {
    resultType: "complete",
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: {} },
  },
  initialize: {
    protocolVersion: "2025-11-25",
    capabilities: { tools: {} },
    serverInfo: { name: "recorder", version: "1" },
  },
  "tools/list": { resultType: "complete", tools },
  "tools/call": { resultType: "complete", content: [{ type: "text", text: "ran" }] },
  "prompts/list": { resultType: "complete", prompts: [] },
  "resources/list": { resultType: "complete", resources: [] },
  "resources/read": { resultType: "complete", contents: [] },
});

/** One event whose only line is longer than anybody needs. */
function longLine(id: unknown): Response {
  const content = [{ type: "text", text: "x".repeat(longLineBytes) }];
  const text = JSON.stringify({ jsonrpc: "2.0", id, result: { resultType: "complete", content } });
  return new Response(`data: ${text}\n\n`, { headers: { "Content-Type": "text/event-stream" } });
}

/** Starts upstream and proxy. */
export async function startVictim(): Promise<Victim> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-hostile-"));
  const upstream = startRecorder();
  const policyFile = join(folder, "policy.json");
  writeFileSync(policyFile, JSON.stringify({ tools: { [hiddenTool]: { shownWhen: "isolated-worktree" } } }));
  const command = [join(root, "bin/agent-relay"), "proxy", "--json", "--upstream", `${upstream.origin}/mcp`];
  command.push("--home", join(folder, "home"), "--policy", policyFile);
  const program = launch({ name: "proxy", command, folder, environment: process.env });
  const wait = { what: "the proxy to be ready", forMs: 10_000, clock: waitingClock };
  const line = await until({ ...wait, signal: new AbortController().signal }, () => firstLine(program, 0));
  const { url, secretFile } = JSON.parse(line) as { url: string; secretFile: string };
  const status = (name: string) => {
    const text = readFileSync(`/proc/${program.pid}/status`, "utf8");
    return Math.round(Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(text)?.[1]) / 1024);
  };
  return {
    url,
    port: Number(new URL(url).port),
    secret: readFileSync(secretFile, "utf8").trim(),
    program,
    upstream,
    residentMiB: () => status("VmRSS"),
    peakMiB: () => status("VmHWM"),
    log: () => (existsSync(program.logFile) ? readFileSync(program.logFile, "utf8") : ""),
    async [Symbol.asyncDispose]() {
      await stopAll([program], 2_000, waitingClock);
      await upstream.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
