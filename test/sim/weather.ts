/** What kinds of trouble a world has: drawn from its seed, so that some worlds have much of few kinds. */
import { type Limits, limits as product } from "../../src/limits.ts";
import type { Manners } from "./agent.ts";
import { type Chance, chanceOf } from "./chance.ts";
import type { DiskFaults } from "./disk.ts";
import { calmNetwork, type NetworkFaults } from "./network.ts";

/** What can happen next in a world. */
export const happenings = [
  "write",
  "burst",
  "read",
  "poll",
  "restart client",
  "drop",
  "kick",
  "kill",
  "stop",
  "copy",
  "take over",
  "kill relay",
  "cut",
  "network weather",
  "disk weather",
  "remove agent",
  "enrol again",
  "answer in between",
  "long pause",
] as const;
export type Happening = (typeof happenings)[number];

/** How often each happens when it is not left out. */
const usual: Record<Happening, number> = {
  write: 30,
  burst: 6,
  read: 4,
  poll: 8,
  "restart client": 2,
  drop: 5,
  kick: 2,
  kill: 4,
  stop: 1,
  copy: 1.4,
  "take over": 1,
  "kill relay": 2,
  cut: 3,
  "network weather": 6,
  "disk weather": 3,
  "remove agent": 5,
  "enrol again": 2,
  "answer in between": 8,
  "long pause": 1,
};
/** These are never left out. */
const always: readonly Happening[] = ["write", "poll", "read"];

export type Climate = {
  weights: readonly (readonly [Happening, number])[];
  manners: Manners;
  limits: Limits;
  /** Mean time between two happenings, ms. */
  paceMs: number;
};

/** The climate of a world. */
export function climateOf(seed: number): Climate {
  const chance = chanceOf(seed, "climate");
  const weights = happenings.map(
    (name) =>
      [name, always.includes(name) || chance.is(0.65) ? usual[name] * chance.between(0.5, 2) : 0] as const,
  );
  return {
    weights,
    manners: {
      aborts: chance.of([0, 0.1, 0.3]),
      unknownRecipients: chance.of([0, 0.1, 0.3]),
      poison: chance.of([0, 0, 0.05]),
      callIds: chance.of([0, 0.5, 1]),
      ownKeys: chance.of([0, 0.1, 0.3]),
    },
    limits: {
      ...product,
      recordAgeMaxMs: chance.of([product.recordAgeMaxMs, 20_000, 6_000]),
      outboxRecordsMax: chance.of([product.outboxRecordsMax, product.outboxRecordsMax, 6]),
      batchRecordsMax: chance.of([product.batchRecordsMax, 4, 1]),
      poisonAttemptsMax: 3,
      poisonSpanMs: 1_500,
      deliveryBackoffBaseMs: 100,
      deliveryBackoffCapMs: 3_000,
      deliveryAttemptMs: 4_000,
      probeDurationMs: 15_000,
      probeAttemptMs: 1_000,
      // Room is kept and the disk of the machine is not asked: its real state must not change a world.
      outboxReserveBytes: 4_096,
      outboxFreeBytesMin: 0,
    },
    paceMs: chance.of([40, 150, 500]),
  };
}

/** One of the happenings, by their weights. */
export function next({ weights }: Climate, chance: Chance): Happening {
  const sum = weights.reduce((total, [, weight]) => total + weight, 0);
  let drawn = chance.fraction() * sum;
  for (const [name, weight] of weights) {
    drawn -= weight;
    if (drawn < 0) return name;
  }
  return "write";
}

/** A spell of bad network: a few kinds of faults at once. */
export function badNetwork(chance: Chance): NetworkFaults {
  const maybe = (most: number) => (chance.is(0.35) ? chance.between(0, most) : 0);
  return {
    ...calmNetwork,
    dropRequest: maybe(0.5),
    dropAnswer: maybe(0.6),
    badGateway: maybe(0.4),
    front: maybe(0.6),
    frontOfBatch: maybe(1),
    late: maybe(0.4),
    doubled: maybe(0.5),
    swallowed: maybe(0.3),
  };
}

/** A spell of a bad disk. */
export function badDisk(chance: Chance): DiskFaults {
  const maybe = (most: number) => (chance.is(0.4) ? chance.between(0, most) : 0);
  return { full: maybe(0.4), failed: maybe(0.15), ambiguous: maybe(0.15), slow: maybe(0.3) };
}

/** A disk that works. */
export const goodDisk: DiskFaults = { full: 0, failed: 0, ambiguous: 0, slow: 0 };
