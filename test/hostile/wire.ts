/** HTTP/1.1 by hand: a client that sends exactly the bytes it is given, and reads what comes back. */
import type { Socket } from "bun";

export type RawAnswer = {
  /** 0 when the connection was closed without an answer. */
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
};

const nothing: RawAnswer = { status: 0, headers: new Map(), body: Buffer.alloc(0) };

/** One connection; requests go one after another. */
export class RawConnection {
  #socket: Socket | undefined;
  #got = Buffer.alloc(0);
  #unsent = Buffer.alloc(0);
  #waiting: ((answer: RawAnswer) => void) | undefined;
  #onClose: (() => void)[] = [];
  closed = false;

  static async open(port: number, hostname = "127.0.0.1"): Promise<RawConnection> {
    const connection = new RawConnection();
    connection.#socket = await Bun.connect({
      hostname,
      port,
      socket: {
        data: (_, chunk) => connection.#take(chunk),
        drain: () => connection.#flush(),
        close: () => connection.#end(),
        end: () => connection.#end(),
        error: () => connection.#end(),
      },
    });
    return connection;
  }

  /** Sends without waiting for anything. */
  write(bytes: string | Uint8Array): void {
    const more = Buffer.from(bytes as string);
    this.#unsent = this.#unsent.length === 0 ? more : Buffer.concat([this.#unsent, more]);
    this.#flush();
  }

  /** Sends a request and waits for its answer; status 0 when the peer closes, or stays silent for `waitMs`. */
  async ask(bytes: string | Uint8Array, waitMs = 10_000): Promise<RawAnswer> {
    if (this.closed) return nothing;
    const { promise, resolve } = Promise.withResolvers<RawAnswer>();
    const timer = setTimeout(() => this.close(), waitMs);
    this.#waiting = resolve;
    this.write(bytes);
    const answer = await promise;
    clearTimeout(timer);
    return answer;
  }

  /** Resolves when the connection is gone. */
  gone(): Promise<void> {
    return new Promise((resolve) => {
      if (this.closed) resolve();
      else this.#onClose.push(resolve);
    });
  }

  close(): void {
    this.#socket?.terminate();
    this.#end();
  }

  #flush(): void {
    if (this.#unsent.length === 0 || this.closed) return;
    const written = this.#socket?.write(this.#unsent) ?? 0;
    this.#unsent = this.#unsent.subarray(Math.max(0, written));
  }

  #take(chunk: Buffer): void {
    this.#got = this.#got.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#got, chunk]);
    const parsed = readAnswer(this.#got);
    if (parsed === undefined || this.#waiting === undefined) return;
    this.#got = this.#got.subarray(parsed.length);
    const answer = this.#waiting;
    this.#waiting = undefined;
    answer(parsed.answer);
  }

  #end(): void {
    if (this.closed) return;
    this.closed = true;
    this.#waiting?.(nothing);
    for (const told of this.#onClose) told();
  }
}

/** The first whole answer in these bytes, and how long it is. */
export function readAnswer(bytes: Buffer): { answer: RawAnswer; length: number } | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [first = "", ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n");
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const status = Number(first.split(" ")[1]);
  const start = headEnd + 4;
  if (headers.get("transfer-encoding") === "chunked") {
    const chunked = readChunks(bytes, start);
    return chunked && { answer: { status, headers, body: chunked.body }, length: chunked.end };
  }
  const length = Number(headers.get("content-length") ?? 0);
  if (bytes.length < start + length) return undefined;
  const body = Buffer.from(bytes.subarray(start, start + length));
  return { answer: { status, headers, body }, length: start + length };
}

function readChunks(bytes: Buffer, start: number): { body: Buffer; end: number } | undefined {
  const parts: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (bytes.length < next) return undefined;
    if (size === 0) return { body: Buffer.concat(parts), end: next };
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = next;
  }
}

/** One request on a connection of its own. */
export async function askOnce(port: number, bytes: string | Uint8Array, waitMs?: number): Promise<RawAnswer> {
  const connection = await RawConnection.open(port);
  const answer = await connection.ask(bytes, waitMs);
  connection.close();
  return answer;
}

/** A POST with exactly these header lines. */
export function postBytes(
  lines: readonly string[],
  body: string | Uint8Array,
  { target = "/mcp", version = "HTTP/1.1" } = {},
): Buffer {
  const bytes = Buffer.from(body as string);
  const head = [`POST ${target} ${version}`, ...lines, `Content-Length: ${bytes.length}`, "", ""].join(
    "\r\n",
  );
  return Buffer.concat([Buffer.from(head), bytes]);
}
