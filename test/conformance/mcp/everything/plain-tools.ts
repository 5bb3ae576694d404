/** Tools that answer at once or report on the way: content of every kind, an error, progress, log lines, a reconnect. */
import {
  type CallToolResult,
  type ContentBlock,
  fromJsonSchema,
  type McpServer,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { picture, pictureType, silence, soundType } from "./media.ts";
import type { Changeable, World } from "./world.ts";

const stepMs = 50;
const reconnectMs = 200;

const text = (words: string): ContentBlock => ({ type: "text", text: words });
const image: ContentBlock = { type: "image", data: picture, mimeType: pictureType };
const answer = (...content: ContentBlock[]): CallToolResult => ({ content });
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const resource = (uri: string, mimeType: string, words: string): ContentBlock => ({
  type: "resource",
  resource: { uri, mimeType, text: words },
});

/** Tools that always give the same content. */
const contentTools: Record<string, { description: string; content: ContentBlock[] }> = {
  test_simple_text: { description: "Gives one text", content: [text("A plain text from the fixture.")] },
  test_image_content: { description: "Gives one picture", content: [image] },
  test_audio_content: {
    description: "Gives one sound",
    content: [{ type: "audio", data: silence(8), mimeType: soundType }],
  },
  test_embedded_resource: {
    description: "Gives one resource inside the result",
    content: [resource("test://embedded-resource", "text/plain", "Text inside a resource.")],
  },
  test_multiple_content_types: {
    description: "Gives a text, a picture and a resource",
    content: [
      text("Three kinds of content:"),
      image,
      resource("test://mixed-content-resource", "application/json", '{"kind":"mixed"}'),
    ],
  },
};

async function progress(ctx: ServerContext): Promise<CallToolResult> {
  const token = ctx.mcpReq._meta?.progressToken;
  for (const done of [0, 50, 100]) {
    if (done > 0) await pause(stepMs);
    if (token === undefined) continue;
    const params = { progressToken: token, progress: done, total: 100 };
    await ctx.mcpReq.notify({ method: "notifications/progress", params });
  }
  return answer(text("All steps are done."));
}

async function logging(ctx: ServerContext): Promise<CallToolResult> {
  for (const words of ["The tool starts", "The tool works", "The tool ends"]) {
    await ctx.mcpReq.log("info", words);
    await pause(stepMs);
  }
  return answer(text("Three log lines were written."));
}

/** Ends the stream of the call before there is a result: the client has to come back for it. */
async function reconnect(ctx: ServerContext): Promise<CallToolResult> {
  ctx.http?.closeSSE?.();
  await pause(reconnectMs);
  return answer(text("The result came over another stream."));
}

/** Every keyword of JSON Schema 2020-12 that must survive the way to the client. */
const richSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: {
    address: {
      $anchor: "where",
      type: "object",
      properties: { town: { type: "string" }, road: { type: "string" } },
    },
  },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    by: { type: "string", enum: ["letter", "call"] },
    number: { type: "string" },
  },
  allOf: [{ anyOf: [{ required: ["number"] }, { required: ["address"] }] }],
  if: { properties: { by: { const: "call" } }, required: ["by"] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
  then: { required: ["number"] },
  else: { required: ["address"] },
  additionalProperties: false,
} as const;

const headerSchema = {
  type: "object",
  properties: {
    region: { type: "string", description: "Where it runs", "x-mcp-header": "Region" },
    note: { type: "string", description: "Not mirrored into a header" },
  },
  required: ["region"],
} as const;

const triggers: Record<string, Changeable> = {
  test_trigger_tool_change: "tools",
  test_trigger_prompt_change: "prompts",
};

export function registerPlainTools(server: McpServer, world: World): void {
  for (const [name, { description, content }] of Object.entries(contentTools)) {
    server.registerTool(name, { description }, () => answer(...content));
  }
  server.registerTool("test_error_handling", { description: "Always fails" }, () => ({
    ...answer(text("This tool fails, as it was asked to.")),
    isError: true,
  }));
  server.registerTool("test_tool_with_progress", { description: "Reports its progress" }, progress);
  server.registerTool("test_tool_with_logging", { description: "Writes three log lines" }, logging);
  server.registerTool("test_logging_tool", { description: "Writes three log lines, if asked for" }, logging);
  server.registerTool("test_reconnection", { description: "Ends its stream before its result" }, reconnect);
  for (const [name, what] of Object.entries(triggers)) {
    server.registerTool(name, { description: `Changes the list of ${what}` }, () => {
      world.toggle(what);
      return answer(text(`The list of ${what} is another now.`));
    });
  }
  registerSchemaTools(server);
}

function registerSchemaTools(server: McpServer): void {
  const rich = { description: "Has a schema of many keywords", inputSchema: fromJsonSchema(richSchema) };
  server.registerTool("json_schema_2020_12_tool", rich, () => answer(text("The arguments are valid.")));
  const mirrored = {
    description: "Has an argument that a header mirrors",
    inputSchema: fromJsonSchema<{ region: string }>(headerSchema),
  };
  server.registerTool("test_custom_header", mirrored, ({ region }) => answer(text(`It ran in ${region}.`)));
}
