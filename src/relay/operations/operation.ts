/** What an operation is: a function from a parsed request to a reply, one per row of the operation table. */

import type { OperationInput, OperationName, OperationReply } from "../../wire/api.ts";
import { RelayError } from "../../wire/error.ts";
import type { Principal } from "../access.ts";
import type { Relay } from "../relay.ts";

/** Runs with the parsed request and whoever asks; `undefined` only where the row's scope is `none`. */
export type Operation<Name extends OperationName> = (
  relay: Relay,
  input: OperationInput<Name>,
  by: Principal | undefined,
) => Promise<OperationReply<Name>>;

/** The principal of an operation whose row wants a token. */
export function known(by: Principal | undefined): Principal {
  if (by !== undefined) return by;
  throw new RelayError("unauthorized", "Run the operation: a token was wanted, none was given");
}
