/**
 * The contract of the relay's memory. Each verb is one transaction, durable before its promise resolves, and safe
 * to call concurrently. Time is passed in as `now` (ms since 1970). What a caller must handle comes back as a
 * tagged value; a thrown error means the store itself failed and nothing was changed.
 */
import type { IdentityVerbs } from "./contract/identity.ts";
import type { MessageVerbs } from "./contract/messages.ts";
import type { ObligationVerbs } from "./contract/obligations.ts";
import type { ServiceVerbs, StoreIdentity } from "./contract/service.ts";

export type * from "./contract/identity.ts";
export type * from "./contract/messages.ts";
export type * from "./contract/obligations.ts";
export type * from "./contract/service.ts";

export interface RelayStore extends IdentityVerbs, MessageVerbs, ObligationVerbs, ServiceVerbs {
  readonly identity: StoreIdentity;
}
