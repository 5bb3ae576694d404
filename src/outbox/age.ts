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
  /** The greatest age in ms that any clock says; endless before there was any contact. */
  most(enqueuedAt: number): number;
};

/** Ages as seen by a process that begins now. */
export function createAges(clock: Clock, limits: Pick<Limits, "clockJumpMs">): Ages {
  const began = { wall: clock.now(), monotonic: clock.monotonic() };
  let relay: { time: number; monotonic: number } | undefined;
  let contact = false;
  const wallAge = (enqueuedAt: number) => Math.max(0, clock.now() - enqueuedAt);
  const relayAge = (from: { time: number; monotonic: number }, enqueuedAt: number) =>
    Math.max(0, from.time + clock.monotonic() - from.monotonic - enqueuedAt);
  return {
    heard(relayTimeMs) {
      contact = true;
      if (relayTimeMs > 0) relay = { time: relayTimeMs, monotonic: clock.monotonic() };
    },
    of(enqueuedAt) {
      const wall = wallAge(enqueuedAt);
      const since = clock.monotonic() - began.monotonic;
      const steady = Math.abs(clock.now() - began.wall - since) <= limits.clockJumpMs;
      if (relay !== undefined) return Math.min(wall, relayAge(relay, enqueuedAt));
      return contact || (steady && enqueuedAt >= began.wall) ? wall : wall / 2;
    },
    most(enqueuedAt) {
      if (relay === undefined) return contact ? wallAge(enqueuedAt) : Number.POSITIVE_INFINITY;
      return Math.max(wallAge(enqueuedAt), relayAge(relay, enqueuedAt));
    },
  };
}
