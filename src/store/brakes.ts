/**
 * What keeps a chatty or hijacked agent from flooding the others: pure decisions that every twin of the store shares.
 * They are asked where a write is accepted, in its transaction. A write over the rate waits; it is never lost.
 */
import { createHash } from "node:crypto";
import { limits } from "../limits.ts";
import type { ErrorCode } from "../wire/error.ts";

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

/** What is remembered of one sender. `fullAt` is when all of its burst is there again, ms since 1970. */
export type BrakeState = { readonly fullAt: number; readonly repeats: readonly Repeat[] };

/** The state of a sender that has written nothing. */
export const unbraked: BrakeState = { fullAt: 0, repeats: [] };

/** passed: the write may be stored, and this is the state after it. limited: it has to wait this long, ms. */
export type Taken =
  | { status: "passed"; state: BrakeState }
  | { status: "limited"; waitMs: number; detail: string };

/** A permanent no of a brake. */
export type BrakeFault = { readonly code: ErrorCode; readonly detail: string };

/**
 * Takes the price of one write: 1, more for many recipients, ten times that for a body that is repeated again and
 * again. A price is never above the burst, so every write passes some time.
 * @param write `body` undefined for a write that could not be read
 * @param now ms since 1970; a clock that was set back delays a sender by its burst at most
 */
export function takeWrite(
  state: BrakeState,
  write: { body: string | undefined; recipients: number },
  { brakes, now }: { brakes: Brakes; now: number },
): Taken {
  const eachMs = 60_000 / brakes.perMinute;
  const roomMs = brakes.burst * eachMs;
  const { repeats, repeated } = noted(state.repeats, write.body, now);
  const price = Math.min(brakes.burst, priceOf(write.recipients) * (repeated ? limits.repeatedBodyPrice : 1));
  const from = Math.min(Math.max(state.fullAt, now), now + roomMs);
  const fullAt = from + price * eachMs;
  const waitMs = Math.ceil(fullAt - now - roomMs);
  if (waitMs <= 0) return { status: "passed", state: { fullAt, repeats } };
  const why = repeated ? "the same text was written again and again, which counts more" : "the limit is";
  const detail = `${why}: ${brakes.burst} writes at once and ${brakes.perMinute} a minute; this one fits in ${waitMs} ms`;
  return { status: "limited", waitMs, detail };
}

/** A message to many takes more of the sender's rate, because each recipient has to read it. */
function priceOf(recipients: number): number {
  return Math.max(1, Math.ceil(recipients / limits.recipientsPerWrite));
}

/** Counts a body in; true when it has been written more often than is usual in the time looked at. */
function noted(
  repeats: readonly Repeat[],
  body: string | undefined,
  now: number,
): { repeats: readonly Repeat[]; repeated: boolean } {
  const young = repeats.filter(({ since }) => Math.abs(now - since) < limits.repeatWindowMs);
  if (body === undefined) return { repeats: young, repeated: false };
  const print = createHash("sha256").update(body).digest("base64url").slice(0, 16);
  const before = young.find((repeat) => repeat.print === print) ?? { print, count: 0, since: now };
  const after = { ...before, count: before.count + 1 };
  const others = young.filter((repeat) => repeat.print !== print);
  return {
    repeats: [...others, after].slice(-limits.repeatsRemembered),
    repeated: after.count > limits.repeatedBodyMax,
  };
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
