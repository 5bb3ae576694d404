/** The OpenAPI 3.1 description of the HTTP API, made from the table that the relay routes by. */
import { z } from "zod";
import { feedPath, type OperationRow, operationTable } from "../wire/api.ts";
import { errorTable } from "../wire/error.ts";
import { feedEventSchema } from "../wire/feed.ts";
import { scopeTable } from "../wire/scope.ts";

type Json = Record<string, unknown>;

const problemSchema = z
  .object({
    type: z.string().describe("urn:agent-relay:error:<code>"),
    title: z.string(),
    status: z.number().int(),
    detail: z.string().describe("What was tried, what is and what was wanted"),
    code: z.enum(Object.keys(errorTable) as [string, ...string[]]),
    instance: z.string().optional().describe("Names the request; the relay's log has the same id"),
    data: z.record(z.string(), z.unknown()).optional().describe("Facts the caller needs to act"),
  })
  .describe("Problem details (RFC 9457)");

/** The description as a value. @param version of the product */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const [name, row] of Object.entries<OperationRow>(operationTable)) {
    const path = row.path.replaceAll(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [row.method.toLowerCase()]: operationOf(name, row) };
  }
  paths[feedPath] = { get: feedOperation() };
  return {
    openapi: "3.1.0",
    info: {
      title: "Agent Relay",
      version,
      description:
        "JSON for runners, hosts, people and programs. Agents use MCP at /api/mcp. Every error is a problem (RFC 9457) whose `code` says what a sender may do next.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "The relay that serves this document" }],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: `An Agent Relay token (arl_…). Scopes: ${Object.keys(scopeTable).join(", ")}`,
        },
      },
      schemas: { Problem: schemaOf(problemSchema, "output"), FeedEvent: schemaOf(feedEventSchema, "output") },
      responses: {
        Problem: {
          description: "The request was refused or failed",
          content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
        },
      },
    },
  };
}

/** The description as the relay serves it and as it is checked in. */
export function openApiText(version: string): string {
  return `${JSON.stringify(openApiDocument(version), null, 2)}\n`;
}

function operationOf(name: string, row: OperationRow): Json {
  const inPath = [...row.path.matchAll(/:(\w+)/g)].map(([, member = ""]) => member);
  const request = schemaOf(row.request, "input");
  const members = Object.entries((request.properties ?? {}) as Record<string, Json>);
  const required = (request.required ?? []) as string[];
  const rest = members.filter(([member]) => !inPath.includes(member));
  const inQuery = row.method === "GET" ? rest : [];
  const parameters = [
    ...members.filter(([member]) => inPath.includes(member)).map(parameter("path", () => true)),
    ...inQuery.map(parameter("query", (member) => required.includes(member))),
  ];
  return {
    operationId: name,
    summary: row.summary,
    ...securityOf(row.scope),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(row.method === "GET" ? {} : { requestBody: bodyOf(rest, required) }),
    responses: {
      "200": {
        description: "Done",
        content: { "application/json": { schema: schemaOf(row.reply, "output") } },
      },
      default: { $ref: "#/components/responses/Problem" },
    },
  };
}

function securityOf(scope: OperationRow["scope"]): Json {
  if (scope === "none") return { security: [] };
  return { security: [{ token: [] }], "x-agent-relay-scope": scope };
}

function parameter(place: "path" | "query", isRequired: (member: string) => boolean) {
  return ([name, schema]: [string, Json]): Json => ({
    name,
    in: place,
    required: isRequired(name),
    schema,
  });
}

function bodyOf(members: readonly [string, Json][], required: readonly string[]): Json {
  const names = members.map(([name]) => name);
  const wanted = required.filter((name) => names.includes(name));
  return {
    required: wanted.length > 0,
    content: {
      "application/json": {
        schema: {
          type: "object",
          properties: Object.fromEntries(members),
          ...(wanted.length === 0 ? {} : { required: wanted }),
          additionalProperties: false,
        },
      },
    },
  };
}

function feedOperation(): Json {
  return {
    operationId: "followFeed",
    summary: "Follow the feed of the token's principal",
    ...securityOf("feed:read"),
    parameters: [
      {
        name: "after",
        in: "query",
        required: false,
        description: "Cursor <generation>:<seq> to go on after; `Last-Event-ID` says the same",
        schema: { type: "string" },
      },
    ],
    responses: {
      "200": {
        description: "Server-sent events; the data of each is a FeedEvent",
        content: { "text/event-stream": { schema: { $ref: "#/components/schemas/FeedEvent" } } },
      },
      default: { $ref: "#/components/responses/Problem" },
    },
  };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
