/** Operations about the relay itself. */
import { z } from "zod";
import type { OperationRow } from "./row.ts";

export const serviceOperations = {
  getRelay: {
    method: "GET",
    path: "/api/v1/relay",
    scope: "none",
    summary: "Which relay this is",
    request: z.strictObject({}),
    reply: z.object({
      product: z.literal("agent-relay"),
      version: z.string(),
      relayId: z.uuid(),
      generation: z.number().int().positive(),
      relayTime: z.iso.datetime().optional(),
    }),
  },
  getStatus: {
    method: "GET",
    path: "/api/v1/status",
    scope: "any",
    summary: "Counts that tell whether the relay works",
    request: z.strictObject({}),
    reply: z.object({
      version: z.string(),
      relayId: z.uuid(),
      generation: z.number().int(),
      startedAt: z.iso.datetime(),
      agents: z.number().int(),
      online: z.number().int(),
      messages: z.number().int(),
      unread: z.number().int(),
      obligationsOpen: z.number().int(),
    }),
  },
} as const satisfies Record<string, OperationRow>;
