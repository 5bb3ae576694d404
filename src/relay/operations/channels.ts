/** Channels as people and programs see them. */
import { RelayError } from "../../wire/error.ts";
import { requireAgent } from "../access.ts";
import { joinChannel as join, leaveChannel as leave } from "../channels.ts";
import { timeText } from "../relay.ts";
import { known, type Operation } from "./operation.ts";

export const listChannels: Operation<"listChannels"> = async ({ store }) => ({
  channels: (await store.listChannels()).map((channel) => ({
    ...channel,
    createdAt: timeText(channel.createdAt),
  })),
});

export const listChannelMembers: Operation<"listChannelMembers"> = async ({ store }, { channel }) => {
  const members = await store.channelMembers(channel);
  if (members === undefined) {
    throw new RelayError("not_found", `List the members of ${channel}: there is no channel of that name`);
  }
  return { members: members.map((member) => ({ ...member, joinedAt: timeText(member.joinedAt) })) };
};

export const joinChannel: Operation<"joinChannel"> = (relay, { channel }, by) =>
  join(relay, requireAgent(known(by), `Join ${channel}`), channel);

export const leaveChannel: Operation<"leaveChannel"> = (relay, { channel }, by) =>
  leave(relay, requireAgent(known(by), `Leave ${channel}`), channel);
