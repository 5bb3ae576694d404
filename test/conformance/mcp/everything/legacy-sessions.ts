/** Legacy clients: one instance per session, with an event store, so that a lost stream can be taken up again. */
import {
  type EventStore,
  type JSONRPCMessage,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import type { Everything } from "./server.ts";

/** The pause a client is told to make before it comes back to a closed stream. */
const retryMs = 200;

type Session = { everything: Everything; transport: WebStandardStreamableHTTPServerTransport };
type Stored = { stream: string; message: JSONRPCMessage };

/** Keeps every event of a session in memory; an event's id names its stream and its place. */
function memoryStore(): EventStore {
  const events: Stored[] = [];
  const indexOf = (id: string) => Number(id.slice(id.lastIndexOf("~") + 1));
  return {
    async storeEvent(stream, message) {
      return `${stream}~${events.push({ stream, message }) - 1}`;
    },
    async getStreamIdForEventId(id) {
      return events[indexOf(id)]?.stream;
    },
    async replayEventsAfter(lastEventId, { send }) {
      const last = indexOf(lastEventId);
      const stream = events[last]?.stream ?? "";
      for (const [index, event] of events.entries()) {
        const isEmpty = Object.keys(event.message).length === 0;
        if (index > last && event.stream === stream && !isEmpty)
          await send(`${stream}~${index}`, event.message);
      }
      return stream;
    },
  };
}

export type LegacySessions = {
  handle(request: Request): Promise<Response>;
  /** Every instance that serves a session now. */
  all(): readonly Everything[];
  close(): Promise<void>;
};

/** @param create makes the instance of a new session */
export function createLegacySessions(create: () => Everything): LegacySessions {
  const sessions = new Map<string, Session>();

  async function open(): Promise<Session> {
    const everything = create();
    const session: Session = {
      everything,
      transport: new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: () => crypto.randomUUID(),
        eventStore: memoryStore(),
        retryInterval: retryMs,
        onsessioninitialized: (id) => {
          sessions.set(id, session);
        },
        onsessionclosed: (id) => {
          sessions.delete(id);
        },
      }),
    };
    await everything.server.connect(session.transport);
    return session;
  }

  return {
    async handle(request) {
      const id = request.headers.get("mcp-session-id");
      if (id === null) return (await open()).transport.handleRequest(request);
      const session = sessions.get(id);
      return session === undefined
        ? new Response("The session is not known\n", { status: 404 })
        : session.transport.handleRequest(request);
    },
    all: () => [...sessions.values()].map(({ everything }) => everything),
    async close() {
      for (const { everything } of sessions.values()) await everything.server.close();
      sessions.clear();
    },
  };
}
