/** Joining and leaving channels, as tools and operations do it. */
import { limits } from "../limits.ts";
import { RelayError } from "../wire/error.ts";
import type { AgentPrincipal } from "./access.ts";
import type { Relay } from "./relay.ts";

/** @throws RelayError too_many_recipients */
export async function joinChannel(
  { store, clock }: Relay,
  by: AgentPrincipal,
  channel: string,
): Promise<{ channel: string; made: boolean; members: string[] }> {
  const result = await store.joinChannel(channel, by.agentId, clock.now());
  if (result.status === "joined") return { channel, made: result.made, members: result.members };
  const full: Record<typeof result.what, string> = {
    members: `it has ${limits.fanOutMax + 1} members, which is the most`,
    channels: `the relay has ${limits.channelsMax} channels, which is the most`,
  };
  throw new RelayError("too_many_recipients", `Join ${channel}: ${full[result.what]}`);
}

export async function leaveChannel(
  { store }: Relay,
  by: AgentPrincipal,
  channel: string,
): Promise<{ channel: string; left: boolean }> {
  return { channel, left: await store.leaveChannel(channel, by.agentId) };
}
