/** An app-server of Codex that is played, for the tests of its sessions: it answers by a script and can be made to tell things. */
import { VirtualClock } from "../../base/clock.ts";
import type { SocketEvents, TextSocket } from "../../base/http/web-socket.ts";
import { silentLog } from "../../base/log.ts";
import { seededRandom } from "../../base/random.ts";
import { limits } from "../../limits.ts";
import type { LaunchMode, LaunchRequest } from "../launch.ts";
import { playedRequest } from "../played-request.ts";
import type { SavedConversation } from "../session.ts";
import type { SessionEvent } from "../session-event.ts";
import { openCodexSession } from "./session.ts";

/** What the session sent. */
export type Call = { method: string; id?: number; params: Record<string, unknown> };
/** What the played server answers; a text is a refusal, undefined no answer at all. */
export type Script = Record<string, unknown>;

/** A server that does everything. */
export const usual: Script = {
  initialize: {},
  "thread/start": { thread: { id: "t", path: "/log" } },
  "thread/resume": { thread: { id: "t", status: { type: "idle" } } },
  "thread/items/list": { data: [] },
  "thread/turns/list": { data: [] },
  "turn/start": { turn: { id: "u" } },
  "turn/steer": { turnId: "u" },
  "turn/interrupt": {},
  "skills/extraRoots/set": {},
};

/** A session, and the server and the programs that it reaches. */
export function played(
  options: { script?: Script; mode?: LaunchMode; saved?: SavedConversation; instructions?: string } = {},
) {
  const script: Script = { ...usual, ...options.script };
  const clock = new VirtualClock(0);
  const calls: Call[] = [];
  const events: SessionEvent[] = [];
  const sockets: { url: string; token: string; events: SocketEvents }[] = [];
  const servers: { command: readonly string[]; stopped: boolean }[] = [];
  const socketOf = (events: SocketEvents) => playedSocket(events, { calls, script });
  const { mode = "headless", instructions = "" } = options;
  const changes = { mode, instructions, aids: { plugins: "/plugins/codex" }, environment: {} };
  const request: LaunchRequest = { ...playedRequest, ...changes };
  const session = openCodexSession(
    {
      mode: request.mode,
      request: (conversation) => ({ ...request, conversation }),
      saved: options.saved,
      ownEndpoint: true,
      scratch: "/scratch",
      onEvent: (event) => void events.push(event),
      clock,
      random: seededRandom(1),
      log: silentLog,
      limits,
    },
    {
      openSocket: async (url, token, socketEvents) => {
        sockets.push({ url, token, events: socketEvents });
        return socketOf(socketEvents);
      },
      startServer: ({ plan, onLine }) => {
        const server = { command: plan.command, stopped: false };
        servers.push(server);
        queueMicrotask(() => onLine("  listening on: ws://127.0.0.1:4321"));
        return {
          pid: 7,
          async stop() {
            server.stopped = true;
          },
        };
      },
      hash: (text) => `hash-of-${text.length}`,
    },
  );
  const tell = (method: string, params: Record<string, unknown>) =>
    sockets.at(-1)?.events.onText(JSON.stringify({ method, params: { threadId: "t", ...params } }));
  return {
    ...{ script, clock, calls, events, sockets, servers, session, tell },
    given: () =>
      calls.filter(({ method }) => /^turn\/(start|steer)$/.test(method)).map(({ method }) => method),
    /** Starts the program and lets everything that is pending happen. */
    async start({ tools = true } = {}) {
      const plan = await session.prepare();
      session.started({ pid: 1, write: () => false, closeInput() {} });
      if (request.mode === "headless") session.output("  listening on: ws://127.0.0.1:4321", "stderr");
      await settled();
      if (tools) tell("mcpServer/startupStatus/updated", { name: "agent-relay", status: "ready" });
      await settled();
      return plan;
    },
    began: (turn = "u") => tell("turn/started", { turn: { id: turn } }),
    taken: (clientId: string) => tell("item/completed", { item: { type: "userMessage", clientId } }),
    ended: (status = "completed", turn = "u") => tell("turn/completed", { turn: { id: turn, status } }),
  };
}

/** A chain of answers takes some turns of the microtask queue. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

/** Answers each request by the script. */
function playedSocket(
  events: SocketEvents,
  { calls, script }: { calls: Call[]; script: Script },
): TextSocket {
  return {
    send(text: string) {
      const call = JSON.parse(text) as Call;
      calls.push(call);
      const answer = script[call.method];
      const error = { code: -32_600, message: answer };
      const reply = typeof answer === "string" ? { id: call.id, error } : { id: call.id, result: answer };
      if (answer !== undefined && call.id !== undefined)
        queueMicrotask(() => events.onText(JSON.stringify(reply)));
    },
    close() {},
  };
}
