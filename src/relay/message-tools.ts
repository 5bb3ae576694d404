/** The tools that look at messages and channels. What they give back belongs to no era. */
import { limits } from "../limits.ts";
import { RelayError } from "../wire/error.ts";
import { messageText } from "../wire/message.ts";
import type { MessageStatusFacts, NeutralResult } from "../wire/receipt.ts";
import type { ToolInput, ToolName, ToolOutput } from "../wire/tools.ts";
import type { AgentPrincipal } from "./access.ts";
import { joinChannel, leaveChannel } from "./channels.ts";
import { acknowledge } from "./inbox.ts";
import { reminderWords } from "./obligation-tools.ts";
import { remindersOf } from "./obligations.ts";
import { messageStatus, readThread, searchMessages } from "./past.ts";
import type { Relay } from "./relay.ts";

type Context = { relay: Relay; by: AgentPrincipal };
type Tool<Name extends ToolName> = (context: Context, input: ToolInput<Name>) => Promise<NeutralResult>;

export const checkMessages: Tool<"relay_check_messages"> = async ({ relay, by }, input) => {
  if (input.seenSeq !== undefined) await acknowledge(relay, by.agentId, input.seenSeq);
  const { messages, more } = await relay.store.checkInbox({
    agentId: by.agentId,
    limit: input.limit ?? limits.inboxPageDefault,
  });
  const reminders = await remindersOf(relay, by.agentId);
  const last = messages.at(-1)?.seq;
  const structuredContent: ToolOutput<"relay_check_messages"> = { messages, notices: [], reminders, more };
  return told(structuredContent, [
    ...reminderWords(reminders),
    ...messages.map(messageText),
    last === undefined ? "No unread messages." : `When you have handled these, pass seenSeq: ${last}.`,
    ...(more ? ["There are more unread messages."] : []),
  ]);
};

export const getThread: Tool<"relay_get_thread"> = async ({ relay, by }, input) => {
  const { messages, more } = await readThread(relay, by, input);
  const structuredContent: ToolOutput<"relay_get_thread"> = { messages, more };
  const older = `There are older ones: pass before: ${messages.at(0)?.id}.`;
  return told(structuredContent, [
    ...(more ? [older] : []),
    ...messages.map(messageText),
    ...(messages.length === 0 ? ["You have sent or got no message of that thread."] : []),
  ]);
};

export const searchTool: Tool<"relay_search_messages"> = ({ relay, by }, input) =>
  orFault(async () => {
    const { messages, more } = await searchMessages(relay, by, input);
    const structuredContent: ToolOutput<"relay_search_messages"> = { messages, more };
    const older = `There are older ones: pass before: ${messages.at(-1)?.id}.`;
    return told(structuredContent, [
      ...messages.map(messageText),
      ...(more ? [older] : []),
      ...(messages.length === 0 ? ["No message was found."] : []),
    ]);
  });

export const messageStatusTool: Tool<"relay_message_status"> = ({ relay, by }, { messageId }) =>
  orFault(async () => {
    const status = await messageStatus(relay, messageId, by.agentId);
    return told(status, [statusText(status)]);
  });

export const joinChannelTool: Tool<"relay_join_channel"> = ({ relay, by }, { channel }) =>
  orFault(async () => {
    const joined = await joinChannel(relay, by, channel);
    return told(joined, [`You are in ${channel}, with ${joined.members.join(", ")}.`]);
  });

export const leaveChannelTool: Tool<"relay_leave_channel"> = async ({ relay, by }, { channel }) => {
  const result = await leaveChannel(relay, by, channel);
  return told(result, [result.left ? `You have left ${channel}.` : `You were not in ${channel}.`]);
};

export const listChannels: Tool<"relay_list_channels"> = async ({ relay, by }) => {
  const joined = new Set(await relay.store.channelsOf(by.agentId));
  const channels = (await relay.store.listChannels()).map(({ name, members }) => ({
    name,
    members,
    joined: joined.has(name),
  }));
  const structuredContent: ToolOutput<"relay_list_channels"> = { channels };
  return told(structuredContent, [JSON.stringify(structuredContent)]);
};

/** One line for each recipient, the furthest first when there are many. */
function statusText({ messageId, to, recipients, counts }: MessageStatusFacts): string {
  const sums = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([stage, count]) => `${count} ${stage}`);
  const lines = recipients.map(
    ({ name, stage, times }) => `- ${name}: ${stage} at ${times[stage] ?? "an unknown time"}`,
  );
  return [`message ${messageId} to ${to}: ${sums.join(", ")}`, ...lines].join("\n");
}

function told(structuredContent: NeutralResult["structuredContent"], words: string[]): NeutralResult {
  return { content: [{ type: "text", text: words.join("\n\n") }], structuredContent };
}

/** What the agent itself can put right is a result, not an error of the protocol. */
async function orFault(run: () => Promise<NeutralResult>): Promise<NeutralResult> {
  try {
    return await run();
  } catch (thrown) {
    if (!(thrown instanceof RelayError) || thrown.retry !== "never") throw thrown;
    return { content: [{ type: "text", text: `${thrown.code}: ${thrown.message}` }], isError: true };
  }
}
