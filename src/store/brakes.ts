/**
 * What keeps a chatty or hijacked agent from flooding the others: pure decisions that every twin of the store shares.
 * They are asked where a write is accepted, in its transaction. A write over the rate waits; it is never lost.
 */
import { limits } from "../limits.ts";
import type { ErrorCode } from "../wire/error.ts";

const minuteMs = 60_000;

/** What one sender may do, from its profile. */
export type Brakes = {
  /** Writes at once after a silence. */
  readonly burst: number;
  /** Writes a minute in the long run, above 0. */
  readonly perMinute: number;
  /** Recipients of one message. */
  readonly fanOutMax: number;
  /** How often one message may be forwarded from agent to agent. */
  readonly hopsMax: number;
};

/** A body that was written before: how often, since when (ms since 1970). `print` is a hash of it. */
export type Repeat = { readonly print: string; readonly count: number; readonly since: number };

/** What is remembered of one sender: how many writes of its burst were used up `at` a time, ms since 1970. */
export type BrakeState = { readonly used: number; readonly at: number; readonly repeats: readonly Repeat[] };

/** The state of a sender that has written nothing. */
export const unbraked: BrakeState = { used: 0, at: 0, repeats: [] };

/** What a write costs is decided by this. */
export type BrakedWrite = {
  readonly body: string | undefined;
  readonly recipients: number;
  readonly writtenAt?: number;
};

/** passed: the write may be stored. limited: it has to wait this long, ms. In both cases with the state after it. */
export type Taken =
  | { status: "passed"; state: BrakeState }
  | { status: "limited"; state: BrakeState; waitMs: number; detail: string };

/** A permanent no of a brake. */
export type BrakeFault = { readonly code: ErrorCode; readonly detail: string };

/**
 * Takes the price of one write: 1, more for many recipients, ten times that for a body that is repeated again and
 * again. A price is never above the burst, so every write passes some time. What waited in an outbox counts at the time
 * it was written, as far as the sender's rate had that time to give: an outage makes nobody a flood.
 * @param write `body` undefined for a write that could not be read; `writtenAt` by the sender's clock, ms since 1970
 * @param now ms since 1970; a clock that was set back gives nothing back and takes nothing
 */
export function takeWrite(
  state: BrakeState,
  write: BrakedWrite,
  { brakes, now }: { brakes: Brakes; now: number },
): Taken {
  const { writtenAt = now } = write;
  const at = Math.min(now, Math.max(state.at, writtenAt, now - limits.brakeCreditMs));
  const { repeats, repeated } = noted(state.repeats, write.body, at);
  const price = Math.min(brakes.burst, priceOf(write.recipients) * (repeated ? limits.repeatedBodyPrice : 1));
  const regained = (Math.max(0, at - state.at) * brakes.perMinute) / minuteMs;
  const used = Math.max(0, Math.min(state.used, brakes.burst) - regained) + price;
  // Fractions of a write are sums of rounded numbers: a millionth of one is none.
  const waitMs = Math.ceil(((used - brakes.burst) / brakes.perMinute) * minuteMs - 1e-3);
  if (waitMs <= 0) return { status: "passed", state: { used, at, repeats } };
  // It would have fitted by now.
  if (at + waitMs <= now)
    return { status: "passed", state: { used: brakes.burst, at: at + waitMs, repeats } };
  const why = repeated ? "the same text was written again and again, which counts more" : "the limit is";
  const detail = `${why}: ${brakes.burst} writes at once and ${brakes.perMinute} a minute; this one fits in ${at + waitMs - now} ms`;
  // Waiting changes nothing but this: a clock that was set back counts from where it is now.
  return {
    status: "limited",
    state: { ...state, at: Math.min(state.at, now) },
    waitMs: at + waitMs - now,
    detail,
  };
}

/** A message to many takes more of the sender's rate, because each recipient has to read it. */
function priceOf(recipients: number): number {
  return Math.max(1, Math.ceil(recipients / limits.recipientsPerWriteMax));
}

/** Counts a body in; true when it has been written more often than is usual in the time looked at. */
function noted(
  repeats: readonly Repeat[],
  body: string | undefined,
  now: number,
): { repeats: readonly Repeat[]; repeated: boolean } {
  const isYoung = ({ since }: Repeat) => Math.abs(now - since) < limits.repeatWindowMs;
  const print = body === undefined ? undefined : printOf(body);
  // The one that was not repeated for longest makes room.
  const others = repeats.filter((repeat) => repeat.print !== print && isYoung(repeat));
  if (print === undefined) return { repeats: others, repeated: false };
  const before = repeats.find((repeat) => repeat.print === print && isYoung(repeat));
  const after = { print, count: (before?.count ?? 0) + 1, since: before?.since ?? now };
  if (others.length >= limits.repeatsRemembered) others.shift();
  others.push(after);
  return { repeats: others, repeated: after.count > limits.repeatedBodyMax };
}

/** Tells bodies apart. Not made to resist anybody: whoever finds two bodies with one print only slows itself down. */
function printOf(body: string): string {
  return Bun.hash.wyhash(body).toString(36);
}

/** Why a message may not be forwarded once more, or undefined when it may. */
export function hopFault(hops: number, brakes: Brakes): BrakeFault | undefined {
  if (hops <= brakes.hopsMax) return undefined;
  const detail = `Forward a message: it would be forwarded for the ${hops}th time, ${brakes.hopsMax} times are the most`;
  return { code: "hops_exceeded", detail };
}

/** The no that a quarantined agent gets for every write. */
export function quarantineFault(reason: string): BrakeFault {
  return {
    code: "quarantined",
    detail: `The writes of this agent were stopped by the operator: ${reason === "" ? "no reason was given" : reason}`,
  };
}
