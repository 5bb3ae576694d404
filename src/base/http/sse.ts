/**
 * Server-sent events (HTML Living Standard §9.2): writing them, and splitting a byte stream into them with a bound.
 */

/** One event. `data` is undefined for a block that carries only an id, a retry or a comment. */
export type SseEvent = {
  id: string | undefined;
  event: string | undefined;
  data: string | undefined;
  retryMs: number | undefined;
};

/** The text of one event. Data may have several lines. */
export function sseText(event: {
  id?: string | undefined;
  event?: string | undefined;
  data: string;
}): string {
  const id = event.id === undefined ? "" : `id: ${event.id}\n`;
  const name = event.event === undefined ? "" : `event: ${event.event}\n`;
  const data = event.data.includes("\n") ? event.data.replaceAll("\n", "\ndata: ") : event.data;
  return `${id}${name}data: ${data}\n\n`;
}

/** A comment: keeps a connection open and means nothing. */
export const sseComment = ": \n\n";

/** An event was larger than the reader's bound. */
export class SseTooLarge extends Error {
  override readonly name = "SseTooLarge";
}

/**
 * The events of a byte stream. Throws SseTooLarge when one is larger than `eventBytesMax` (in UTF-16 units, which
 * never exceed the bytes). An event that the end of the stream cuts is not returned.
 */
export async function* sseEvents(
  body: AsyncIterable<Uint8Array>,
  eventBytesMax: number,
): AsyncGenerator<SseEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    if (rest.includes("\r")) rest = normalLines(rest);
    let start = 0;
    for (;;) {
      const end = rest.indexOf("\n\n", start);
      if (end < 0) break;
      const event = parseBlock(rest.slice(start, end));
      start = end + 2;
      if (event !== undefined) yield event;
    }
    if (start > 0) rest = rest.slice(start);
    if (rest.length > eventBytesMax) {
      throw new SseTooLarge(`An event is larger than ${eventBytesMax} bytes`);
    }
  }
}

/** CRLF and CR become LF; a CR at the very end waits for what follows it. */
function normalLines(text: string): string {
  const held = text.endsWith("\r") ? "\r" : "";
  return (
    text
      .slice(0, text.length - held.length)
      .replaceAll("\r\n", "\n")
      .replaceAll("\r", "\n") + held
  );
}

function parseBlock(block: string): SseEvent | undefined {
  const event: SseEvent = { id: undefined, event: undefined, data: undefined, retryMs: undefined };
  let told = false;
  for (const line of block.split("\n")) {
    if (line.startsWith(":") || line === "") continue;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line.charAt(colon + 1) === " " ? colon + 2 : colon + 1);
    told = true;
    if (field === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
    else if (field === "id") event.id = value.includes("\0") ? undefined : value;
    else if (field === "event") event.event = value;
    else if (field === "retry" && /^\d+$/.test(value)) event.retryMs = Number(value);
  }
  return told ? event : undefined;
}
