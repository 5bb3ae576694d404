/** One instance of the fixture: a modern one lives for one request, a legacy one for a session. */
import { fromJsonSchema, McpServer } from "@modelcontextprotocol/server";
import { registerAskingTools } from "./asking-tools.ts";
import { registerPrompts, registerResources, registerSubscriptions } from "./documents.ts";
import { registerPlainTools } from "./plain-tools.ts";
import { tasksExtension, taskTools } from "./tasks.ts";
import type { World } from "./world.ts";

export type Everything = {
  readonly server: McpServer;
  /** Shows and hides what the world says, and tells the client of a session. */
  refresh(): void;
};

const keepMs = 60_000;

export function createEverything(world: World): Everything {
  const hint = { ttlMs: keepMs, cacheScope: "public" as const };
  const server = new McpServer(
    { name: "everything-fixture", version: "1.0.0" },
    {
      capabilities: { logging: {}, extensions: { [tasksExtension]: {} } },
      instructions: "Everything here exists to be tested.",
      requestState: { verify: (state, ctx) => world.codec.verify(state, ctx) },
      cacheHints: { "tools/list": hint, "prompts/list": hint, "resources/list": hint },
    },
  );
  registerPlainTools(server, world);
  registerAskingTools(server, world);
  registerResources(server);
  registerSubscriptions(server);
  registerPrompts(server);
  registerTaskTools(server);
  const tool = server.registerTool("test_changing_tool", { description: "Comes and goes" }, () => ({
    content: [{ type: "text", text: "It is here now." }],
  }));
  const prompt = server.registerPrompt("test_changing_prompt", { description: "Comes and goes" }, () => ({
    messages: [{ role: "user", content: { type: "text", text: "It is here now." } }],
  }));
  const refresh = () => {
    if (tool.enabled !== world.shown.tools) tool.update({ enabled: world.shown.tools });
    if (prompt.enabled !== world.shown.prompts) prompt.update({ enabled: world.shown.prompts });
  };
  refresh();
  return { server, refresh };
}

/** The tools of the tasks extension as the list shows them, and as a legacy client calls them: without a task. */
function registerTaskTools(server: McpServer): void {
  const greeting = fromJsonSchema<{ name: string }>({
    type: "object",
    properties: { name: { type: "string" } },
    required: ["name"],
  });
  server.registerTool("greet", { description: "Greets", inputSchema: greeting }, ({ name }) => ({
    content: [{ type: "text", text: `Hello, ${name}!` }],
  }));
  for (const [name, { description }] of Object.entries(taskTools)) {
    server.registerTool(name, { description }, () => ({
      content: [{ type: "text", text: "Only a modern client is given a task." }],
    }));
  }
}
