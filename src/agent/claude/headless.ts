/**
 * A session of Claude Code without a person: one process, input and output as JSON lines (`-p --input-format
 * stream-json`, measured with 2.1.330). A text carries its id as `uuid`; the program says when it has queued it, when
 * the model gets it, and which texts a finished turn had.
 */
import type { LaunchPlan, LaunchRequest } from "../launch.ts";
import type { Injection, Session, SessionChild, SessionOptions } from "../session.ts";
import { createCore, type SessionCore } from "../session-core.ts";
import type { Turn } from "../session-event.ts";
import { type ConversationKeeper, keepConversation } from "./conversation.ts";
import { type Pending, pendingInjections } from "./pending.ts";
import { asRecord, asText, blocksOf, parseRecord } from "./transcript.ts";

type Parts = {
  core: SessionCore;
  conversation: ConversationKeeper;
  pending: Pending;
  /** Tools that run, by the id of their call. */
  tools: Map<string, string>;
  /** The model's last text in this turn. */
  text: string;
  ready: boolean;
  /** Ends the asking whether it is ready. */
  stopAsking(): void;
};
type Line = Readonly<Record<string, unknown>>;

const readyRequest = "agent-relay-ready";
const interruptRequest = "agent-relay-interrupt";

/** Opens a session; nothing runs before `prepare`. */
export function openHeadlessSession(
  options: SessionOptions,
  launch: (request: LaunchRequest) => LaunchPlan,
): Session {
  const { clock, limits, log } = options;
  const parts: Parts = {
    core: createCore(options),
    conversation: keepConversation(options),
    pending: pendingInjections(clock, limits.injectMs),
    tools: new Map(),
    text: "",
    ready: false,
    stopAsking() {},
  };
  const { core, conversation, pending } = parts;
  let child: SessionChild | undefined;
  const write = (line: object) => child?.write(`${JSON.stringify(line)}\n`) === true;
  const control = (id: string, request: object) =>
    write({ type: "control_request", request_id: id, request });

  return {
    get status() {
      return core.status;
    },
    canInject: true,
    async prepare() {
      const chosen = conversation.next(options.request(undefined));
      return launch(options.request(chosen));
    },
    started(running) {
      child = running;
      core.emit({ type: "started" });
      // From now on it may have a turn that a crash would cut.
      if (conversation.known !== undefined) core.emit({ type: "conversation", ...conversation.known });
      askReady(parts, options, () => control(readyRequest, { subtype: "initialize" }));
    },
    output(text, stream) {
      if (stream === "stderr") {
        onErrorLine(text, parts, log);
        return;
      }
      const line = parseRecord(text);
      if (line !== undefined) onLine(line, parts);
    },
    exited() {
      child = undefined;
      parts.ready = false;
      parts.stopAsking();
      parts.tools.clear();
      pending.clear("the program has ended");
      core.emit({ type: "exited" });
    },
    hook: () => undefined,
    inject(injection, { urgent }) {
      if (child === undefined || !parts.ready)
        return Promise.resolve({ status: "refused", reason: "the program does not run", final: false });
      const answer = pending.wait(injection);
      if (!write(userLine(injection, urgent))) pending.refused(injection.id, "the program's input is closed");
      return answer;
    },
    lookFor: (ids) => Promise.resolve(conversation.lookFor(ids)),
    interrupt: () => Promise.resolve(control(interruptRequest, { subtype: "interrupt" })),
    close() {
      child?.closeInput();
      return Promise.resolve();
    },
  };
}

/**
 * The program answers once it reads its input, and each time that it is asked (measured with 2.1.330). It is asked again
 * because nothing else would make up for a question that was lost.
 */
function askReady(parts: Parts, { clock, limits }: SessionOptions, ask: () => void): void {
  const until = clock.monotonic() + limits.claudeReadyMs;
  const again = () => {
    ask();
    const next = clock.monotonic() + limits.claudeReadyRetryMs < until ? again : giveUp;
    parts.stopAsking = clock.after(limits.claudeReadyRetryMs, next);
  };
  const giveUp = () => parts.core.emit({ type: "trouble", what: "it does not say that it reads its input" });
  again();
}

/** `next` is folded in after the running tool's result, `later` becomes a turn of its own. */
function userLine({ id, text }: Injection, urgent: boolean): object {
  const priority = urgent ? "next" : "later";
  return { type: "user", message: { role: "user", content: text }, uuid: id, priority };
}

function onErrorLine(text: string, { conversation, core }: Parts, log: SessionOptions["log"]): void {
  log.debug("Claude Code wrote to its standard error", { line: text.slice(0, 500) });
  if (!/No conversation found/i.test(text)) return;
  conversation.forget();
  core.emit({ type: "forgotten" });
  core.emit({ type: "trouble", what: "the conversation that was to go on is not known any more" });
}

function onLine(line: Line, parts: Parts): void {
  const { core } = parts;
  switch (line.type) {
    case "control_response":
      if (asRecord(line.response)?.request_id !== readyRequest || parts.ready) return;
      parts.ready = true;
      parts.stopAsking();
      core.emit({ type: "ready" });
      return;
    case "system":
      onSystemLine(line, parts);
      return;
    case "command_lifecycle":
      onLifecycle(line, parts);
      return;
    case "assistant":
      onAssistant(line, parts);
      return;
    case "user":
      onToolResults(line, parts);
      return;
    case "result":
      onResult(line, parts);
      return;
    case "control_request":
      // Asked for an approval although nobody is there: the program's own settings decide.
      core.emit({ type: "approval-wanted", what: asText(asRecord(line.request)?.tool_name) ?? "" });
      return;
    default:
      core.emit({ type: "alive" });
  }
}

function onSystemLine(line: Line, { core, conversation }: Parts): void {
  if (line.subtype !== "init") {
    core.emit({ type: "alive" });
    return;
  }
  const id = asText(line.session_id);
  if (id !== undefined) {
    conversation.learned(id, undefined);
    core.emit({ type: "conversation", id, transcript: conversation.transcript });
  }
  core.emit({ type: "turn-began" });
}

/** What became of a text: queued, started (the model gets it), completed, cancelled. */
function onLifecycle(line: Line, { core, pending }: Parts): void {
  const id = asText(line.command_uuid) ?? "";
  if (line.state === "started") {
    core.emit({ type: "turn-began" });
    pending.taken(id);
    core.emit({ type: "taken", injection: id });
    return;
  }
  if (line.state !== "cancelled") {
    core.emit({ type: "alive" });
    return;
  }
  if (!pending.refused(id, "it was taken out of the queue")) core.emit({ type: "dropped", injection: id });
}

function onAssistant(line: Line, parts: Parts): void {
  const own = line.parent_tool_use_id === null || line.parent_tool_use_id === undefined;
  for (const block of blocksOf(line.message)) {
    if (block.type === "text" && own) parts.text = asText(block.text) ?? "";
    if (block.type !== "tool_use") continue;
    const name = asText(block.name) ?? "";
    parts.tools.set(asText(block.id) ?? "", name);
    parts.core.emit({ type: "tool-began", name });
  }
  parts.core.emit({ type: "alive" });
}

function onToolResults(line: Line, parts: Parts): void {
  for (const block of blocksOf(line.message)) {
    if (block.type !== "tool_result") continue;
    const id = asText(block.tool_use_id) ?? "";
    const name = parts.tools.get(id) ?? "";
    parts.tools.delete(id);
    parts.core.emit({ type: "tool-ended", name, failed: block.is_error === true });
  }
}

function onResult(line: Line, parts: Parts): void {
  const failed = line.is_error === true || line.subtype !== "success";
  const interrupted = asText(line.terminal_reason)?.startsWith("aborted") === true;
  const uuids = Array.isArray(line.user_message_uuids)
    ? line.user_message_uuids.flatMap((id) => asText(id) ?? [])
    : undefined;
  const turn: Turn = {
    text: asText(line.result) ?? parts.text,
    how: interrupted ? "interrupted" : failed ? "failed" : "completed",
    reason: failed ? (asText(line.terminal_reason) ?? asText(line.subtype)) : undefined,
    injections: uuids,
  };
  parts.text = "";
  parts.tools.clear();
  parts.core.emit({ type: "turn-ended", turn });
}
