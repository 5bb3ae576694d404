/**
 * The agent's runtime token: minted with the runner token, renewed before it ends, refreshed once for all callers
 * that meet a 401. The secret is made here and is on disk before the relay hears its hash, so a lost answer is
 * simply asked again. The agent never sees any of it.
 */
import { backoff } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { OperationReply, OperationRequest } from "../wire/api.ts";
import { type ErrorCode, RelayError } from "../wire/error.ts";
import { tokenHash, tokenText } from "../wire/token.ts";
import type { AgentToken, CredentialKeeper } from "./credential.ts";

/** fresh: usable. stale: expired or refused, asking for another. revoked: this runner gets none any more. */
export type TokenState = "fresh" | "stale" | "revoked";

export type TokenKeeper = {
  /** Secret of the runtime token, read at every forward; undefined before the first one. */
  current(): string | undefined;
  /** What is known of the token without its secret. */
  facts(): Omit<AgentToken, "secret"> | undefined;
  state(): TokenState;
  /** Gets a new token now; callers at the same time share one attempt. False when none could be had. */
  refresh(): Promise<boolean>;
  /** Renews in time until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
};

export type TokenKeeperOptions = {
  credentials: CredentialKeeper;
  /** Asks the relay, authenticated by the runner token. */
  mint(request: OperationRequest<"mintAgentToken">): Promise<OperationReply<"mintAgentToken">>;
  /** Scopes or profile differ from the earlier token's, or the token was the first. */
  onAuthorization(): void;
  clock: Clock;
  random: Random;
  limits: Limits;
  log: Log;
};

/** Codes after which this runner gets no token any more. */
const gone: readonly ErrorCode[] = ["token_revoked", "agent_removed", "displaced"];

/** Keeps the runtime token of one agent alive. */
export function tokenKeeper(options: TokenKeeperOptions): TokenKeeper {
  const { clock, random, log, credentials } = options;
  const held = () => credentials.current().agentToken;
  let state: TokenState = isUsable(held(), clock.now()) ? "fresh" : "stale";
  let running: Promise<boolean> | undefined;

  const nextSecret = (): string => {
    const asked = credentials.current().nextSecret;
    if (asked !== undefined) return asked;
    const secret = tokenText("agent", random.bytes(32));
    credentials.save({ nextSecret: secret });
    return secret;
  };

  /** From here on it is used. When it cannot be stored, the secret on disk lets a later runner ask for it again. */
  const take = (secret: string, reply: OperationReply<"mintAgentToken">) => {
    const before = authorizationText(held());
    const agentToken = heldToken(secret, reply, clock.now());
    const { jti, profile, scopes, features, expiresAt } = agentToken;
    const fault = credentials.keep({ agentToken, nextSecret: undefined, profile, scopes, features });
    // The answer to a secret asked for long ago: the token has ended, the next attempt gets a new one.
    state = isUsable(agentToken, clock.now()) ? "fresh" : "stale";
    log.info("Agent token renewed", { jti, expiresAt });
    if (fault !== undefined) log.error("The agent token could not be stored", { error: fault });
    if (before !== authorizationText(agentToken)) options.onAuthorization();
  };

  const attempt = async (): Promise<boolean> => {
    try {
      const repeated = credentials.current().nextSecret !== undefined;
      const secret = nextSecret();
      const replaced = held()?.secret;
      const replaces = replaced === undefined ? {} : { replaces: tokenHash(replaced) };
      take(secret, await options.mint({ secretHash: tokenHash(secret), ...replaces }));
      return state === "fresh" || (repeated && (await attempt()));
    } catch (error) {
      if (error instanceof RelayError && gone.includes(error.code)) state = "revoked";
      else if (!isUsable(held(), clock.now())) state = "stale";
      log.warn("Agent token was not renewed", { error, state });
      return false;
    }
  };

  const refresh = (): Promise<boolean> => {
    running ??= (state === "revoked" ? Promise.resolve(false) : attempt()).finally(() => {
      running = undefined;
    });
    return running;
  };

  return {
    current: () => held()?.secret,
    facts: () => factsOf(held()),
    state: () => state,
    refresh,
    run: (signal) =>
      renewInTime(options, signal, {
        dueAt: () => (held()?.expiresAt ?? 0) - options.limits.agentTokenRenewBeforeMs,
        mayRenew: () => state !== "revoked",
        refresh,
      }),
  };
}

type Renewal = { dueAt(): number; mayRenew(): boolean; refresh(): Promise<boolean> };

/** The wall clock may jump, so the time until the next renewal is looked at again in steps. */
async function renewInTime(
  { clock, random, limits }: TokenKeeperOptions,
  signal: AbortSignal,
  renewal: Renewal,
): Promise<void> {
  const delays = backoff({
    baseMs: limits.deliveryBackoffBaseMs,
    capMs: limits.deliveryBackoffCapMs,
    random,
  });
  while (!signal.aborted && renewal.mayRenew()) {
    const waitMs = renewal.dueAt() - clock.now();
    if (waitMs > 0) await sleep(clock, Math.min(waitMs, limits.agentTokenRenewBeforeMs), signal);
    else if (await renewal.refresh()) delays.reset();
    else if (renewal.mayRenew()) await sleep(clock, delays.next(), signal);
  }
}

function factsOf(token: AgentToken | undefined): Omit<AgentToken, "secret"> | undefined {
  if (token === undefined) return undefined;
  const { secret: _, ...facts } = token;
  return facts;
}

/** The relay's clock may differ from this machine's: only how long the token is good counts. */
function heldToken(secret: string, reply: OperationReply<"mintAgentToken">, now: number): AgentToken {
  const { jti, profile, scopes, features } = reply;
  const lifetimeMs = Date.parse(reply.expiresAt) - Date.parse(reply.relayTime);
  return { secret, jti, profile, scopes, features, expiresAt: now + lifetimeMs };
}

function isUsable(token: AgentToken | undefined, now: number): boolean {
  return token !== undefined && token.expiresAt > now;
}

function authorizationText(token: AgentToken | undefined): string {
  return token === undefined ? "" : `${token.profile} ${[...token.scopes].sort().join(" ")}`;
}
