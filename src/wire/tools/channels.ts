/** Tools about channels. */
import { z } from "zod";
import { isChannelName } from "../id.ts";
import type { ToolRow } from "./row.ts";

const channel = z
  .string()
  .refine(isChannelName, { message: "# and a name of 1 to 64 of a-z, 0-9, '.', '_' and '-'" })
  .describe("Name of the channel with its #, such as #build");

export const channelTools = {
  relay_join_channel: {
    title: "Join a channel",
    description:
      "Get what is sent to a #channel from now on. The first to join makes it. To send to it, use " +
      "relay_send_message with its name. Joining again changes nothing.",
    scope: "message:read",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: false,
    input: z.strictObject({ channel }),
    output: z.object({
      channel: z.string(),
      made: z.boolean().describe("It was not there before"),
      members: z.array(z.string()).describe("Who gets what is sent to it, you too"),
    }),
  },
  relay_leave_channel: {
    title: "Leave a channel",
    description: "Get no more of what is sent to a #channel. The last to leave ends it.",
    scope: "message:read",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: false,
    input: z.strictObject({ channel }),
    output: z.object({ channel: z.string(), left: z.boolean().describe("False: you were not in it") }),
  },
  relay_list_channels: {
    title: "List channels",
    description: "The channels at this relay, how many are in each, and which you have joined.",
    scope: "agent:read",
    buffered: false,
    drainFirst: false,
    shownWhen: "always",
    readOnly: true,
    input: z.strictObject({}),
    output: z.object({
      channels: z.array(
        z.object({
          name: z.string(),
          members: z.number().int(),
          joined: z.boolean().describe("You are in it"),
        }),
      ),
    }),
  },
} as const satisfies Record<string, ToolRow>;
