/**
 * The upstream of the outage drill: an MCP server on the official SDK, both eras on one endpoint, legacy with sessions.
 * `--port` starts it again where it was. What it does wrong is told to it at `/control`. Prints its address as JSON.
 */
import { parseArgs } from "node:util";
import { createMcpHandler, isLegacyRequest, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import { realClock, sleep } from "../../src/base/clock.ts";
import { createLegacySessions } from "../../test/conformance/mcp/everything/legacy-sessions.ts";

/** What can be asked of it; every member is a change. */
export const controlSchema = z.object({
  /** Every answer has this status; 0 = no fault. */
  status: z.number().optional(),
  /** Every open connection is cut now, and every answer in its middle for as long as this is on. */
  cut: z.boolean().optional(),
  /** Every answer comes so much later, ms. */
  slowMs: z.number().optional(),
  /** The tool that comes and goes is there. */
  extra: z.boolean().optional(),
});

const { values } = parseArgs({
  args: Bun.argv.slice(2),
  options: { port: { type: "string", default: "0" }, extra: { type: "boolean", default: false } },
});
const state = { status: 0, cut: false, slowMs: 0, extra: values.extra };

function createServer() {
  const server = new McpServer(
    { name: "drill", version: "1.0.0" },
    { instructions: "For the outage drill." },
  );
  const inputSchema = z.object({ text: z.string() });
  server.registerTool("echo", { description: "Says the text again", inputSchema }, ({ text }) => ({
    content: [{ type: "text", text }],
  }));
  server.registerTool("look", { description: "Always there" }, () => ({ content: [] }));
  const extra = server.registerTool("extra", { description: "Comes and goes" }, () => ({ content: [] }));
  const refresh = () => {
    if (extra.enabled !== state.extra) extra.update({ enabled: state.extra });
  };
  refresh();
  return { server, refresh };
}

const legacy = createLegacySessions(createServer);
const modern = createMcpHandler(() => createServer().server, { legacy: "reject" });

function serve(port: number) {
  return Bun.serve({ hostname: "127.0.0.1", port, idleTimeout: 0, fetch: answer });
}

async function answer(request: Request): Promise<Response> {
  if (new URL(request.url).pathname === "/control") return control(request);
  const { status } = state;
  if (status !== 0) {
    const headers: Record<string, string> = status === 401 ? { "WWW-Authenticate": "Bearer" } : {};
    return new Response(`The drill answers ${status}\n`, { status, headers });
  }
  if (state.slowMs > 0) await sleep(realClock, state.slowMs);
  if (state.cut) return cutShort();
  return (await isLegacyRequest(request)) ? legacy.handle(request) : modern.fetch(request);
}

/** A stream that breaks off after its first bytes. */
function cutShort(): Response {
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode(": begun\n\n"));
      await sleep(realClock, 20);
      controller.error(new Error("cut by the drill"));
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
}

async function control(request: Request): Promise<Response> {
  const { extra, cut, ...rest } = controlSchema.parse(await request.json());
  if (extra !== undefined && extra !== state.extra) {
    state.extra = extra;
    for (const { refresh } of legacy.all()) refresh();
    modern.notify.toolsChanged();
  }
  for (const [name, value] of Object.entries(rest)) Object.assign(state, { [name]: value });
  if (cut === undefined) return Response.json(state);
  state.cut = cut;
  if (cut) setTimeout(() => void reopen(), 10);
  return Response.json(state);
}

/** Cuts every connection and listens again at once. */
async function reopen(): Promise<void> {
  const { port } = server;
  await server.stop(true);
  server = serve(port ?? 0);
}

let server = serve(Number(values.port));
console.log(JSON.stringify({ event: "ready", url: `http://127.0.0.1:${server.port}/mcp` }));
