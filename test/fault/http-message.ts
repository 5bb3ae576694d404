/** HTTP/1.1 messages cut out of a byte stream, just well enough for the fault proxy: length, chunks, or no body. */

/** One whole message, as it came (`raw`) and with its body unchunked. */
export type HttpMessage = { startLine: string; headers: Map<string, string>; body: Buffer; raw: Buffer };

/** The first whole message of the bytes, and how many bytes it takes; undefined while it is not complete. */
export function takeMessage(bytes: Buffer): { message: HttpMessage; size: number } | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [startLine = "", ...lines] = bytes.subarray(0, headEnd).toString("latin1").split("\r\n");
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const body = takeBody(bytes.subarray(headEnd + 4), headers);
  if (body === undefined) return undefined;
  const size = headEnd + 4 + body.size;
  return { message: { startLine, headers, body: body.bytes, raw: bytes.subarray(0, size) }, size };
}

/** The message with another value of one header that it has. */
export function withHeader(message: HttpMessage, name: string, value: string): HttpMessage {
  const headEnd = message.raw.indexOf("\r\n\r\n");
  const lines = message.raw.subarray(0, headEnd).toString("latin1").split("\r\n");
  const changed = lines.map((line) =>
    line.toLowerCase().startsWith(`${name}:`) ? `${name}: ${value}` : line,
  );
  const raw = Buffer.concat([Buffer.from(changed.join("\r\n"), "latin1"), message.raw.subarray(headEnd)]);
  return { ...message, headers: new Map(message.headers).set(name, value), raw };
}

/** A message with another body, its length given in the head. */
export function withBody(message: HttpMessage, text: string): Buffer {
  const body = Buffer.from(text);
  const kept = [...message.headers].filter(
    ([name]) => name !== "content-length" && name !== "transfer-encoding",
  );
  const lines = kept.map(([name, value]) => `${name}: ${value}`);
  const head = [message.startLine, ...lines, `content-length: ${body.length}`, "", ""].join("\r\n");
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

function takeBody(bytes: Buffer, headers: Map<string, string>): { bytes: Buffer; size: number } | undefined {
  if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return takeChunks(bytes);
  const length = Number(headers.get("content-length") ?? "0");
  return bytes.length < length ? undefined : { bytes: bytes.subarray(0, length), size: length };
}

function takeChunks(bytes: Buffer): { bytes: Buffer; size: number } | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const length = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    const end = lineEnd + 2 + length + 2;
    if (bytes.length < end) return undefined;
    if (length === 0) return { bytes: Buffer.concat(chunks), size: end };
    chunks.push(bytes.subarray(lineEnd + 2, end - 2));
    at = end;
  }
}
