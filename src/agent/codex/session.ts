/**
 * A session of Codex: one conversation (thread) in an app-server that belongs to this runner. Headless, the app-server is
 * the program itself; at a terminal it runs beside the person's Codex, which is attached to it, and both see the same
 * conversation. Texts go in as turns, or join the running one.
 */
import { sleep } from "../../base/clock.ts";
import type { LaunchPlan } from "../launch.ts";
import type { Injection, InjectOutcome, Session, SessionChild, SessionOptions } from "../session.ts";
import { createCore, type SessionCore } from "../session-core.ts";
import type { SessionStatus } from "../status.ts";
import { type Answer, type Connection, connectAppServer, type Members, members, text } from "./connection.ts";
import { createGiven, type Given } from "./given.ts";
import { type History, injectionsIn, lookFor, newestTurn } from "./history.ts";
import { withTheirInstructions } from "./instructions.ts";
import { serverPlan, terminalPlan } from "./launch.ts";
import { offerSkills, turnIn, unattendedAnswer } from "./requests.ts";
import { type CodexOutside, listeningAddress, type ServerProcess, startListening } from "./server-process.ts";
import {
  isActive,
  noThread,
  startedThread,
  type ThreadFacts,
  type ThreadState,
  threadFacts,
  threadStep,
  toolsSettled,
} from "./thread.ts";

/** A session, with nothing started yet. */
export function openCodexSession(options: SessionOptions, outside: CodexOutside): Session {
  return new CodexSession(options, outside);
}

type Remote = { url: string; token: string };

class CodexSession implements Session {
  readonly canInject = true;
  readonly #options: SessionOptions;
  readonly #outside: CodexOutside;
  readonly #core: SessionCore;
  readonly #given: Given;
  #thread: ThreadState = noThread;
  #resume: string | undefined;
  #remote: Remote = { url: "", token: "" };
  #link: Connection | undefined;
  #server: ServerProcess | undefined;
  /** Counts starts: what belongs to an earlier one is not heard any more. */
  #start = 0;
  #closing = false;
  /** What happens in the conversation is told to this client. */
  #joined = false;
  #endedTurn: string | undefined;
  /** Our MCP server is connected, or has failed. */
  #tools = Promise.withResolvers<void>();
  /** Wait for the end of the running turn. */
  #later: Injection[] = [];

  constructor(options: SessionOptions, outside: CodexOutside) {
    this.#options = options;
    this.#outside = outside;
    this.#core = createCore(options);
    this.#given = createGiven(options.clock, options.limits.codexGivenMax);
    this.#resume = options.saved?.id;
  }

  get status(): SessionStatus {
    return this.#core.status;
  }

  async prepare(): Promise<LaunchPlan> {
    await this.#detach();
    this.#start += 1;
    const token = Buffer.from(this.#options.random.bytes(32)).toString("base64url");
    this.#remote = { url: "", token };
    const request = await withTheirInstructions(this.#request(), this.#options, this.#outside);
    const plan = serverPlan(request, this.#outside.hash(token));
    if (request.mode === "headless" || plan.status === "refused") return plan;
    try {
      await this.#startBeside(plan);
      return terminalPlan(request, { ...this.#remote, resume: this.#thread.id });
    } catch (error) {
      await this.#detach();
      return { status: "refused", reason: error instanceof Error ? error.message : String(error) };
    }
  }

  started(_child: SessionChild): void {
    this.#core.emit({ type: "started" });
    if (this.#thread.id !== undefined) this.#core.emit({ type: "ready" });
  }

  output(line: string): void {
    const url = listeningAddress(line);
    if (url === undefined) return;
    this.#remote = { ...this.#remote, url };
    void this.#attach();
  }

  exited(): void {
    this.#start += 1;
    this.#drop();
    this.#core.emit({ type: "exited" });
  }

  hook(): undefined {
    return undefined;
  }

  async inject(injection: Injection, { urgent }: { urgent: boolean }): Promise<InjectOutcome> {
    const { id } = injection;
    if (this.#given.has(id)) return { status: "injected" };
    const endAt = this.#options.clock.monotonic() + this.#options.limits.injectMs;
    if (!this.#given.awaits(id)) {
      const refused = await this.#give(injection, urgent);
      if (refused !== undefined) return { status: "refused", reason: refused, final: false };
    }
    const left = Math.max(0, endAt - this.#options.clock.monotonic());
    if (await this.#given.wait(id, left)) return { status: "injected" };
    return { status: "unknown", reason: "Codex has not taken it up yet" };
  }

  async lookFor(injections: readonly string[]): Promise<ReadonlyMap<string, "taken" | "done">> {
    const { id: threadId } = this.#thread;
    if (this.#link === undefined || threadId === undefined) return new Map();
    return lookFor(this.#historyOf(this.#link, threadId), injections);
  }

  async interrupt(): Promise<boolean> {
    const { id: threadId, turn: turnId } = this.#thread;
    if (threadId === undefined || turnId === undefined) return false;
    const answer = await this.#link?.request("turn/interrupt", { threadId, turnId });
    return answer?.status === "done";
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#start += 1;
    await this.#detach();
  }

  #request() {
    const id = this.#resume;
    return this.#options.request(id === undefined ? undefined : { id, resume: true });
  }

  /** Starts the app-server beside a terminal and connects to it; the conversation that goes on is loaded first. */
  async #startBeside(plan: Extract<LaunchPlan, { status: "ready" }>): Promise<void> {
    const { clock, limits, log } = this.#options;
    const start = this.#start;
    const { server, url } = startListening(this.#outside.startServer, {
      plan,
      cwd: this.#request().cwd,
      clock,
      ...{ startMs: limits.codexStartMs, stopMs: limits.childStopMs },
      onExit: (why) => {
        if (start !== this.#start) return;
        log.warn("Codex's app-server has ended", { why });
        this.#core.emit({ type: "trouble", what: `Codex's app-server: ${why}` });
      },
    });
    this.#server = server;
    this.#remote = { ...this.#remote, url: await url };
    await this.#attach();
    if (this.#link === undefined) throw new Error("Start Codex's app-server: it cannot be connected to");
  }

  /** Connects, and takes up the conversation. Tried again while the program runs. */
  async #attach(): Promise<void> {
    const start = this.#start;
    const { clock, limits, log } = this.#options;
    this.#tools = Promise.withResolvers<void>();
    try {
      const link = await this.#connect(start);
      if (start !== this.#start) return link.close();
      this.#link = link;
      await offerSkills(link, this.#request(), log);
      await this.#takeUp(link);
    } catch (error) {
      if (start !== this.#start) return;
      log.warn("Codex's app-server is not connected", { error });
      this.#core.emit({ type: "trouble", what: error instanceof Error ? error.message : String(error) });
      clock.after(limits.codexReconnectMs, () => {
        if (start === this.#start && !this.#closing && this.#link === undefined) void this.#attach();
      });
    }
  }

  #connect(start: number): Promise<Connection> {
    const { clock, limits, mode } = this.#options;
    return connectAppServer({
      open: this.#outside.openSocket,
      ...this.#remote,
      clock,
      requestMs: limits.injectMs,
      version: "1",
      events: {
        onNotification: (method, params) => {
          if (start === this.#start) this.#hear(method, params);
        },
        onRequest: (method) => {
          // At a terminal the person is asked by their own Codex.
          if (mode === "terminal") return undefined;
          this.#core.emit({ type: "trouble", what: `nobody is here to allow ${method}` });
          return unattendedAnswer(method);
        },
        onClose: (why) => {
          if (start !== this.#start) return;
          this.#drop();
          this.#core.emit({ type: "trouble", what: `Codex's app-server: ${why}` });
          clock.after(limits.codexReconnectMs, () => {
            if (start === this.#start && !this.#closing) void this.#attach();
          });
        },
      },
    });
  }

  /** The conversation that goes on, or a new one; at a terminal the person's Codex begins it. */
  async #takeUp(link: Connection): Promise<void> {
    if (this.#resume !== undefined && (await this.#follow(link, { id: this.#resume, transcript: undefined })))
      return;
    if (this.#options.mode === "terminal") return;
    const { cwd } = this.#request();
    const answer = await link.request("thread/start", { cwd });
    const facts = answer.status === "done" ? threadFacts(members(members(answer.result).thread)) : undefined;
    if (facts === undefined) throw new Error(`Begin a conversation of Codex: ${why(answer)}`);
    this.#adopt(facts);
    this.#joined = true;
    await this.#ready(link);
  }

  /** Joins a conversation of this app-server, or loads it; false when there is none of that id. */
  async #follow(link: Connection, { id, transcript }: ThreadFacts): Promise<boolean> {
    const answer = await link.request("thread/resume", { threadId: id, excludeTurns: true });
    if (answer.status !== "done") {
      this.#core.emit({ type: "trouble", what: `the conversation ${id} does not go on: ${why(answer)}` });
      return false;
    }
    const thread = members(members(answer.result).thread);
    // What was given before a crash is not given again.
    for (const entry of await injectionsIn(this.#historyOf(link, id))) this.#given.taken(entry.injection);
    this.#adopt({ id, transcript: text(thread.path) ?? transcript });
    this.#joined = true;
    await this.#ready(link);
    if (members(thread.status).type === "active") await this.#catchUp(link, id);
    return true;
  }

  /** Takes texts from now on: once our tools are there, because Codex begins its first turn without those that are late. */
  async #ready(link: Connection): Promise<void> {
    const { clock, limits, mode } = this.#options;
    // A person at a terminal does not wait for them.
    if (mode === "headless" && this.#request().features.mcp)
      await Promise.race([this.#tools.promise, sleep(clock, limits.agentToolsMs)]);
    if (this.#link === link) this.#core.emit({ type: "ready" });
  }

  /**
   * Joins the conversation that the person has begun. Codex knows it to others only from its first turn on, and says
   * that a turn has begun a moment before it can be joined.
   */
  async #join(link: Connection, threadId: string): Promise<void> {
    const { clock, limits } = this.#options;
    for (let attempt = 0; attempt < limits.codexJoinAttempts; attempt += 1) {
      const answer = await link.request("thread/resume", { threadId, excludeTurns: true });
      if (this.#joined || this.#link !== link || this.#thread.id !== threadId) return;
      if (answer.status === "done") {
        this.#joined = true;
        return this.#catchUp(link, threadId);
      }
      await sleep(clock, limits.codexJoinMs);
    }
    this.#core.emit({ type: "trouble", what: `the conversation ${threadId} cannot be joined` });
  }

  /** What has happened in the newest turn before this client was told of anything. */
  async #catchUp(link: Connection, threadId: string): Promise<void> {
    for (const [method, params] of await newestTurn(this.#historyOf(link, threadId)))
      if (members(params.turn).id !== this.#endedTurn || params.turn === undefined)
        this.#hear(method, params);
  }

  #historyOf(link: Connection, threadId: string): History {
    return { link, threadId, items: this.#options.limits.codexHistoryItems };
  }

  #adopt({ id, transcript }: ThreadFacts): void {
    this.#thread = { ...noThread, id };
    this.#resume = id;
    this.#core.emit({ type: "conversation", id, transcript });
  }

  #hear(method: string, params: Members): void {
    if (toolsSettled(method, params)) this.#tools.resolve();
    const begun = this.#options.mode === "terminal" ? startedThread(method, params) : undefined;
    if (begun !== undefined && begun.id !== this.#thread.id && this.#link !== undefined) {
      // The person began a conversation, their first or another one: it is the one that is spoken in from now on.
      this.#joined = false;
      this.#adopt(begun);
      this.#core.emit({ type: "ready" });
      return;
    }
    if (!this.#joined && this.#link !== undefined && isActive(method, params, this.#thread.id))
      void this.#join(this.#link, text(params.threadId) ?? "");
    const { state, events } = threadStep(this.#thread, method, params);
    this.#thread = state;
    for (const event of events) {
      if (event.type === "taken") this.#given.taken(event.injection);
      this.#core.emit(event);
    }
    if (method === "turn/completed" && params.threadId === state.id) this.#turnEnded(params);
  }

  #turnEnded({ turn }: Members): void {
    this.#endedTurn = text(members(turn).id);
    for (const injection of this.#given.turnEnded(this.#endedTurn))
      this.#core.emit({ type: "dropped", injection });
    this.#giveLater();
  }

  /** Gives a text to Codex; why it was not accepted, undefined when it was or may have been. */
  async #give(injection: Injection, urgent: boolean): Promise<string | undefined> {
    const { id: threadId, turn } = this.#thread;
    if (this.#link === undefined || threadId === undefined) return "Codex has no conversation yet";
    this.#given.begin(injection.id);
    if (turn !== undefined && !urgent) {
      this.#later.push(injection);
      return undefined;
    }
    const answer = await this.#send(this.#link, threadId, injection);
    return answer.status === "refused" ? answer.message : undefined;
  }

  /** The text joins the running turn, or begins one. */
  async #send(link: Connection, threadId: string, { id, text: words }: Injection): Promise<Answer> {
    const input = [{ type: "text", text: words, text_elements: [] }];
    const given = { threadId, clientUserMessageId: id, input };
    const { turn } = this.#thread;
    const steered =
      turn === undefined ? undefined : await link.request("turn/steer", { ...given, expectedTurnId: turn });
    // Refused: the turn has just ended. Then the text begins one.
    const answer =
      steered === undefined || steered.status === "refused"
        ? await link.request("turn/start", given)
        : steered;
    if (answer.status === "refused") this.#given.forget(id);
    if (answer.status === "done") this.#given.accepted(id, turnIn(members(answer.result)));
    return answer;
  }

  #giveLater(): void {
    const [next, ...rest] = this.#later;
    const { id: threadId } = this.#thread;
    if (next === undefined || this.#link === undefined || threadId === undefined) return;
    this.#later = rest;
    void this.#send(this.#link, threadId, next);
  }

  /** Forgets the connection and what was accepted over it and not taken up. */
  #drop(): void {
    this.#link = undefined;
    this.#thread = noThread;
    this.#later = [];
    this.#given.clear();
  }

  /** Ends the connection and the app-server beside a terminal. */
  async #detach(): Promise<void> {
    const [link, server] = [this.#link, this.#server];
    this.#start += 1;
    this.#server = undefined;
    this.#drop();
    link?.close();
    await server?.stop();
  }
}

function why(answer: Answer): string {
  return answer.status === "done" ? "the answer names no conversation" : answer.message;
}
