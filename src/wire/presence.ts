/**
 * What an agent is doing, as the others see it. Runners report it, the relay adds what it sees of their feeds. It is
 * shown and nothing else: no rule stops, starts or rotates anything because of it.
 */
import { z } from "zod";

export const reportedStates = ["starting", "idle", "busy", "waiting_approval"] as const;
/** What a runner says of its agent. */
export type ReportedState = (typeof reportedStates)[number];

export const presenceStates = [...reportedStates, "online", "offline"] as const;
/** online: a runner is connected and has not said lately what its agent does. offline: none is. */
export type PresenceState = (typeof presenceStates)[number];

export const presenceSchema = z.object({
  state: z
    .enum(presenceStates)
    .describe(
      "starting, idle, busy, waiting_approval (a person has to allow something), online (connected, no more is " +
        "known) or offline",
    ),
  since: z.iso.datetime().optional().describe("When that began, as far as it is known"),
});

/** What is known of an agent; ms since 1970. */
export type PresenceFacts = {
  /** Somebody follows its feed now. */
  online: boolean;
  lastSeenAt: number | undefined;
  reported: { state: ReportedState; since: number; heardAt: number } | undefined;
};

/**
 * What an agent is taken to do. A reported state counts while it is confirmed; without that, a connected feed is
 * `online`, and none is `offline` since the agent was last heard of.
 * @param bounds how long a report is believed, ms: `staleMs` while a feed is connected, `graceMs` while none is
 */
export function presenceOf(
  { online, lastSeenAt, reported }: PresenceFacts,
  now: number,
  bounds: { staleMs: number; graceMs: number },
): { state: PresenceState; since: number | undefined } {
  const never = Number.NEGATIVE_INFINITY;
  const heardAt = reported?.heardAt ?? never;
  const last = Math.max(heardAt, lastSeenAt ?? never);
  const believed = online ? now - heardAt < bounds.staleMs : now - last < bounds.graceMs;
  if (reported !== undefined && believed) return { state: reported.state, since: reported.since };
  if (online) return { state: "online", since: undefined };
  return { state: "offline", since: last === never ? undefined : last };
}
