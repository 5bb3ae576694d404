/**
 * The demo's agent believes nothing: an answer that breaks the tool's output schema, a JSON-RPC error and a dead
 * endpoint each go into its ledger as a fault, and a restarted agent goes on under the same keys.
 */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { linesOf, openLedger, parseLedger } from "../../examples/demo/ledger.ts";

const root = resolve(import.meta.dir, "../..");
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

type Sent = { idempotencyKey: string; body: string };
const receipt = { delivery: "sent", queued: false, tool: "relay_send_message", note: "" };
const good = ({ idempotencyKey }: Sent) => ({ ...receipt, idempotencyKey, messageId: crypto.randomUUID() });
const outputSchema = {
  type: "object",
  properties: { delivery: { type: "string", enum: ["sent"] } },
  required: ["delivery"],
};
const tools = [
  { name: "relay_send_message", inputSchema: { type: "object" }, outputSchema },
  { name: "relay_check_messages", inputSchema: { type: "object" } },
  { name: "relay_list_agents", inputSchema: { type: "object" } },
];

/** A server of the modern era in a few lines, which answers sends with what `answer` makes. */
function startServer(answer: (sent: Sent) => unknown) {
  const sends: Sent[] = [];
  const results = {
    "server/discover": () => ({ supportedVersions: ["2026-07-28"], capabilities: { tools: {} } }),
    "tools/list": () => ({ tools }),
    relay_list_agents: () => ({ content: [], structuredContent: { agents: [{ name: "bob" }] } }),
    relay_check_messages: () => ({ content: [], structuredContent: { messages: [], notices: [] } }),
    relay_send_message(sent: Sent) {
      sends.push(sent);
      return { content: [], structuredContent: answer(sent) };
    },
  } as const;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { id, method, params } = (await request.json()) as {
        id: number;
        method: string;
        params: { name: keyof typeof results; arguments: Sent };
      };
      const name = (method === "tools/call" ? params.name : method) as keyof typeof results;
      const result = results[name](params.arguments);
      return Response.json({
        jsonrpc: "2.0",
        id,
        result: { resultType: "complete", ttlMs: 0, cacheScope: "private", ...result },
      });
    },
  });
  closers.push(() => void server.stop(true));
  return { url: server.url.href, sends };
}

/** Runs the agent to its end and gives its ledger. */
async function runAgent(url: string, folder: string, deadlineMs: number) {
  const ledger = join(folder, "ledger.jsonl");
  const agent = Bun.spawn(
    [
      ...[join(root, "tools/bun"), join(root, "examples/demo/agent.ts"), "--to", "bob", "--count", "2"],
      ...["--ledger", ledger, "--pace-ms", "5", "--deadline-ms", String(deadlineMs)],
    ],
    {
      env: {
        PATH: process.env.PATH,
        AGENT_RELAY_AGENT: "alice",
        AGENT_RELAY_MCP_URL: url,
        AGENT_RELAY_SESSION_TOKEN: "secret",
      },
      stdout: "ignore",
      stderr: "inherit",
    },
  );
  const code = await agent.exited;
  return { code, lines: parseLedger(readFileSync(ledger, "utf8")) };
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-agent-"));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("an answer that breaks the output schema is a fault, not an answer", async () => {
  const { url } = startServer((sent) => ({ ...good(sent), delivery: "maybe" }));
  const { code, lines } = await runAgent(url, temporaryFolder(), 900);
  expect(code).toBe(1);
  expect(linesOf(lines, "told")).toEqual([]);
  const faults = linesOf(lines, "fault");
  expect(faults.length).toBeGreaterThan(0);
  expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(["protocol"]));
  expect(faults[0]?.text).toContain("Structured content does not match");
});

test("an endpoint that is not there is a transport fault", async () => {
  const { code, lines } = await runAgent("http://127.0.0.1:1/mcp", temporaryFolder(), 800);
  expect(code).toBe(1);
  expect(new Set(linesOf(lines, "fault").map(({ kind, action }) => `${kind} ${action}`))).toEqual(
    new Set(["transport connect"]),
  );
});

test("a restarted agent asks again under the key of its ledger, and begins nothing twice", async () => {
  const folder = temporaryFolder();
  {
    using ledger = openLedger(join(folder, "ledger.jsonl"));
    ledger.append({ type: "intent", at: 1, run: "earlier", n: 1, key: "the-key-of-1" });
  }
  const { url, sends } = startServer(good);
  const { lines } = await runAgent(url, folder, 1_000);
  expect(linesOf(lines, "told").map(({ n }) => n)).toEqual([1, 2]);
  expect(sends.map(({ body }) => body)).toEqual(["message 1 of 2 from alice", "message 2 of 2 from alice"]);
  expect(sends[0]?.idempotencyKey).toBe("the-key-of-1");
  expect(sends[1]?.idempotencyKey).not.toBe("the-key-of-1");
});
