/** Creating, renewing, listing and revoking tokens. */
import { limits } from "../../limits.ts";
import type { StoredToken } from "../../store/store.ts";
import type { OperationReply } from "../../wire/api.ts";
import { RelayError } from "../../wire/error.ts";
import { asId, uuidV7 } from "../../wire/id.ts";
import { tokenHash, tokenKind } from "../../wire/token.ts";
import { type Relay, timeText } from "../relay.ts";
import { revoked } from "../revoke.ts";
import { createdToken } from "../tokens.ts";
import { known, type Operation } from "./operation.ts";

export const createToken: Operation<"createToken"> = async (relay, input, by) => {
  const { store, clock, random } = relay;
  const now = clock.now();
  const maker = known(by);
  const wanted = createdToken(maker, {
    id: uuidV7(now, random.bytes(10)),
    kind: input.kind,
    hash: input.secretHash,
    note: input.note,
    grants: input.grants,
    expiresAt: input.ttlSeconds === undefined ? undefined : now + input.ttlSeconds * 1_000,
  });
  const token = await store.addToken(wanted, now);
  if (token.kind !== wanted.kind) {
    throw new RelayError(
      "forbidden",
      `Create a ${wanted.kind} token: the secret is in use by a ${token.kind} token`,
    );
  }
  await relay.audit({
    kind: "token_created",
    by: maker,
    subject: token.id,
    facts: {
      kind: token.kind,
      note: token.note,
      ...(token.grants === undefined ? {} : { grants: token.grants.join(" ") }),
    },
  });
  return tokenView(token);
};

export const renewToken: Operation<"renewToken"> = async (relay, { secret, successorHash }) => {
  const { store, clock } = relay;
  const now = clock.now();
  const old = tokenHash(secret);
  const found = tokenKind(secret) === undefined ? undefined : await store.findToken(old, now);
  // The life of a runner that holds its agent begins anew with each renewal; all others keep their end.
  const isFree = found?.kind === "runner" && found.holds;
  const renewal = {
    secret: old,
    successor: successorHash,
    expiresAt: isFree ? now + limits.runnerTokenMs : found?.expiresAt,
    usedUntil: now + limits.tokenOverlapMs,
  };
  const result =
    found === undefined || found.kind === "agent" ? undefined : await store.renewToken(renewal, now);
  if (result?.status === "renewed") {
    if (result.swapped) await renewed(relay, result.token, { secretHash: old, usedUntil: renewal.usedUntil });
    const { id, expiresAt } = result.token;
    return {
      tokenId: id,
      ...(expiresAt === undefined ? {} : { expiresAt: timeText(expiresAt) }),
      relayTime: timeText(now),
    };
  }
  if (result?.status === "reused") {
    revoked(relay, result.revoked);
    const { kind, agentName = "" } = result.token;
    const facts = { kind, agent: agentName, revoked: result.revoked.length };
    await relay.audit({ kind: "token_reused", by: "nobody", subject: result.token.id, facts });
    throw new RelayError(
      "token_revoked",
      `Renew a token: its secret had another successor; token ${result.token.id} and all it minted are revoked`,
    );
  }
  if (found?.agentRemoved === true) {
    throw new RelayError("agent_removed", `Renew a token: the agent '${found.agentName ?? ""}' was removed`);
  }
  if (found?.revokedAt !== undefined) {
    throw new RelayError("token_revoked", `Renew a token: token ${found.id} was revoked`);
  }
  throw new RelayError("unauthorized", "Renew a token: this relay does not know the token");
};

async function renewed(
  relay: Relay,
  token: StoredToken,
  { secretHash, usedUntil }: { secretHash: string; usedUntil: number },
): Promise<void> {
  relay.access.forget([token.id]);
  relay.streams.endAt([token.id], usedUntil, secretHash);
  const by = { kind: token.kind, tokenId: token.id, agentName: token.agentName };
  await relay.audit({ kind: "token_renewed", by, subject: token.id });
}

export const listTokens: Operation<"listTokens"> = async ({ store, clock }) => ({
  tokens: (await store.listTokens(clock.now())).map(tokenView),
});

export const revokeToken: Operation<"revokeToken"> = async (relay, { id, cascade = false }, by) => {
  const sparing = cascade ? { sparing: known(by).tokenId } : undefined;
  const result = await relay.store.revokeToken(asId(id), relay.clock.now(), sparing);
  if (result === undefined) throw new RelayError("not_found", `Revoke token ${id}: there is none of that id`);
  revoked(relay, result.revoked);
  const { kind, agentId } = result.token;
  // The runner goes on and asks for another runtime token when only the agent's was revoked.
  if (kind === "agent" && agentId !== undefined) relay.hub.hint(agentId, "token");
  const facts = { kind, revoked: result.revoked.length, ...(cascade ? { cascade } : {}) };
  await relay.audit({ kind: "token_revoked", by: known(by), subject: id, facts });
  return { ...tokenView(result.token), revokedTokens: result.revoked.length };
};

function tokenView(token: StoredToken): OperationReply<"createToken"> {
  const { id, kind, agentName, profile, scopes, note, createdAt } = token;
  return {
    id,
    kind,
    scopes,
    note,
    createdAt: timeText(createdAt),
    ...(token.grants === undefined ? {} : { grants: token.grants }),
    ...(kind === "runner" && !token.holds ? { displaced: true } : {}),
    ...(agentName === undefined ? {} : { agent: agentName }),
    ...(profile === undefined ? {} : { profile }),
    ...(token.expiresAt === undefined ? {} : { expiresAt: timeText(token.expiresAt) }),
    ...(token.revokedAt === undefined ? {} : { revokedAt: timeText(token.revokedAt) }),
    ...(token.lastUsedAt === undefined ? {} : { lastUsedAt: timeText(token.lastUsedAt) }),
  };
}
