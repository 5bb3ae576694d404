/**
 * The final message of an upstream answer, for requests of our own: the JSON body, or the response in the stream.
 */
import { HttpFailure } from "../base/http/exchange.ts";
import { SseTooLarge, sseEvents } from "../base/http/sse.ts";
import { isObject, type JsonObject, type RawId } from "../wire/jsonrpc.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** A parsed JSON object, or undefined. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** True when the message is the response to the request with this id. */
export function isResponseTo(message: JsonObject, id: RawId): boolean {
  return !("method" in message) && ("result" in message || "error" in message) && sameId(message.id, id);
}

/** Ids are compared as values; numbers beyond 2^53 as the numbers that JSON.parse makes of them. */
function sameId(value: unknown, raw: RawId): boolean {
  return value === JSON.parse(raw);
}

/** The response message, or undefined when the answer is none or its stream ends without one. */
export async function finalMessage(
  answer: UpstreamAnswer,
  id: RawId,
  eventBytesMax: number,
): Promise<JsonObject | undefined> {
  if (answer.kind === "json") return parseObject(Buffer.from(answer.bytes).toString());
  if (answer.kind !== "stream") return undefined;
  try {
    for await (const event of sseEvents(answer.response.body, eventBytesMax)) {
      const message = event.data === undefined ? undefined : parseObject(event.data);
      if (message !== undefined && isResponseTo(message, id)) return message;
    }
  } catch (error) {
    if (!(error instanceof HttpFailure || error instanceof SseTooLarge)) throw error;
  } finally {
    answer.response.cancel();
  }
  return undefined;
}
