/**
 * How old a record is, by clocks that may be wrong. The wall clock of this machine may have been set; the relay's time,
 * once it was heard, and the monotonic clock since then cannot. Pure.
 */
import type { Clock } from "../base/clock.ts";
import type { Limits } from "../limits.ts";

export type Ages = {
  /** The relay told its time; 0 when it has none. */
  heard(relayTimeMs: number): void;
  /** Age in ms by the clocks that can be believed; half of what a wall clock says that nothing confirms. */
  of(enqueuedAt: number): number;
};

/** Ages as seen by a process that begins now. */
export function createAges(clock: Clock, limits: Pick<Limits, "clockJumpMs">): Ages {
  const began = { wall: clock.now(), monotonic: clock.monotonic() };
  let relay: { time: number; monotonic: number } | undefined;
  let contact = false;
  return {
    heard(relayTimeMs) {
      contact = true;
      if (relayTimeMs > 0) relay = { time: relayTimeMs, monotonic: clock.monotonic() };
    },
    of(enqueuedAt) {
      const wall = Math.max(0, clock.now() - enqueuedAt);
      const since = clock.monotonic() - began.monotonic;
      const steady = Math.abs(clock.now() - began.wall - since) <= limits.clockJumpMs;
      if (relay !== undefined)
        return Math.min(wall, Math.max(0, relay.time + clock.monotonic() - relay.monotonic - enqueuedAt));
      return contact || (steady && enqueuedAt >= began.wall) ? wall : wall / 2;
    },
  };
}
