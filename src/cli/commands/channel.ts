/** `agent-relay channel`: who is in which channel. The operator may join one like an agent. */
import { operatorClient, type RelayOptions } from "../context.ts";
import type { Printer } from "../print.ts";

export type ChannelOptions = RelayOptions & { channel: string };

/** Prints all channels. */
export async function channelList(options: RelayOptions, print: Printer): Promise<void> {
  const reply = await operatorClient(options).listChannels({});
  print.data(reply);
  if (reply.channels.length === 0) return print.line("there are no channels");
  print.table(
    ["CHANNEL", "MEMBERS", "SINCE"],
    reply.channels.map(({ name, members, createdAt }) => [name, `${members}`, createdAt]),
  );
}

/** Prints who is in a channel. */
export async function channelMembers(options: ChannelOptions, print: Printer): Promise<void> {
  const reply = await operatorClient(options).listChannelMembers({ channel: channelName(options) });
  print.data(reply);
  print.table(
    ["MEMBER", "SINCE"],
    reply.members.map(({ name, joinedAt }) => [name, joinedAt]),
  );
}

/** Joins as the operator. */
export async function channelJoin(options: ChannelOptions, print: Printer): Promise<void> {
  const reply = await operatorClient(options).joinChannel({ channel: channelName(options) });
  print.data(reply);
  print.line(`you are in ${reply.channel}${reply.made ? ", which is new" : ""}: ${reply.members.join(", ")}`);
}

/** Leaves as the operator. */
export async function channelLeave(options: ChannelOptions, print: Printer): Promise<void> {
  const reply = await operatorClient(options).leaveChannel({ channel: channelName(options) });
  print.data(reply);
  print.line(reply.left ? `you have left ${reply.channel}` : `you were not in ${reply.channel}`);
}

/** Most shells take a bare # for a comment, so it may be left out. */
function channelName({ channel }: ChannelOptions): string {
  return channel.startsWith("#") ? channel : `#${channel}`;
}
