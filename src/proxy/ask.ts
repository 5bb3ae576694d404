/**
 * One request of an agent on its way through the proxy, and what the two eras do differently with it.
 */
import type { JsonObject, RpcRequest } from "../wire/jsonrpc.ts";
import type { Core } from "./core.ts";
import type { EraName } from "./era.ts";
import type { Asker, Outcome } from "./outcome.ts";
import type { SessionFacts } from "./session.ts";
import type { Session } from "./sessions.ts";
import type { HeaderList } from "./upstream-call.ts";

/** A request in the form in which it goes upstream. */
export type Outgoing = {
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  /** Legacy session upstream; undefined for modern. */
  readonly session: SessionFacts | undefined;
};

/** What `modern.ts` and `legacy.ts` both are. */
export type Era = {
  readonly name: EraName;
  /** Answers the request that opens this era (`server/discover`, `initialize`). */
  open(core: Core, ask: Ask): Promise<Outcome>;
  /** The result in this era's form. */
  result(result: JsonObject, method: string, core: Core): JsonObject;
  /** HTTP status of a JSON-RPC error. */
  errorStatus(code: number): number;
  /** The request as it came, with the headers that may pass. */
  outgoing(ask: Ask): Outgoing;
  /** A request of the other era, translated into this one. */
  translate(core: Core, ask: Ask): Outgoing;
  /** Whether the agent's going away ends a call that may have an effect. */
  readonly disconnectCancels: boolean;
};

export type { Asker } from "./outcome.ts";

export type Ask = {
  readonly era: Era;
  readonly message: RpcRequest;
  /** The body as it came. */
  readonly bytes: Uint8Array;
  readonly asker: Asker;
  readonly session: Session;
  /** The agent takes an event stream as answer. */
  readonly wantsStream: boolean;
  /** How it went upstream the last time: what that era was thought to be then decides how its answer is read. */
  sent?: { readonly outgoing: Outgoing; readonly bridged: boolean };
};
