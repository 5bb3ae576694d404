/** What follows from a revocation in this process. */
import type { TokenId } from "../wire/id.ts";
import type { Relay } from "./relay.ts";

/** Forgets the tokens and ends their streams, at once. */
export function revoked(relay: Relay, tokens: readonly TokenId[]): void {
  if (tokens.length === 0) return;
  relay.access.forget(tokens);
  relay.streams.revoke(tokens);
  relay.log.info("Tokens revoked", { tokenIds: tokens });
}
