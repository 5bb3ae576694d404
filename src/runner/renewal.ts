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
    const { secret, successor = tokenText("runner", random.bytes(32)) } = credentials.current();
    if (credentials.current().successor === undefined) credentials.save({ successor });
    const reply = await options.renew({ secret, successorHash: tokenHash(successor) });
    const now = clock.now();
    const fault = credentials.keep({
      ...{ secret: successor, successor: undefined, renewedAt: now },
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
