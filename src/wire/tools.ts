/**
 * The table of the relay's MCP tools. The relay serves it, the proxy narrows it, the outbox takes what is buffered,
 * the documentation is made from it. Its rows are in the files of `tools/`, by subject.
 */
import { z } from "zod";
import type { Scope } from "./scope.ts";
import { agentTools } from "./tools/agents.ts";
import { channelTools } from "./tools/channels.ts";
import { messageTools } from "./tools/messages.ts";
import { obligationTools } from "./tools/obligations.ts";
import type { ToolRow } from "./tools/row.ts";

export type { ShownWhen, ToolRow } from "./tools/row.ts";

export const toolTable = {
  ...messageTools,
  ...channelTools,
  ...agentTools,
  ...obligationTools,
} as const satisfies Record<string, ToolRow>;

export type ToolName = keyof typeof toolTable;

/** The arguments of one tool, as its schema lets them through. */
export type ToolInput<Name extends ToolName> = z.infer<(typeof toolTable)[Name]["input"]>;
/** The `structuredContent` of one tool. */
export type ToolOutput<Name extends ToolName> = z.infer<(typeof toolTable)[Name]["output"]>;

/** The row of a tool, or undefined when the relay has no tool of that name. */
export function toolRow(name: string): ToolRow | undefined {
  return Object.hasOwn(toolTable, name) ? toolTable[name as ToolName] : undefined;
}

/** A tool as `tools/list` shows it (MCP 2025-06-18 §server/tools, 2026-07-28 §server/tools). */
export type ToolDefinition = {
  name: string;
  title?: string;
  description?: string;
  inputSchema: Record<string, unknown>;
  outputSchema?: Record<string, unknown>;
  annotations?: Record<string, unknown>;
  [member: string]: unknown;
};

/** The definitions of all tools whose scope is among `granted`, in table order. */
export function toolDefinitions(granted: readonly Scope[]): ToolDefinition[] {
  return (Object.keys(toolTable) as ToolName[])
    .filter((name) => granted.includes(toolTable[name].scope))
    .map((name) => definition(name, toolTable[name]));
}

function definition(name: ToolName, row: ToolRow): ToolDefinition {
  return {
    name,
    title: row.title,
    description: row.description,
    inputSchema: schemaObject(row.input, "input"),
    outputSchema: schemaObject(row.output, "output"),
    annotations: {
      readOnlyHint: row.readOnly,
      destructiveHint: false,
      idempotentHint: row.readOnly,
      openWorldHint: false,
    },
  };
}

function schemaObject(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

/** A sentence about why arguments do not fit a schema: the path, what is and what was wanted. */
export function argumentFault(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.length === 0 ? "arguments" : issue.path.join(".")}: ${issue.message}`)
    .join("; ");
}
