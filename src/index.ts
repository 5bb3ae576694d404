/** The front door for programs that talk to a relay: the typed client, the feed, and the words both use. */
export { RelayUnreachable } from "./sdk/answer.ts";
export { type Client, type ClientOptions, createClient } from "./sdk/client.ts";
export { type FeedItem, type FeedOptions, type FeedState, followFeed } from "./sdk/feed.ts";
export type { OperationName, OperationReply, OperationRequest } from "./wire/api.ts";
export { type ErrorCode, RelayError } from "./wire/error.ts";
export type { Cursor, FeedEvent } from "./wire/feed.ts";
export type { Message } from "./wire/message.ts";
export type { Receipt } from "./wire/receipt.ts";
