/** What the parts of a simulated world share, and how a planted bug changes the model of it. */
import type { Limits } from "../../src/limits.ts";
import type { ObservedStep } from "../../src/outbox/handle.ts";
import type { Deliverer } from "../../src/wire/write.ts";
import type { Chance } from "./chance.ts";
import type { SimClock } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import type { DiskFaults, WorkerPatch } from "./disk.ts";
import type { Ledger } from "./ledger.ts";
import type { Network } from "./network.ts";
import type { RelayPatch, SimRelay } from "./relay.ts";

/** A planted bug: it changes what surrounds the product, as if the product had been written that way. */
export type Patch = {
  worker?(chance: Chance): WorkerPatch;
  relay?: RelayPatch;
  deliverer?(inner: Deliverer, chance: Chance): Deliverer;
  limits?: Partial<Limits>;
};

/** One simulated world. */
export type Parts = {
  readonly seed: number;
  readonly folder: string;
  readonly clock: SimClock;
  readonly ledger: Ledger;
  readonly coverage: Coverage;
  readonly relay: SimRelay;
  readonly network: Network;
  /** Shared by all runners; the weather changes it. */
  readonly disk: DiskFaults;
  readonly limits: Limits;
  readonly patch: Patch;
  /** How long a call waits for its outcome, ms. */
  readonly writeWaitMs: number;
  /** Hears of every step that the product takes a record through. */
  observe(step: ObservedStep): void;
};
