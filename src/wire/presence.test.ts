/** What an agent is taken to do, from what is known of it. */
import { expect, test } from "bun:test";
import { type PresenceFacts, presenceOf } from "./presence.ts";

const now = 1_800_000_000_000;
const bounds = { staleMs: 180_000, graceMs: 45_000 };
const busy = (heardMsAgo: number) => ({
  state: "busy" as const,
  since: now - 600_000,
  heardAt: now - heardMsAgo,
});

const cases: [string, PresenceFacts, ReturnType<typeof presenceOf>][] = [
  [
    "a confirmed report counts",
    { online: true, lastSeenAt: now, reported: busy(1_000) },
    { state: "busy", since: now - 600_000 },
  ],
  [
    "a report that nobody confirmed is not believed",
    { online: true, lastSeenAt: now, reported: busy(180_000) },
    { state: "online", since: undefined },
  ],
  [
    "a feed alone says that somebody is there",
    { online: true, lastSeenAt: now, reported: undefined },
    { state: "online", since: undefined },
  ],
  [
    "a feed that was lost a moment ago changes nothing",
    { online: false, lastSeenAt: now - 10_000, reported: busy(60_000) },
    { state: "busy", since: now - 600_000 },
  ],
  [
    "without a feed it is offline since it was last heard of",
    { online: false, lastSeenAt: now - 50_000, reported: busy(90_000) },
    { state: "offline", since: now - 50_000 },
  ],
  [
    "a heartbeat without a feed keeps it as well",
    { online: false, lastSeenAt: now - 90_000, reported: busy(10_000) },
    { state: "busy", since: now - 600_000 },
  ],
  [
    "one that never came is offline, nobody knows since when",
    { online: false, lastSeenAt: undefined, reported: undefined },
    { state: "offline", since: undefined },
  ],
];

test.each(cases)("%s", (_, facts, wanted) => {
  expect(presenceOf(facts, now, bounds)).toEqual(wanted);
});
