/**
 * Who speaks: from a bearer token to a principal. Looked-up tokens are remembered for a moment so that a call does
 * not cost a lookup; a revoked one is forgotten at once. The secret itself is never kept, only its hash.
 */
import type { Clock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import type { RelayStore, StoredToken } from "../store/store.ts";
import { RelayError } from "../wire/error.ts";
import type { AgentId, TokenId } from "../wire/id.ts";
import type { PrincipalKind, Scope } from "../wire/scope.ts";
import { tokenHash, tokenKind } from "../wire/token.ts";

/** Who a request speaks for, and what it may do. */
export type Principal = {
  kind: PrincipalKind;
  tokenId: TokenId;
  /** The agent it speaks for or runs; hosts have none. */
  agentId: AgentId | undefined;
  agentName: string | undefined;
  scopes: readonly Scope[];
  profile: string | undefined;
  /** ms since 1970; undefined for tokens without an end. */
  expiresAt: number | undefined;
};

/** A principal that speaks for, or runs, an agent. */
export type AgentPrincipal = Principal & { agentId: AgentId; agentName: string };

export type Access = {
  /**
   * The principal of an `Authorization` header.
   * @throws RelayError unauthorized, token_expired, token_revoked
   */
  authenticate(authorization: string | null): Promise<Principal>;
  /** These tokens are no longer what was remembered of them. */
  forget(tokenIds: readonly TokenId[]): void;
};

type Remembered = { token: StoredToken; until: number };

/** Access by the tokens of a store. */
export function createAccess(options: { store: RelayStore; clock: Clock }): Access {
  const { store, clock } = options;
  const remembered = new Map<string, Remembered>();
  let forgotten = 0;

  const remember = (hash: string, token: StoredToken) => {
    remembered.delete(hash);
    remembered.set(hash, { token, until: clock.monotonic() + limits.tokenCacheMs });
    const oldest = remembered.size > limits.tokenCacheMax ? remembered.keys().next().value : undefined;
    if (oldest !== undefined) remembered.delete(oldest);
  };

  const find = async (hash: string): Promise<StoredToken | undefined> => {
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
      if (text === undefined) {
        throw new RelayError(
          "unauthorized",
          "Authenticate: no bearer token was given, 'Authorization: Bearer arl_…' was wanted",
        );
      }
      const token = tokenKind(text) === undefined ? undefined : await find(tokenHash(text));
      if (token === undefined)
        throw new RelayError("unauthorized", "Authenticate: this relay does not know the token");
      if (token.revokedAt !== undefined) {
        throw new RelayError("token_revoked", `Authenticate: token ${token.id} was revoked`);
      }
      if (token.expiresAt !== undefined && token.expiresAt <= clock.now()) {
        const ended = new Date(token.expiresAt).toISOString();
        throw new RelayError("token_expired", `Authenticate: token ${token.id} expired at ${ended}`);
      }
      return principalOf(token);
    },
    forget(tokenIds) {
      forgotten += 1;
      const ids = new Set(tokenIds);
      for (const [hash, { token }] of remembered) if (ids.has(token.id)) remembered.delete(hash);
    },
  };
}

/**
 * Passes when the principal holds the scope.
 * @param action what was tried, for the message
 * @throws RelayError forbidden
 */
export function requireScope(principal: Principal, scope: Scope, action: string): void {
  if (principal.scopes.includes(scope)) return;
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

function principalOf(token: StoredToken): Principal {
  const { id, kind, agentId, agentName, scopes, profile, expiresAt } = token;
  return { kind, tokenId: id, agentId, agentName, scopes, profile, expiresAt };
}
