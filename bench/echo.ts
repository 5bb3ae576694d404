/**
 * The upstream of the bench: the smallest MCP server (both eras) that a proxy can front, in a process of its own.
 * Prints its address as JSON and echoes a text; it validates nothing, so that what is measured is the way to it.
 */
const tool = {
  name: "echo",
  description: "Says the text again",
  inputSchema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
};
const cache = { ttlMs: 60_000, cacheScope: "private" };
const about = { "io.modelcontextprotocol/serverInfo": { name: "echo", version: "1.0.0" } };

type Call = { id: unknown; method: string; params?: { name?: string; arguments?: { text?: string } } };

function resultOf(call: Call): Record<string, unknown> | undefined {
  switch (call.method) {
    case "tools/call":
      return { content: [{ type: "text", text: call.params?.arguments?.text ?? "" }], isError: false };
    case "tools/list":
      return { tools: [tool], ...cache };
    case "server/discover":
      return { supportedVersions: ["2026-07-28"], capabilities: { tools: { listChanged: false } }, ...cache };
    case "initialize":
      return {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "echo", version: "1.0.0" },
      };
    case "ping":
      return {};
    default:
      return undefined;
  }
}

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  idleTimeout: 120,
  async fetch(request) {
    if (request.method !== "POST") return new Response(null, { status: 405 });
    const call = (await request.json()) as Call;
    if (call.id === undefined) return new Response(null, { status: 202 });
    const result = resultOf(call);
    if (result === undefined) {
      const error = { code: -32601, message: `Method ${call.method} is not known` };
      return Response.json({ jsonrpc: "2.0", id: call.id, error }, { status: 404 });
    }
    return Response.json({
      jsonrpc: "2.0",
      id: call.id,
      result: { resultType: "complete", ...result, _meta: about },
    });
  },
});
console.log(JSON.stringify({ event: "ready", url: `${server.url.origin}/mcp` }));
