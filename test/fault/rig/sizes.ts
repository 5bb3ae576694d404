/** How much each fault test does: every commit (`pr`) and at night. The one place where the two differ. */

export type Tier = "pr" | "night";
type Size = Readonly<Record<Tier, number>>;

/** What is counted is said beside each. */
export const sizes = {
  /** Kills of the outbox process at each point. */
  T1: { pr: 22, night: 150 },
  /** Writes while answers are lost. */
  T2: { pr: 2_000, night: 40_000 },
  /** Writes while answers become 502, 503, 504 or half of one. */
  T3: { pr: 3_000, night: 40_000 },
  /** Kills of the relay at each point. */
  T4: { pr: 20, night: 150 },
  /** Seconds of a relay that comes and goes. */
  T5: { pr: 8, night: 240 },
  /** Writes to a relay that is slow or silent. */
  T6: { pr: 200, night: 2_000 },
  /** Records queued before the relay is back. */
  T7: { pr: 10_000, night: 60_000 },
  /** Writes while the outbox drains. */
  T8: { pr: 2_000, night: 20_000 },
  /** Images of a disk that lost power at a random moment. */
  T9: { pr: 60, night: 1_500 },
  /** Images with flipped bits, noise in sectors or cut files. */
  T10: { pr: 120, night: 2_000 },
  /** Writes that meet a full disk. */
  T11: { pr: 50, night: 500 },
  /** Failed syncs, reads and writes. */
  T12: { pr: 50, night: 300 },
  /** Failures of another kind: no descriptor, no memory, read-only, quota. */
  T13: { pr: 20, night: 100 },
  /** Jumps of the clock. */
  T14: { pr: 40, night: 200 },
  /** Writes for each of four ends of a token. */
  T15: { pr: 50, night: 300 },
  /** Rounds in which two processes want one store. */
  T16: { pr: 30, night: 500 },
  /** Poison records. */
  T19: { pr: 20, night: 100 },
  /** Writes that are refused after an outage. */
  T20: { pr: 200, night: 2_000 },
  /** Calls made again; twice as many equal texts are meant. */
  T21: { pr: 500, night: 3_000 },
  /** Stops of the outbox process. */
  T22: { pr: 10, night: 50 },
  /** Records that are older than the relay's memory of keys. */
  T25: { pr: 20, night: 100 },
  /** Feeds that go silent. */
  T26: { pr: 10, night: 50 },
} as const satisfies Record<string, Size>;

export type TestId = keyof typeof sizes;

/** Variable that names the tier. */
export const tierVariable = "AGENT_RELAY_RIG_TIER";
export const tier: Tier = process.env[tierVariable] === "night" ? "night" : "pr";

/**
 * The size of a test in this tier. `AGENT_RELAY_RIG_SCALE` makes all smaller, at least 1: such a run proves less and
 * its report says so.
 */
export function sizeOf(id: TestId): number {
  return Math.max(1, Math.round(sizes[id][tier] * scale));
}

export const scale = Number(process.env.AGENT_RELAY_RIG_SCALE ?? "1");
/** A test's own time limit, ms. */
export const limitMs = tier === "night" ? 1_500_000 : 110_000;
/** `AGENT_RELAY_TEST_SEED` plays the same chances again; the order of events still depends on the machine. */
export const seed = Number(process.env.AGENT_RELAY_TEST_SEED ?? Date.now() % 1_000_000);
