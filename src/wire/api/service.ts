/** Operations about the relay itself. */
import { z } from "zod";
import { limits } from "../../limits.ts";
import { auditEntrySchema, auditKinds } from "../audit.ts";
import type { OperationRow } from "./row.ts";

const backupSchema = z.object({
  id: z.string(),
  state: z.enum(["running", "done", "failed"]),
  file: z.string().describe("Where it is on the relay's machine"),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().optional(),
  bytes: z.number().int().optional(),
  why: z.string().optional().describe("Why it failed"),
});

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
  listAudit: {
    method: "GET",
    path: "/api/v1/audit",
    scope: "audit:read",
    summary: "The audit log: the newest entries first, or upwards after a number",
    request: z.strictObject({
      afterSeq: z.coerce.number().int().min(0).optional().describe("Upwards from here, all kinds"),
      beforeSeq: z.coerce.number().int().min(1).optional().describe("Downwards from here"),
      kind: z.enum(auditKinds).optional().describe("Only with the newest first"),
      limit: z.coerce.number().int().min(1).max(limits.auditPageMax).optional(),
    }),
    reply: z.object({
      entries: z.array(auditEntrySchema),
      newest: z.object({ seq: z.number().int(), hash: z.string() }).optional(),
    }),
  },
  makeBackup: {
    method: "POST",
    path: "/api/v1/backups",
    scope: "backup:make",
    summary: "Make a backup of the relay's database",
    request: z.strictObject({}),
    reply: backupSchema,
  },
  getBackup: {
    method: "GET",
    path: "/api/v1/backups/:id",
    scope: "backup:make",
    summary: "How far a backup has got",
    request: z.strictObject({ id: z.string().min(1).max(100) }),
    reply: backupSchema,
  },
} as const satisfies Record<string, OperationRow>;
