/**
 * Taking a store whose lock may be contended: two that open it at the same moment can each find the other's lock and
 * both be refused, and whoever only looks into a store holds the lock for a moment without being its owner.
 */
import { type Clock, sleep } from "../base/clock.ts";
import { processStart } from "../base/process.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import { OutboxOwnedError } from "./store.ts";

export type ClaimOptions = {
  clock: Clock;
  random: Random;
  limits: Pick<Limits, "outboxClaims" | "outboxClaimPauseMs">;
};

/**
 * Opens, and tries again at another moment while the refusal names no living owner.
 * @throws what `open` throws in the end; OutboxOwnedError at once when a living process owns the store
 */
export async function claim<Opened>(open: () => Promise<Opened>, options: ClaimOptions): Promise<Opened> {
  const { clock, random, limits } = options;
  for (let left = limits.outboxClaims; ; left -= 1) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof OutboxOwnedError) || isOwned(error) || left <= 1) throw error;
      await sleep(clock, limits.outboxClaimPauseMs * random.fraction());
    }
  }
}

function isOwned({ pid }: OutboxOwnedError): boolean {
  return pid !== undefined && processStart(pid) !== undefined;
}
