/**
 * An MCP server with everything the official conformance suite asks for, in both eras on one endpoint. Prints its
 * address as JSON; SIGTERM stops it.
 */
import {
  createMcpHandler,
  createRequestStateCodec,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from "@modelcontextprotocol/server";
import { createLegacySessions } from "./everything/legacy-sessions.ts";
import { createEverything } from "./everything/server.ts";
import { createTaskServer, isForTasks, Tasks } from "./everything/tasks.ts";
import type { RoundState, World } from "./everything/world.ts";

const world: World = {
  shown: { tools: false, prompts: false },
  codec: createRequestStateCodec<RoundState>({ key: crypto.getRandomValues(new Uint8Array(32)) }),
  toggle(what) {
    world.shown[what] = !world.shown[what];
    for (const everything of legacy.all()) everything.refresh();
    if (what === "tools") modern.notify.toolsChanged();
    else modern.notify.promptsChanged();
  },
};
const legacy = createLegacySessions(() => createEverything(world));
const modern = createMcpHandler(() => createEverything(world).server, { legacy: "reject" });
const tasks = new Tasks();
const withTasks = createMcpHandler(() => createTaskServer(tasks), { legacy: "reject" });

async function serveModern(request: Request): Promise<Response> {
  const body: unknown = await request
    .clone()
    .json()
    .catch(() => undefined);
  const { method, params } = Object(body);
  return (isForTasks(method, Object(params).name) ? withTasks : modern).fetch(request);
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  async fetch(request) {
    const refused =
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
      originValidationResponse(request, localhostAllowedOrigins());
    if (refused !== undefined) return refused;
    if (new URL(request.url).pathname !== "/mcp") return new Response("Not found\n", { status: 404 });
    return (await isLegacyRequest(request)) ? legacy.handle(request) : serveModern(request);
  },
});
console.log(JSON.stringify({ event: "ready", url: `http://127.0.0.1:${server.port}/mcp` }));

process.once("SIGTERM", async () => {
  await Promise.allSettled([modern.close(), withTasks.close(), legacy.close(), server.stop(true)]);
  process.exit(0);
});
