/**
 * Who speaks: from a bearer token to a principal. Looked-up tokens are remembered for a moment so that a call does
 * not cost a lookup; a revoked one is forgotten at once. The secret itself is never kept, only its hash.
 */
import type { Clock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import type { FoundToken, RelayStore } from "../store/store.ts";
import { RelayError } from "../wire/error.ts";
import type { AgentId, TokenId } from "../wire/id.ts";
import { type PrincipalKind, type Profile, type Scope, scopesOf } from "../wire/scope.ts";
import { tokenHash, tokenKind } from "../wire/token.ts";

/** Who a request speaks for, and what it may do. */
export type Principal = {
  kind: PrincipalKind;
  tokenId: TokenId;
  /** The agent it speaks for or runs; hosts have none. */
  agentId: AgentId | undefined;
  agentName: string | undefined;
  /** What it may do now: the token's scopes, narrowed by the agent's profile and by who holds the agent. */
  scopes: readonly Scope[];
  /** What it may hand on to agents at most; undefined = everything that an agent may hold. */
  grants: readonly Scope[] | undefined;
  /** What the agent that a runner runs may do now. */
  agentScopes: readonly Scope[];
  /** Another runner holds the agent: this one may only deliver what it still has. */
  displaced: boolean;
  profile: string | undefined;
  /** What the agent's profile switches on in its surroundings. */
  features: Profile["features"];
  /** ms since 1970; undefined for tokens without an end. */
  expiresAt: number | undefined;
  /** Hash of the secret that was presented. */
  secretHash: string;
};

/** A principal that speaks for, or runs, an agent. */
export type AgentPrincipal = Principal & { agentId: AgentId; agentName: string };

export type Access = {
  /**
   * The principal of an `Authorization` header.
   * Tells nobody whether a token is missing, is unknown, has ended or has the wrong form.
   * @throws RelayError unauthorized, token_revoked, agent_removed
   */
  authenticate(authorization: string | null): Promise<Principal>;
  /** These tokens are no longer what was remembered of them. */
  forget(tokenIds: readonly TokenId[]): void;
  /** Profiles changed: nothing that was remembered holds any more. Calls the listeners. */
  forgetRights(): void;
  /** Calls back whenever rights may have changed; for as long as this process lives. */
  onRights(listener: () => void): void;
};

type Remembered = { token: FoundToken; until: number };

const unknownToken =
  "Authenticate: no token that this relay knows was given, 'Authorization: Bearer arl_…' was wanted";

/** A displaced runner's store may still drain. */
const displacedScopes: readonly Scope[] = ["lane:deliver"];

/** Access by the tokens of a store. */
export function createAccess(options: { store: RelayStore; clock: Clock }): Access {
  const { store, clock } = options;
  const remembered = new Map<string, Remembered>();
  const listeners: (() => void)[] = [];
  let forgotten = 0;

  const remember = (hash: string, token: FoundToken) => {
    remembered.delete(hash);
    remembered.set(hash, { token, until: clock.monotonic() + limits.tokenCacheMs });
    const oldest = remembered.size > limits.tokenCacheMax ? remembered.keys().next().value : undefined;
    if (oldest !== undefined) remembered.delete(oldest);
  };

  const find = async (hash: string): Promise<FoundToken | undefined> => {
    const held = remembered.get(hash);
    if (held !== undefined && held.until > clock.monotonic()) return held.token;
    const before = forgotten;
    const token = await store.findToken(hash, clock.now());
    // A lookup that was under way while something was revoked may have seen the state before it.
    if (token !== undefined && before === forgotten) remember(hash, token);
    return token;
  };

  return {
    async authenticate(authorization) {
      const text = bearer(authorization);
      // None looks like a wrong one: what a guess is told must not depend on how far it came.
      const hash = tokenHash(text ?? "");
      const token = text === undefined || tokenKind(text) === undefined ? undefined : await find(hash);
      if (token === undefined || hasEnded(token, clock.now())) {
        throw new RelayError("unauthorized", unknownToken);
      }
      if (token.agentRemoved) {
        throw new RelayError(
          "agent_removed",
          "Authenticate: the agent of this token was removed; enrolling with a takeover makes a new one",
        );
      }
      if (token.revokedAt !== undefined) {
        throw new RelayError("token_revoked", `Authenticate: token ${token.id} was revoked`);
      }
      return principalOf(token, hash);
    },
    forget(tokenIds) {
      forgotten += 1;
      const ids = new Set(tokenIds);
      for (const [hash, { token }] of remembered) if (ids.has(token.id)) remembered.delete(hash);
    },
    forgetRights() {
      forgotten += 1;
      remembered.clear();
      for (const listener of listeners) listener();
    },
    onRights(listener) {
      listeners.push(listener);
    },
  };
}

/** Ended by time alone: its owner may ask for another. */
function hasEnded({ revokedAt, expiresAt, usedUntil }: FoundToken, now: number): boolean {
  if (revokedAt !== undefined) return false;
  return Math.min(expiresAt ?? Number.POSITIVE_INFINITY, usedUntil ?? Number.POSITIVE_INFINITY) <= now;
}

/**
 * Passes when the principal holds the scope.
 * @param action what was tried, for the message
 * @throws RelayError forbidden; displaced for a runner whose agent another one holds
 */
export function requireScope(principal: Principal, scope: Scope, action: string): void {
  if (principal.scopes.includes(scope)) return;
  if (principal.displaced && scopesOf("runner").includes(scope)) {
    throw new RelayError(
      "displaced",
      `${action}: another runner runs '${principal.agentName ?? ""}' now; this one may only deliver what it still has`,
    );
  }
  throw new RelayError(
    "forbidden",
    `${action}: the token has ${principal.scopes.join(", ") || "no scope"}; ${scope} was wanted`,
    { data: { wanted: scope } },
  );
}

/** The principal as one that has an agent. @throws RelayError forbidden for those that have none */
export function requireAgent(principal: Principal, action: string): AgentPrincipal {
  const { agentId, agentName } = principal;
  if (agentId === undefined || agentName === undefined) {
    throw new RelayError("forbidden", `${action}: a ${principal.kind} token speaks for no agent`);
  }
  return { ...principal, agentId, agentName };
}

function bearer(header: string | null): string | undefined {
  return header === null ? undefined : /^Bearer ([\x21-\x7e]+)$/i.exec(header)?.[1];
}

function principalOf(token: FoundToken, secretHash: string): Principal {
  const { id, kind, agentId, agentName, grants, profile, features, usedUntil, expiresAt } = token;
  const displaced = kind === "runner" && !token.holds;
  return {
    ...{ kind, tokenId: id, agentId, agentName, grants, profile, features, displaced, secretHash },
    scopes: scopesNow(token, displaced),
    agentScopes: scopesOf("agent").filter(
      (scope) => token.profileScopes.includes(scope) && (grants === undefined || grants.includes(scope)),
    ),
    expiresAt: usedUntil === undefined ? expiresAt : Math.min(usedUntil, expiresAt ?? usedUntil),
  };
}

function scopesNow({ kind, scopes, profileScopes }: FoundToken, displaced: boolean): readonly Scope[] {
  if (displaced) return scopes.filter((scope) => displacedScopes.includes(scope));
  return kind === "agent" ? scopes.filter((scope) => profileScopes.includes(scope)) : scopes;
}
