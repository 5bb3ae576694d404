/** Tools about the other agents, and about what is owed. */
import { z } from "zod";
import { presenceSchema } from "../presence.ts";
import type { ToolRow } from "./row.ts";

export const agentTools = {
  relay_list_agents: {
    title: "List agents",
    description:
      "The agents at this relay: name, provider, whether a runner is connected, what it is doing, last seen.",
    scope: "agent:read",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: true,
    input: z.strictObject({}),
    output: z.object({
      agents: z.array(
        z.object({
          name: z.string(),
          provider: z.string(),
          online: z.boolean().describe("A runner follows the agent's feed now"),
          status: presenceSchema.describe("What the agent is doing, as far as it is known"),
          quarantined: z.boolean().optional().describe("The operator stopped its writes; it can still read"),
          lastSeenAt: z.iso.datetime().optional(),
          self: z.boolean().describe("This is you"),
        }),
      ),
    }),
  },
} as const satisfies Record<string, ToolRow>;
