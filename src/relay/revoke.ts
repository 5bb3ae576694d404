/** What follows from a revocation in this process. */
import type { TokenId } from "../wire/id.ts";
import type { Relay } from "./relay.ts";

/** Forgets the tokens and ends their streams, at once. */
export function revoked(relay: Relay, tokens: readonly TokenId[]): void {
  if (tokens.length === 0) return;
  relay.access.forget(tokens);
  relay.streams.revoke(tokens);
  relay.log.info("Tokens ended", { tokenIds: tokens });
}

/** Forgets the tokens, because what they are good for has changed; their streams end at a time. */
export function superseded(relay: Relay, tokens: readonly TokenId[], endAt: number): void {
  relay.access.forget(tokens);
  relay.streams.endAt(tokens, endAt);
}
