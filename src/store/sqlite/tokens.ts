/** Tokens in SQLite: kept by the hash of their secret, revoked together with everything minted by them. */
import type { Database } from "bun:sqlite";
import type { AgentId, TokenId } from "../../wire/id.ts";
import { defaultProfile, type PrincipalKind, type Scope } from "../../wire/scope.ts";
import type { FoundToken, NewToken, StoredToken } from "../store.ts";

/** A use is written down when the last one noted is this old, ms: not every request is worth a write. */
const useNotedEveryMs = 60_000;

type TokenRow = {
  id: TokenId;
  kind: PrincipalKind;
  agentId: AgentId | null;
  agentName: string | null;
  parentId: TokenId | null;
  profile: string | null;
  scopes: string;
  grants: string | null;
  note: string;
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
  holds: number;
  profileScopes: string | null;
  features: string | null;
  agentRemoved: number;
};

const select = `SELECT t.id, t.kind, t.agent_id AS agentId, a.name AS agentName, t.parent_id AS parentId,
  CASE WHEN t.kind IN ('runner', 'agent') THEN a.profile END AS profile, t.scopes, t.grants, t.note,
  t.created_at AS createdAt, t.expires_at AS expiresAt, t.revoked_at AS revokedAt, t.last_used_at AS lastUsedAt,
  coalesce(a.holder_id = t.id, 0) AS holds, a.removed_at IS NOT NULL AS agentRemoved,
  CASE WHEN t.kind IN ('runner', 'agent') THEN p.scopes END AS profileScopes, p.features
  FROM tokens t LEFT JOIN agents a ON a.id = t.agent_id LEFT JOIN profiles p ON p.name = a.profile`;

function tokenStatements(database: Database) {
  const byHash = database.prepare<TokenRow, [string]>(`${select} WHERE t.hash = ?1`);
  const byId = database.prepare<TokenRow, [string]>(`${select} WHERE t.id = ?1`);
  const used = database.prepare<{ tokenId: TokenId; validUntil: number }, [string]>(
    "SELECT token_id AS tokenId, valid_until AS validUntil FROM used_secrets WHERE hash = ?1",
  );
  const listed = database.prepare<TokenRow, [number]>(
    `${select} WHERE t.kind <> 'agent' OR t.expires_at IS NULL OR t.expires_at > ?1
     ORDER BY t.created_at DESC, t.id DESC`,
  );
  const insert = database.prepare(
    `INSERT INTO tokens
       (id, hash, kind, agent_id, parent_id, profile, scopes, grants, note, created_at, expires_at, maker_id, revoked_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
       (SELECT min(revoked_at) FROM tokens WHERE id IN (?5, ?12)))`,
  );
  const noteUse = database.prepare("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1");
  const revokeFamily = database.prepare<{ id: TokenId }, [string, number]>(
    `WITH RECURSIVE family (id) AS (
       SELECT ?1 UNION SELECT t.id FROM tokens t JOIN family f ON t.parent_id = f.id
     )
     UPDATE tokens SET revoked_at = ?2 WHERE revoked_at IS NULL AND id IN (SELECT id FROM family) RETURNING id`,
  );
  const revokeAllMade = database.prepare<{ id: TokenId }, [string, number, string]>(
    `WITH RECURSIVE family (id) AS (
       SELECT ?1
       UNION SELECT t.id FROM tokens t JOIN family f ON t.parent_id = f.id
       UNION SELECT t.id FROM tokens t JOIN family f ON t.maker_id = f.id WHERE t.id <> ?3
     )
     UPDATE tokens SET revoked_at = ?2 WHERE revoked_at IS NULL AND id IN (SELECT id FROM family) RETURNING id`,
  );
  return { byHash, byId, used, listed, insert, noteUse, revokeFamily, revokeAllMade };
}

/** The verbs about tokens, and what enrolment and renewal need of them. Every call belongs inside a transaction. */
export function tokenVerbs(database: Database) {
  const { byHash, byId, used, listed, insert, noteUse, ...families } = tokenStatements(database);
  const tokenById = (id: TokenId) => optional(byId.get(id));
  const tokenByHash = (hash: string) => optional(byHash.get(hash));

  /** What a revoked token minted or made is stored as revoked: the two requests may have crossed. */
  function addToken(token: NewToken, now: number): StoredToken {
    const known = tokenByHash(token.hash);
    if (known !== undefined) return known;
    insert.run(
      token.id,
      token.hash,
      token.kind,
      token.agentId ?? null,
      token.parentId ?? null,
      token.profile ?? null,
      JSON.stringify(token.scopes),
      token.grants === undefined ? null : JSON.stringify(token.grants),
      token.note,
      now,
      token.expiresAt ?? null,
      token.makerId ?? null,
    );
    const stored = tokenById(token.id);
    if (stored === undefined) throw new Error(`Add token ${token.id}: it is not there after it was stored`);
    return stored;
  }

  function presented(hash: string): FoundToken | undefined {
    const token = tokenByHash(hash);
    if (token !== undefined) return { ...token, usedUntil: undefined };
    const swapped = used.get(hash);
    const of = swapped === null ? undefined : tokenById(swapped.tokenId);
    return of === undefined || swapped === null ? undefined : { ...of, usedUntil: swapped.validUntil };
  }

  function findToken(hash: string, now: number): FoundToken | undefined {
    const token = presented(hash);
    if (token === undefined) return undefined;
    if (token.lastUsedAt !== undefined && now - token.lastUsedAt < useNotedEveryMs) return token;
    noteUse.run(token.id, now);
    return { ...token, lastUsedAt: now };
  }

  /** Revokes a token and everything minted by it; the ids that were valid until now. */
  function revoke(id: TokenId, now: number): TokenId[] {
    return families.revokeFamily.all(id, now).map((row) => row.id);
  }

  return {
    addToken,
    findToken,
    tokenById,
    tokenByHash,
    revoke,
    listTokens: (now: number) => listed.all(now).map(tokenOf),
    revokeToken(id: TokenId, now: number, cascade?: { sparing: TokenId }) {
      const revoked =
        cascade === undefined
          ? revoke(id, now)
          : families.revokeAllMade.all(id, now, cascade.sparing).map((row) => row.id);
      const token = tokenById(id);
      return token === undefined ? undefined : { token, revoked };
    },
  };
}

export type TokenVerbs = ReturnType<typeof tokenVerbs>;

function optional(row: TokenRow | null): StoredToken | undefined {
  return row === null ? undefined : tokenOf(row);
}

function tokenOf(row: TokenRow): StoredToken {
  return {
    id: row.id,
    kind: row.kind,
    agentId: row.agentId ?? undefined,
    agentName: row.agentName ?? undefined,
    parentId: row.parentId ?? undefined,
    profile: row.profile ?? undefined,
    // Written by addToken and setProfile from the same type.
    scopes: JSON.parse(row.scopes) as Scope[],
    grants: row.grants === null ? undefined : (JSON.parse(row.grants) as Scope[]),
    profileScopes: row.profileScopes === null ? [] : (JSON.parse(row.profileScopes) as Scope[]),
    features: row.features === null ? defaultProfile.features : JSON.parse(row.features),
    note: row.note,
    createdAt: row.createdAt,
    expiresAt: row.expiresAt ?? undefined,
    revokedAt: row.revokedAt ?? undefined,
    lastUsedAt: row.lastUsedAt ?? undefined,
    holds: row.holds === 1,
    agentRemoved: row.agentRemoved === 1,
  };
}
