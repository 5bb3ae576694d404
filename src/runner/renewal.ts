/**
 * The runner's own long-lived token goes on: every day its secret is swapped for a new one, which is made here and on
 * disk before the relay hears its hash. A swap whose answer was lost is asked for again with the same secrets.
 */
import { backoff } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { OperationReply, OperationRequest } from "../wire/api.ts";
import { RelayError } from "../wire/error.ts";
import { tokenHash, tokenText } from "../wire/token.ts";
import type { CredentialKeeper } from "./credential.ts";

export type RenewalOptions = {
  credentials: CredentialKeeper;
  /** Asks the relay; the request carries the secret itself. */
  renew(request: OperationRequest<"renewToken">): Promise<OperationReply<"renewToken">>;
  clock: Clock;
  random: Random;
  limits: Limits;
  log: Log;
};

/** Renews the runner token in time until the signal aborts or the relay says that it is gone for good. */
export async function keepRunnerToken(options: RenewalOptions, signal: AbortSignal): Promise<void> {
  const { clock, random, limits } = options;
  const delays = backoff({
    baseMs: limits.deliveryBackoffBaseMs,
    capMs: limits.deliveryBackoffCapMs,
    random,
  });
  while (!signal.aborted) {
    const waitMs = dueAt(options) - clock.now();
    // The wall clock may jump, so it is looked at again in steps.
    if (waitMs > 0) await sleep(clock, Math.min(waitMs, limits.agentTokenRenewBeforeMs), signal);
    else {
      const result = await renewRunnerToken(options);
      if (result === "gone") return;
      if (result === "renewed") delays.reset();
      else await sleep(clock, delays.next(), signal);
    }
  }
}

/** Swaps the secret once: `gone` when the relay has revoked the token or removed the agent. */
export async function renewRunnerToken(options: RenewalOptions): Promise<"renewed" | "failed" | "gone"> {
  const { credentials, random, clock, log } = options;
  try {
    const held = credentials.current();
    const { secret, earlier = [], successor = tokenText("runner", random.bytes(32)) } = held;
    if (held.successor === undefined) credentials.save({ successor });
    const reply = await options.renew({ secret, successorHash: tokenHash(successor) });
    const now = clock.now();
    const fault = credentials.keep({
      ...{ secret: successor, successor: undefined, renewedAt: now },
      earlier: [secret, ...earlier].slice(0, options.limits.earlierSecretsMax),
      expiresAt: localEnd(reply, now),
    });
    log.info("Runner token renewed", { tokenId: reply.tokenId });
    // The file still says what was asked for: a later runner asks again.
    if (fault !== undefined) log.error("The runner token could not be stored", { error: fault });
    return "renewed";
  } catch (error) {
    const isGone =
      error instanceof RelayError && (error.code === "token_revoked" || error.code === "agent_removed");
    log.warn("Runner token was not renewed", { error });
    return isGone ? "gone" : "failed";
  }
}

/**
 * What a runner does when the relay does not know its secret: a relay that was restored from a copy may know an earlier
 * one. From there it is led through the same swaps again; a relay that knows them answers as before.
 * @returns true when it knows the secret of now
 */
export async function recoverRunnerToken(options: RenewalOptions): Promise<boolean> {
  const { secret, earlier = [] } = options.credentials.current();
  const chain = [secret, ...earlier];
  const swap = (older: number) =>
    options.renew({ secret: chain[older] ?? "", successorHash: tokenHash(chain[older - 1] ?? "") });
  try {
    const known = await newestKnown(swap, chain.length);
    if (known === undefined) return false;
    for (let older = known - 1; older > 0; older--) await swap(older);
    options.log.warn("The relay knew an earlier secret of this runner only; it has the one of now again");
    return true;
  } catch (error) {
    options.log.warn("The relay could not be led to the secret of now", { error });
    return false;
  }
}

/** Swaps from the newest pair on until the relay knows one; which it was. */
async function newestKnown(
  swap: (older: number) => Promise<unknown>,
  count: number,
): Promise<number | undefined> {
  for (let older = 1; older < count; older++) {
    try {
      await swap(older);
      return older;
    } catch (error) {
      if (!(error instanceof RelayError && error.code === "unauthorized")) throw error;
    }
  }
  return undefined;
}

/**
 * The end of a token by this machine's clock: the relay's may differ, only how long it is good counts.
 * @param now ms since 1970
 */
export function localEnd(
  reply: { expiresAt?: string | undefined; relayTime: string },
  now: number,
): number | undefined {
  return reply.expiresAt === undefined
    ? undefined
    : now + Date.parse(reply.expiresAt) - Date.parse(reply.relayTime);
}

function dueAt({ credentials, limits }: RenewalOptions): number {
  const { successor, renewedAt } = credentials.current();
  return successor !== undefined || renewedAt === undefined ? 0 : renewedAt + limits.runnerTokenRenewMs;
}
