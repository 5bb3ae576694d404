/** Who asks the endpoint, and what a request ends in. */
import type { ServerExchange } from "../base/http/server-exchange.ts";
import type { Carried } from "./carried.ts";
import type { HeaderList } from "./upstream-call.ts";

/** Who asks: the headers of the request, whether it is still there, and where an answer that streams is written. */
export type Asker = Pick<ServerExchange, "header" | "headersFrom" | "gone" | "stream">;

/** A complete answer: the text of the JSON-RPC response and its HTTP status when it is not in a stream. */
export type Answer = {
  readonly status: number;
  readonly text: string | Uint8Array;
  readonly headers?: HeaderList;
  readonly carried?: Carried;
};

/** What a request ends in: a complete answer, or a stream that was begun. */
export type Outcome = Answer | "streaming";
