/**
 * The table of HTTP operations under /api/v1. The relay routes by it, the client is made from it. Its rows are in
 * the files of `api/`, by subject.
 */
import type { z } from "zod";
import { identityOperations } from "./api/identity.ts";
import { messageOperations } from "./api/messages.ts";
import { obligationOperations } from "./api/obligations.ts";
import type { OperationRow } from "./api/row.ts";
import { serviceOperations } from "./api/service.ts";

export type { OperationRow } from "./api/row.ts";

export const operationTable = {
  ...serviceOperations,
  ...identityOperations,
  ...messageOperations,
  ...obligationOperations,
} as const satisfies Record<string, OperationRow>;

/** Name of an HTTP operation. */
export type OperationName = keyof typeof operationTable;
/** What a caller of an operation gives. */
export type OperationRequest<Name extends OperationName> = z.input<(typeof operationTable)[Name]["request"]>;
/** What the relay has after parsing. */
export type OperationInput<Name extends OperationName> = z.output<(typeof operationTable)[Name]["request"]>;
/** What an operation answers. */
export type OperationReply<Name extends OperationName> = z.infer<(typeof operationTable)[Name]["reply"]>;

/** Where a principal's feed is. Not a row of the table: it answers with a stream. */
export const feedPath = "/api/v1/feed";
/** Where the relay describes its HTTP API (OpenAPI 3.1). */
export const openApiPath = "/api/openapi.json";
/** Where the relay speaks MCP. */
export const mcpPath = "/api/mcp";
