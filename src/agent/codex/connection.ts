/**
 * JSON-RPC with an app-server of Codex over one text connection: requests with a deadline, notifications, and what the
 * server asks of us. Whether a request may have been taken is part of its answer, because a message must not be given twice.
 */
import type { Clock } from "../../base/clock.ts";
import type { OpenSocket } from "../../base/http/web-socket.ts";

/** How a request ended: done, refused by the server, or nobody knows whether it was carried out. */
export type Answer =
  | { status: "done"; result: unknown }
  | { status: "refused"; code: number; message: string }
  | { status: "unknown"; message: string };

/** What the server gets for a question of its own. */
export type ServerAnswer = { result: Record<string, unknown> } | { error: { code: number; message: string } };

export type ConnectionEvents = {
  onNotification(method: string, params: Members): void;
  /** The server asks; what is returned is the answer, undefined leaves it to another client of the same server. */
  onRequest(method: string, params: Members): ServerAnswer | undefined;
  onClose(why: string): void;
};

export interface Connection {
  request(method: string, params: Record<string, unknown>): Promise<Answer>;
  notify(method: string): void;
  close(): void;
}

/** Members of a JSON object that nobody has checked yet. */
export type Members = Readonly<Record<string, unknown>>;

/** The value as an object; an empty one when it is none. */
export function members(value: unknown): Members {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

/** The value as a text; undefined when it is none. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

type Waiting = { resolve(answer: Answer): void; cancel(): void };

/**
 * Connects and says hello. Rejects when the server cannot be reached or does not know us.
 * @param options.requestMs from a request to its answer; ms
 */
export async function connectAppServer(options: {
  open: OpenSocket;
  url: string;
  token: string;
  clock: Clock;
  requestMs: number;
  version: string;
  events: ConnectionEvents;
}): Promise<Connection> {
  const { events, clock, requestMs } = options;
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let closed: string | undefined;
  const end = (why: string) => {
    if (closed !== undefined) return;
    closed = why;
    for (const { resolve, cancel } of waiting.values()) {
      cancel();
      resolve({ status: "unknown", message: why });
    }
    waiting.clear();
    events.onClose(why);
  };
  const settle = (id: number, answer: Answer) => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    waiter?.cancel();
    waiter?.resolve(answer);
  };
  const socket = await options.open(options.url, options.token, {
    onText: (received) =>
      take(received, { settle, events, send: (value) => socket.send(JSON.stringify(value)) }),
    onClose: end,
  });
  const connection: Connection = {
    request(method, params) {
      if (closed !== undefined) return Promise.resolve({ status: "refused", code: 0, message: closed });
      const id = ++lastId;
      return new Promise<Answer>((resolve) => {
        const late = () =>
          settle(id, { status: "unknown", message: `no answer to ${method} within ${requestMs} ms` });
        waiting.set(id, { resolve, cancel: clock.after(requestMs, late) });
        socket.send(JSON.stringify({ method, id, params }));
      });
    },
    notify: (method) => socket.send(JSON.stringify({ method })),
    close() {
      end("it was closed");
      socket.close();
    },
  };
  const clientInfo = { name: "agent-relay", title: "Agent Relay", version: options.version };
  const capabilities = { experimentalApi: true, requestAttestation: false };
  const hello = await connection.request("initialize", { clientInfo, capabilities });
  if (hello.status !== "done") {
    connection.close();
    throw new Error(`Connect to Codex's app-server at ${options.url}: ${hello.message}`);
  }
  connection.notify("initialized");
  return connection;
}

type Taker = {
  settle(id: number, answer: Answer): void;
  send(value: Record<string, unknown>): void;
  events: ConnectionEvents;
};

/** One text of the server: an answer, a notification or a request. What is none of these is left alone. */
function take(received: string, { settle, send, events }: Taker): void {
  const message = members(parse(received));
  const method = text(message.method);
  const { id } = message;
  if (method === undefined) {
    if (typeof id === "number") settle(id, answerIn(message));
    return;
  }
  const params = members(message.params);
  if (id === undefined) {
    events.onNotification(method, params);
    return;
  }
  const answer = events.onRequest(method, params);
  if (answer !== undefined) send({ id, ...answer });
}

function answerIn(message: Members): Answer {
  if (message.error === undefined) return { status: "done", result: message.result };
  const { code, message: why } = members(message.error);
  return { status: "refused", code: Number(code) || 0, message: text(why) ?? "it gave no reason" };
}

function parse(received: string): unknown {
  try {
    return JSON.parse(received);
  } catch {
    return undefined;
  }
}
