/** Creating, listing and revoking tokens. */
import type { StoredToken } from "../../store/store.ts";
import type { OperationReply } from "../../wire/api.ts";
import { RelayError } from "../../wire/error.ts";
import { asId, uuidV7 } from "../../wire/id.ts";
import { timeText } from "../relay.ts";
import { revoked } from "../revoke.ts";
import { createdToken } from "../tokens.ts";
import { known, type Operation } from "./operation.ts";

export const createToken: Operation<"createToken"> = async ({ store, clock, random }, input, by) => {
  const now = clock.now();
  const wanted = createdToken(known(by), {
    id: uuidV7(now, random.bytes(10)),
    kind: input.kind,
    hash: input.secretHash,
    note: input.note,
    expiresAt: input.ttlSeconds === undefined ? undefined : now + input.ttlSeconds * 1_000,
  });
  const token = await store.addToken(wanted, now);
  if (token.kind !== wanted.kind) {
    throw new RelayError(
      "forbidden",
      `Create a ${wanted.kind} token: the secret is in use by a ${token.kind} token`,
    );
  }
  return tokenView(token);
};

export const listTokens: Operation<"listTokens"> = async ({ store, clock }) => ({
  tokens: (await store.listTokens(clock.now())).map(tokenView),
});

export const revokeToken: Operation<"revokeToken"> = async (relay, { id }) => {
  const result = await relay.store.revokeToken(asId(id), relay.clock.now());
  if (result === undefined) throw new RelayError("not_found", `Revoke token ${id}: there is none of that id`);
  revoked(relay, result.revoked);
  const { kind, agentId } = result.token;
  // The runner goes on and asks for another runtime token when only the agent's was revoked.
  if (kind === "agent" && agentId !== undefined) relay.hub.hint(agentId, "token");
  return tokenView(result.token);
};

function tokenView(token: StoredToken): OperationReply<"createToken"> {
  const { id, kind, agentName, profile, scopes, note, createdAt } = token;
  return {
    id,
    kind,
    scopes,
    note,
    createdAt: timeText(createdAt),
    ...(agentName === undefined ? {} : { agent: agentName }),
    ...(profile === undefined ? {} : { profile }),
    ...(token.expiresAt === undefined ? {} : { expiresAt: timeText(token.expiresAt) }),
    ...(token.revokedAt === undefined ? {} : { revokedAt: timeText(token.revokedAt) }),
    ...(token.lastUsedAt === undefined ? {} : { lastUsedAt: timeText(token.lastUsedAt) }),
  };
}
