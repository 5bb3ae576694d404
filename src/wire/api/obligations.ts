/** Operations about obligations, presence, quarantine and insights. */
import { z } from "zod";
import { limits } from "../../limits.ts";
import { isIdempotencyKey } from "../id.ts";
import { insightFacts, insightKinds, insightSchema } from "../insight.ts";
import { obligationSchema, reminderSchema } from "../obligation.ts";
import { reportedStates } from "../presence.ts";
import { receiptSchema } from "../receipt.ts";
import { agentName, type OperationRow } from "./row.ts";

const kind = z.enum(insightKinds);
const insightKindSchema = z.object({ kind, about: z.string(), enabled: z.boolean() });

export const obligationOperations = {
  listObligations: {
    method: "GET",
    path: "/api/v1/obligations",
    scope: "any",
    summary:
      "Replies that are owed, oldest first: one's own agent's with message:read or inbox:read, any or all with inbox:read-any",
    request: z.strictObject({
      agent: agentName.optional().describe("Owed by or to this agent; all without it"),
    }),
    reply: z.object({ obligations: z.array(obligationSchema), more: z.boolean() }),
  },
  takeReminders: {
    method: "POST",
    path: "/api/v1/inboxes/:agent/reminders",
    scope: "inbox:read",
    summary: "What the agent one runs is to be told about replies; that one will not come is said once",
    request: z.strictObject({
      agent: agentName,
      fresh: z.boolean().optional().describe("Also the replies it owes of which it was not reminded yet"),
    }),
    reply: z.object({ reminders: z.array(reminderSchema) }),
  },
  declineObligation: {
    method: "POST",
    path: "/api/v1/obligations/:messageId/decline",
    scope: "message:send",
    summary: "Decline a reply that one owes; the reason goes to whoever asked as the reply",
    request: z.strictObject({
      messageId: z.uuid(),
      reason: z.string().min(1).max(limits.reasonMax),
      idempotencyKey: z.string().refine(isIdempotencyKey).optional(),
    }),
    reply: receiptSchema,
  },
  quarantineAgent: {
    method: "POST",
    path: "/api/v1/agents/:agent/quarantine",
    scope: "agent:admin",
    summary: "Stop the writes of an agent; it can go on reading",
    request: z.strictObject({
      agent: agentName,
      reason: z.string().max(limits.reasonMax).describe("The agent and the audit log get it"),
    }),
    reply: z.object({ agent: z.string(), changed: z.boolean() }),
  },
  releaseAgent: {
    method: "DELETE",
    path: "/api/v1/agents/:agent/quarantine",
    scope: "agent:admin",
    summary: "Let a quarantined agent write again",
    request: z.strictObject({ agent: agentName }),
    reply: z.object({ agent: z.string(), changed: z.boolean() }),
  },
  reportPresence: {
    method: "POST",
    path: "/api/v1/presence",
    scope: "presence:write",
    summary:
      "What the agent of this runner does now; asked for again as a heartbeat, it is believed for three minutes",
    request: z.strictObject({ state: z.enum(reportedStates) }),
    reply: z.object({ changed: z.boolean() }),
  },
  reportInsight: {
    method: "POST",
    path: "/api/v1/insights",
    scope: "insight:write",
    summary: "Report something notable; 409 feature_disabled when its kind is switched off, which is final",
    request: z.strictObject({
      id: z.uuid().describe("Made by the runner: the same id again changes nothing"),
      kind,
      at: z.iso.datetime(),
      facts: insightFacts,
    }),
    reply: z.object({ known: z.boolean().describe("It had been reported before") }),
  },
  listInsights: {
    method: "GET",
    path: "/api/v1/insights",
    scope: "audit:read",
    summary: "What runners reported, newest first",
    request: z.strictObject({
      kind: kind.optional(),
      agent: agentName.optional(),
      before: z.coerce.number().int().positive().optional().describe("Only those before this number"),
      limit: z.coerce.number().int().min(1).max(limits.insightsPageMax).optional(),
    }),
    reply: z.object({ insights: z.array(insightSchema), more: z.boolean() }),
  },
  listInsightKinds: {
    method: "GET",
    path: "/api/v1/insight-kinds",
    scope: "any",
    summary: "Which kinds of insights there are, and which are switched on",
    request: z.strictObject({}),
    reply: z.object({ kinds: z.array(insightKindSchema) }),
  },
  setInsightKind: {
    method: "POST",
    path: "/api/v1/insight-kinds/:kind",
    scope: "profile:admin",
    summary: "Switch a kind of insights on or off",
    request: z.strictObject({ kind, enabled: z.boolean() }),
    reply: insightKindSchema,
  },
} as const satisfies Record<string, OperationRow>;
