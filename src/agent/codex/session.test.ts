/** A session of Codex against an app-server that is played: what is given, when, and that nothing is given twice. */
import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../../base/clock.ts";
import type { SocketEvents } from "../../base/http/web-socket.ts";
import { silentLog } from "../../base/log.ts";
import { seededRandom } from "../../base/random.ts";
import { limits } from "../../limits.ts";
import type { LaunchMode, LaunchRequest } from "../launch.ts";
import type { SavedConversation } from "../session.ts";
import type { SessionEvent } from "../session-event.ts";
import { openCodexSession } from "./session.ts";

type Call = { method: string; id?: number; params: Record<string, unknown> };
/** What the played server answers; a text is a refusal, undefined no answer at all. */
type Script = Record<string, unknown>;

const usual: Script = {
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

function requestFor(mode: LaunchMode): Omit<LaunchRequest, "conversation"> {
  return {
    session: {
      mcpUrl: "http://127.0.0.1:1/mcp",
      sessionToken: { name: "AGENT_RELAY_SESSION_TOKEN", value: "s" },
      agentName: "ada",
      relayUrl: "http://127.0.0.1:2",
      approval: "provider",
      token: { jti: "", profile: "", expiresAt: "" },
      workspaceMode: "shared",
    },
    features: { mcp: true, skills: true, statusLine: true, hooks: true },
    settings: {},
    mode,
    instructions: "",
    aids: { plugins: "/plugins/codex" },
    args: [],
    cwd: "/work",
    environment: {},
    find: (program) => `/opt/${program}`,
    toolCallMs: 300_000,
    mcpStartMs: 20_000,
  };
}

function world(options: { script?: Script; mode?: LaunchMode; saved?: SavedConversation } = {}) {
  const script: Script = { ...usual, ...options.script };
  const clock = new VirtualClock(0);
  const calls: Call[] = [];
  const events: SessionEvent[] = [];
  const sockets: { url: string; token: string; events: SocketEvents }[] = [];
  const servers: { command: readonly string[]; stopped: boolean }[] = [];
  const socketOf = (events: SocketEvents) => ({
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
  });
  const request = requestFor(options.mode ?? "headless");
  const session = openCodexSession(
    {
      mode: request.mode,
      request: (conversation) => ({ ...request, conversation }),
      saved: options.saved,
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
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

const one = { id: "m1", text: "hello" };
const two = { id: "m2", text: "again" };

describe("headless", () => {
  test("connects with the token, whose hash alone is in the command, and begins a conversation", async () => {
    const at = world();
    const plan = await at.start();
    const token = at.sockets[0]?.token ?? "";
    expect(Buffer.from(token, "base64url").length).toBe(32);
    expect(JSON.stringify(plan)).not.toContain(token);
    const told = at.events.map(({ type }) => type).filter((type) => type !== "alive");
    expect(told).toEqual(["started", "conversation", "ready"]);
    expect(at.session.status.state).toBe("idle");
    expect(at.calls.map(({ method }) => method)).toEqual([
      ...["initialize", "initialized", "skills/extraRoots/set", "thread/start"],
    ]);
    expect(at.calls[2]?.params).toEqual({ extraRoots: ["/plugins/codex/skills"] });
  });

  test("it is ready once our tools are there, and at the latest after the bound", async () => {
    const at = world();
    await at.start({ tools: false });
    expect(at.session.status.state).toBe("starting");
    at.tell("mcpServer/startupStatus/updated", { name: "agent-relay", status: "starting" });
    await settled();
    expect(at.session.status.state).toBe("starting");
    at.clock.advance(limits.codexToolsMs);
    await settled();
    expect(at.session.status.state).toBe("idle");
  });

  test("before there is a conversation a text is refused, and not for good", async () => {
    const at = world();
    expect(await at.session.inject(one, { urgent: false })).toEqual({
      status: "refused",
      reason: "Codex has no conversation yet",
      final: false,
    });
  });

  test("P8: idle: a text begins a turn, and counts once it stands in the conversation", async () => {
    const at = world();
    await at.start();
    const outcome = at.session.inject(one, { urgent: false });
    await settled();
    expect(at.calls.at(-1)).toMatchObject({
      method: "turn/start",
      params: { threadId: "t", clientUserMessageId: "m1", input: [{ type: "text", text: "hello" }] },
    });
    at.began();
    at.taken("m1");
    expect(await outcome).toEqual({ status: "injected" });
  });

  test("P8: busy and urgent: it joins the running turn", async () => {
    const at = world();
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer"]);
    at.taken("m1");
    expect(await outcome).toEqual({ status: "injected" });
  });

  test("the turn ended just now: the text begins one", async () => {
    const at = world({ script: { "turn/steer": "no active turn to steer" } });
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer", "turn/start"]);
    at.taken("m1");
    expect(await outcome).toEqual({ status: "injected" });
  });

  test("busy and not urgent: after the turn", async () => {
    const at = world();
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: false });
    await settled();
    expect(at.given()).toEqual([]);
    at.ended();
    await settled();
    expect(at.given()).toEqual(["turn/start"]);
    at.taken("m1");
    expect(await outcome).toEqual({ status: "injected" });
  });

  test("not taken up in time: unknown; the same id is not given again, and taken is still told", async () => {
    const at = world();
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: true });
    await settled();
    at.clock.advance(limits.injectMs);
    expect(await outcome).toMatchObject({ status: "unknown" });
    const again = at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer"]);
    at.taken("m1");
    expect(await again).toEqual({ status: "injected" });
    expect(await at.session.inject(one, { urgent: true })).toEqual({ status: "injected" });
    expect(at.given()).toEqual(["turn/steer"]);
    expect(at.events).toContainEqual({ type: "taken", injection: "m1" });
  });

  test("an interrupted turn forgets what it had accepted: told, and given again", async () => {
    const at = world();
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: true });
    await settled();
    expect(await at.session.interrupt()).toBe(true);
    at.ended("interrupted");
    expect(at.events.at(-1)).toEqual({ type: "dropped", injection: "m1" });
    expect(await outcome).toMatchObject({ status: "unknown" });
    void at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer", "turn/start"]);
  });

  test("a text that began a turn of its own is not forgotten with the one before", async () => {
    const at = world({
      script: { "turn/steer": "no active turn to steer", "turn/start": { turn: { id: "v" } } },
    });
    await at.start();
    at.began();
    void at.session.inject(one, { urgent: true });
    await settled();
    at.ended("completed", "u");
    expect(at.events.at(-1)).toMatchObject({ type: "turn-ended" });
    void at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer", "turn/start"]);
  });

  test("refused by Codex: not for good, and given anew when asked", async () => {
    const at = world({ script: { "turn/start": "thread not found" } });
    await at.start();
    const refused = { status: "refused" as const, reason: "thread not found", final: false };
    expect(await at.session.inject(one, { urgent: false })).toEqual(refused);
    expect(await at.session.inject(one, { urgent: false })).toEqual(refused);
    expect(at.given()).toEqual(["turn/start", "turn/start"]);
  });

  test("P2: a conversation that goes on after a crash: what it holds is not given again", async () => {
    const userMessage = { type: "userMessage", clientId: "m1" };
    const script = {
      "thread/items/list": { data: [{ turnId: "u", item: userMessage }] },
      "thread/turns/list": { data: [{ id: "u", status: "completed" }] },
    };
    const at = world({ script, saved: { id: "t" } });
    await at.start();
    expect(at.calls.map(({ method }) => method)).not.toContain("thread/start");
    expect(await at.session.inject(one, { urgent: false })).toEqual({ status: "injected" });
    expect(at.given()).toEqual([]);
    expect(await at.session.lookFor(["m1", "m2"])).toEqual(new Map([["m1", "done"]]));
  });

  test("a conversation that is gone: a new one is begun, and said", async () => {
    const at = world({ script: { "thread/resume": "no rollout found" }, saved: { id: "old" } });
    await at.start();
    expect(at.events).toContainEqual({
      type: "trouble",
      what: "the conversation old does not go on: no rollout found",
    });
    expect(at.session.status.state).toBe("idle");
    expect(at.calls.at(-1)?.method).toBe("thread/start");
  });

  test("a lost connection is opened again, and the conversation goes on", async () => {
    const at = world();
    await at.start();
    at.sockets[0]?.events.onClose("it broke");
    expect(await at.session.inject(two, { urgent: false })).toMatchObject({
      status: "refused",
      final: false,
    });
    at.clock.advance(limits.codexReconnectMs);
    await settled();
    at.tell("mcpServer/startupStatus/updated", { name: "agent-relay", status: "ready" });
    await settled();
    expect(at.sockets.length).toBe(2);
    expect(at.calls.filter(({ method }) => method === "thread/resume")).toHaveLength(1);
    expect(at.session.status.state).toBe("idle");
  });

  test("nobody is there to allow anything: it is declined, so that the turn goes on", async () => {
    const at = world();
    await at.start();
    const ask = { method: "item/commandExecution/requestApproval", id: 9, params: {} };
    at.sockets[0]?.events.onText(JSON.stringify(ask));
    expect(at.calls.at(-1)).toEqual({ id: 9, result: { decision: "decline" } } as unknown as Call);
  });
});

describe("at a terminal", () => {
  const thread = (id: string) => ({ thread: { id, ephemeral: false, parentThreadId: null } });

  test("the app-server runs beside it, and the person's conversation is joined", async () => {
    const at = world({ mode: "terminal" });
    const plan = await at.start();
    expect(plan).toMatchObject({
      status: "ready",
      command: [
        "/opt/codex",
        "--remote",
        "ws://127.0.0.1:4321",
        "--remote-auth-token-env",
        expect.any(String),
      ],
    });
    expect(at.session.status.state).toBe("starting");
    at.tell("thread/started", thread("t"));
    await settled();
    expect(at.calls.map(({ method }) => method)).not.toContain("thread/start");
    expect(at.session.status.state).toBe("idle");
  });

  const active = { status: { type: "active", activeFlags: [] } };
  const item = { type: "userMessage", clientId: "m1" };

  test("a turn that ran before it could be joined is known, with what stands in it", async () => {
    const script: Script = {
      "thread/resume": "no rollout found",
      "thread/turns/list": { data: [{ id: "u", status: "inProgress", items: [item] }] },
    };
    const at = world({ mode: "terminal", script });
    await at.start();
    at.tell("thread/started", thread("t"));
    const outcome = at.session.inject(one, { urgent: false });
    await settled();
    expect(at.given()).toEqual(["turn/start"]);
    at.tell("thread/status/changed", active);
    await settled();
    expect(at.session.status.state).toBe("idle");
    at.script["thread/resume"] = usual["thread/resume"];
    at.clock.advance(limits.codexJoinMs);
    await settled();
    expect(at.session.status.state).toBe("busy");
    expect(await outcome).toEqual({ status: "injected" });
    at.ended();
    expect(at.events.at(-1)).toMatchObject({ type: "turn-ended", turn: { injections: ["m1"] } });
  });

  test("a turn that was over before it could be joined is told as a whole, once", async () => {
    const script = { "thread/turns/list": { data: [{ id: "u", status: "completed", items: [item] }] } };
    const at = world({ mode: "terminal", script });
    await at.start();
    at.tell("thread/started", thread("t"));
    void at.session.inject(one, { urgent: false });
    await settled();
    at.tell("thread/status/changed", active);
    await settled();
    at.tell("thread/status/changed", active);
    await settled();
    expect(at.session.status.figures.turns).toBe(1);
    expect(at.session.status.lastTurn).toMatchObject({ how: "completed", injections: ["m1"] });
    expect(at.calls.filter(({ method }) => method === "thread/resume")).toHaveLength(1);
  });

  test("another conversation of the person is the one that is spoken in from then on", async () => {
    const at = world({ mode: "terminal" });
    await at.start();
    at.tell("thread/started", thread("t"));
    at.tell("thread/started", thread("second"));
    void at.session.inject(one, { urgent: false });
    await settled();
    expect(at.calls.at(-1)).toMatchObject({ method: "turn/start", params: { threadId: "second" } });
  });

  test("what Codex asks is left to the person", async () => {
    const at = world({ mode: "terminal" });
    await at.start();
    const before = at.calls.length;
    at.sockets[0]?.events.onText(
      JSON.stringify({ method: "item/fileChange/requestApproval", id: 9, params: {} }),
    );
    expect(at.calls.length).toBe(before);
  });

  test("a conversation that goes on is loaded before the terminal starts", async () => {
    const at = world({ mode: "terminal", saved: { id: "t" } });
    const plan = await at.start();
    expect(plan).toMatchObject({
      command: [
        "/opt/codex",
        "resume",
        "t",
        "--remote",
        expect.any(String),
        "--remote-auth-token-env",
        expect.any(String),
      ],
    });
    expect(at.session.status.state).toBe("idle");
  });

  test("closing ends the app-server", async () => {
    const at = world({ mode: "terminal" });
    await at.start();
    await at.session.close();
    expect(at.servers.map(({ stopped }) => stopped)).toEqual([true]);
  });
});
