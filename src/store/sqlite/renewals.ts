/**
 * How tokens go on in SQLite: a secret is swapped for its successor, a runtime token is followed by the next. What was
 * asked before is answered as before; a secret that comes back with another successor shows that somebody has a copy.
 */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { TokenId } from "../../wire/id.ts";
import type { Minting, MintingResult, Renewal, RenewalResult, StoredToken } from "../store.ts";
import type { TokenVerbs } from "./tokens.ts";

/** The verbs about renewals. Every call belongs inside a transaction. */
export function renewalVerbs(database: Database, tokens: TokenVerbs) {
  return { renewToken: renewer(database, tokens), mintToken: minter(database, tokens) };
}

function renewer(database: Database, tokens: TokenVerbs) {
  const used = database.prepare<{ tokenId: TokenId; successor: string }, [string]>(
    "SELECT token_id AS tokenId, successor FROM used_secrets WHERE hash = ?1",
  );
  const swap = database.prepare("UPDATE tokens SET hash = ?2, expires_at = ?3 WHERE id = ?1");
  const keepUsed = database.prepare(
    "INSERT INTO used_secrets (hash, token_id, successor, used_at, valid_until) VALUES (?1, ?2, ?3, ?4, ?5)",
  );
  const forgetOld = database.prepare(
    `DELETE FROM used_secrets WHERE token_id = ?1 AND hash NOT IN (
       SELECT hash FROM used_secrets WHERE token_id = ?1 ORDER BY used_at DESC, hash LIMIT ?2)`,
  );
  const isKnown = (hash: string) => tokens.tokenByHash(hash) !== undefined || used.get(hash) !== null;

  return (renewal: Renewal, now: number): RenewalResult => {
    const { secret, successor, expiresAt, usedUntil } = renewal;
    const before = used.get(secret);
    const token = before === null ? tokens.tokenByHash(secret) : tokens.tokenById(before.tokenId);
    if (token === undefined || hasEnded(token, now)) return { status: "refused", token };
    if (before !== null && before.successor !== successor) {
      return { status: "reused", token, revoked: tokens.revoke(token.id, now) };
    }
    if (before !== null || secret === successor) return { status: "renewed", token, swapped: false };
    if (isKnown(successor)) return { status: "refused", token };
    const parent = token.parentId === undefined ? undefined : tokens.tokenById(token.parentId);
    swap.run(token.id, successor, earliest(expiresAt, parent?.expiresAt) ?? null);
    keepUsed.run(secret, token.id, successor, now, usedUntil);
    forgetOld.run(token.id, limits.usedSecretsMax);
    return { status: "renewed", token: tokens.tokenById(token.id) ?? token, swapped: true };
  };
}

function minter(database: Database, tokens: TokenVerbs) {
  const successorOf = database.prepare<{ successor: string | null }, [string, string]>(
    "SELECT successor FROM tokens WHERE hash = ?1 AND parent_id = ?2",
  );
  const supersede = database.prepare<{ id: TokenId }, [string, string, number, number]>(
    `UPDATE tokens SET successor = ?2, expires_at = min(coalesce(expires_at, ?3), ?3)
     WHERE parent_id = ?1 AND kind = 'agent' AND hash <> ?2 AND successor IS NULL AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > ?4) RETURNING id`,
  );

  return ({ token, replaces, usedUntil }: Minting, now: number): MintingResult => {
    const known = tokens.tokenByHash(token.hash);
    if (known !== undefined) return { status: "minted", token: known, added: false, superseded: [] };
    const successor = replaces === undefined ? null : successorOf.get(replaces, token.parentId)?.successor;
    if (typeof successor === "string" && successor !== token.hash) {
      return { status: "reused", revoked: tokens.revoke(token.parentId, now) };
    }
    const superseded = supersede.all(token.parentId, token.hash, usedUntil, now).map(({ id }) => id);
    return { status: "minted", token: tokens.addToken(token, now), added: true, superseded };
  };
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

function hasEnded({ revokedAt, expiresAt, agentRemoved }: StoredToken, now: number): boolean {
  return revokedAt !== undefined || agentRemoved || (expiresAt !== undefined && expiresAt <= now);
}
