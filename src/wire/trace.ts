/** W3C trace context (Trace Context level 1): one id from the agent's call to the row of the message. */

/** A `traceparent`: version, trace id, parent id, flags. */
const pattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The name of the header, and of the member of `_meta` in an MCP message. */
export const traceHeader = "traceparent";

/** True for a `traceparent` of version 00. */
export function isTraceparent(text: unknown): text is string {
  return typeof text === "string" && pattern.test(text);
}

/** A new `traceparent`. @param random 24 random bytes */
export function newTraceparent(random: Uint8Array): string {
  const hex = Buffer.from(random).toString("hex");
  return `00-${hex.slice(0, 32)}-${hex.slice(32, 48)}-01`;
}

/** The id that all hops share; undefined for what is no `traceparent`. */
export function traceIdOf(traceparent: string | null | undefined): string | undefined {
  return isTraceparent(traceparent) ? traceparent.slice(3, 35) : undefined;
}
