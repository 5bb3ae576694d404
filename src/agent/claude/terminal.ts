/**
 * A session of Claude Code at a person's terminal. What it does is told by its hooks and, where they are silent (a
 * person's Escape, tools), by its transcript. Texts go to the session's own inbox socket; the hook for a submitted
 * prompt confirms each one. Where there is no such socket, they wait for the end of the turn (hook feedback).
 */
import { writeToSocket } from "../../base/unix-socket.ts";
import type { LaunchPlan, LaunchRequest } from "../launch.ts";
import type { HookReply, HookReport, Injection, InjectOutcome, Session, SessionOptions } from "../session.ts";
import { createCore, type SessionCore } from "../session-core.ts";
import { isInTurn } from "../status.ts";
import { type ConversationKeeper, keepConversation } from "./conversation.ts";
import { type Pending, pendingInjections } from "./pending.ts";
import { asText, type TranscriptEntry } from "./transcript.ts";
import { type Watch, watchTranscript } from "./watch.ts";

type Inbox = { path: string; token: string | undefined };
type Parts = {
  options: SessionOptions;
  core: SessionCore;
  conversation: ConversationKeeper;
  pending: Pending;
  /** The session's own inbox; known from its first hook. */
  inbox: Inbox | undefined;
  tools: Map<string, string>;
  text: string;
  watch: Watch | undefined;
  /** The text that the last hook gave as its answer, until the transcript shows it. */
  feedback: string | undefined;
  /** Tells the end of a turn that was put off. */
  endTurn: (() => void) | undefined;
  start: Start;
};

/** What is known of a start: a first text that comes before our tools are there would begin a turn without them. */
type Start = {
  /** Texts of ours wait for the tools. */
  waits: boolean;
  listed: boolean;
  /** The first hook was heard. */
  begun: boolean;
  cancel: () => void;
};
const newStart = (waits: boolean): Start => ({ waits, listed: false, begun: false, cancel() {} });

/** Opens a session; nothing runs before `prepare`. */
export function openTerminalSession(
  options: SessionOptions,
  launch: (request: LaunchRequest) => LaunchPlan,
): Session {
  const parts: Parts = {
    options,
    core: createCore(options),
    conversation: keepConversation(options),
    pending: pendingInjections(options.clock, options.limits.injectMs),
    inbox: undefined,
    tools: new Map(),
    text: "",
    watch: undefined,
    feedback: undefined,
    endTurn: undefined,
    start: newStart(false),
  };
  const { core, conversation, pending } = parts;
  // Without our hooks nothing is known of the session: neither what it does nor where its inbox is.
  let reports = true;
  return {
    get status() {
      return core.status;
    },
    get canInject() {
      return reports;
    },
    async prepare() {
      const { features, aids } = options.request(undefined);
      reports = features.hooks && aids.program !== undefined && aids.folder !== undefined;
      parts.start = newStart(features.mcp && options.ownEndpoint);
      const chosen = conversation.next(options.request(undefined));
      return launch(options.request(chosen));
    },
    started: () => core.emit({ type: "started" }),
    output() {},
    toolsListed() {
      if (parts.start.listed) return;
      parts.start.listed = true;
      takeTextsSoon(parts);
    },
    exited() {
      forget(parts);
      pending.clear("the program has ended");
      core.emit({ type: "exited" });
    },
    hook: (report) => onHook(report, parts),
    inject: (injection) => inject(injection, parts),
    lookFor: (ids) => Promise.resolve(conversation.lookFor(ids)),
    // Only the person at the terminal can stop a turn there.
    interrupt: () => Promise.resolve(false),
    close() {
      forget(parts);
      return Promise.resolve();
    },
  };
}

function forget(parts: Parts): void {
  parts.watch?.close();
  parts.watch = undefined;
  parts.inbox = undefined;
  parts.feedback = undefined;
  parts.endTurn = undefined;
  parts.start.cancel();
  parts.tools.clear();
}

/** The first hook: texts are taken once our tools are there, or a time is over. */
function begin(parts: Parts): void {
  const { start, core, options } = parts;
  const first = !start.begun;
  start.begun = true;
  if (!first || !start.waits) {
    core.emit({ type: "ready" });
    return;
  }
  start.cancel = options.clock.after(options.limits.agentToolsMs, () => {
    options.log.warn("Claude Code has not asked for our tools: it gets what waits all the same");
    takeTexts(parts);
  });
  takeTextsSoon(parts);
}

/** It has the list, and uses it a moment later. */
function takeTextsSoon(parts: Parts): void {
  const { start, options } = parts;
  if (!start.begun || !start.listed || !start.waits) return;
  start.cancel();
  start.cancel = options.clock.after(options.limits.claudeToolsSettleMs, () => takeTexts(parts));
}

function takeTexts({ start, core }: Parts): void {
  start.waits = false;
  // Its person may have begun a turn meanwhile.
  if (core.status.state === "starting") core.emit({ type: "ready" });
}

async function inject(injection: Injection, parts: Parts): Promise<InjectOutcome> {
  const { inbox, pending, options } = parts;
  if (inbox === undefined)
    return { status: "refused", reason: "the session has no inbox that is known", final: false };
  const { clock, limits } = options;
  const lines = [
    ...(inbox.token === undefined ? [] : [{ type: "auth", token: inbox.token }]),
    { type: "user", message: { role: "user", content: injection.text } },
  ];
  const answer = pending.wait(injection);
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  const written = await writeToSocket(inbox.path, text, { clock, ms: limits.injectMs });
  if (written.status === "refused")
    pending.refused(injection.id, `the session's inbox did not take it: ${written.reason}`);
  return answer;
}

/** What a hook tells, and what it is to answer. */
function onHook(report: HookReport, parts: Parts): HookReply {
  const { core } = parts;
  learn(report, parts);
  parts.watch?.look();
  parts.endTurn?.();
  const { input } = report;
  switch (report.event) {
    case "SessionStart":
      begin(parts);
      return undefined;
    case "UserPromptSubmit":
      core.emit({ type: "turn-began" });
      confirm(asText(input.prompt) ?? "", parts);
      return undefined;
    case "PermissionRequest":
      core.emit({ type: "approval-wanted", what: asText(input.tool_name) ?? "" });
      return undefined;
    case "Notification":
      onNotification(asText(input.notification_type), parts);
      return undefined;
    case "Stop":
      return onStop(input, parts);
    case "StopFailure": {
      const reason = asText(input.error) ?? "the provider's model did not answer";
      core.emit({ type: "turn-ended", turn: { text: parts.text, how: "failed", reason } });
      return undefined;
    }
    default:
      core.emit({ type: "alive" });
      return undefined;
  }
}

/** Every hook names the conversation; its environment has the inbox. */
function learn({ input, env }: HookReport, parts: Parts): void {
  const path = env.CLAUDE_CODE_MESSAGING_SOCKET;
  if (path !== undefined && path !== "") parts.inbox = { path, token: env.CLAUDE_CODE_MESSAGING_TOKEN };
  const id = asText(input.session_id);
  const transcript = asText(input.transcript_path);
  if (id === undefined || transcript === undefined) return;
  if (parts.watch !== undefined && transcript === parts.conversation.transcript) return;
  parts.conversation.learned(id, transcript);
  parts.core.emit({ type: "conversation", id, transcript });
  parts.watch?.close();
  parts.watch = watchTranscript(transcript, (entry) => onEntry(entry, parts), parts.options);
}

/** A text is in the conversation once it was submitted, also when it was folded into a running turn. */
function confirm(text: string, parts: Parts): void {
  const { pending, core } = parts;
  for (const { id } of pending.open) {
    if (!text.includes(id)) continue;
    pending.taken(id);
    core.emit({ type: "taken", injection: id });
    if (id !== parts.feedback) continue;
    parts.feedback = undefined;
    parts.endTurn?.();
  }
}

function onNotification(kind: string | undefined, { core }: Parts): void {
  if (kind === "permission_prompt") {
    core.emit({ type: "approval-wanted", what: "a permission" });
    return;
  }
  // It has waited for its person for a minute: whatever turn was believed to run does not.
  const silent = kind === "idle_prompt" && isInTurn(core.status.state);
  core.emit(silent ? { type: "ready" } : { type: "alive" });
}

function onStop(input: HookReport["input"], parts: Parts): HookReply {
  const { core, options } = parts;
  const text = asText(input.last_assistant_message) ?? parts.text;
  parts.text = "";
  const end = () => core.emit({ type: "turn-ended", turn: { text, how: "completed" } });
  if (input.stop_hook_active === true && parts.feedback !== undefined) {
    endLater(end, parts);
    return undefined;
  }
  end();
  if (parts.inbox !== undefined || input.stop_hook_active === true) return undefined;
  const waiting = options.takeWaiting?.();
  if (waiting === undefined) return undefined;
  // Its answer is the only way in: the transcript will show that it arrived.
  void parts.pending.wait(waiting);
  parts.feedback = waiting.id;
  core.emit({ type: "turn-began" });
  return { decision: "block", reason: waiting.text };
}

/** The transcript is written a moment after the hook: what it gave was read in this turn only if it stands there. */
function endLater(end: () => void, parts: Parts): void {
  const { clock, limits } = parts.options;
  const cancel = clock.after(2 * limits.transcriptPollMs, () => parts.endTurn?.());
  parts.endTurn = () => {
    cancel();
    parts.endTurn = undefined;
    end();
  };
}

/** What the transcript tells and no hook does: a person's Escape, tools, and a text that came in otherwise. */
function onEntry(entry: TranscriptEntry, parts: Parts): void {
  const { core, tools } = parts;
  const inTurn = isInTurn(core.status.state);
  switch (entry.kind) {
    case "input":
      confirm(entry.text, parts);
      return;
    case "interrupted":
      if (inTurn) core.emit({ type: "turn-ended", turn: { text: parts.text, how: "interrupted" } });
      return;
    case "text":
      parts.text = entry.text;
      return;
    case "tool-use":
      tools.set(entry.id, entry.name);
      if (inTurn) core.emit({ type: "tool-began", name: entry.name });
      return;
    case "tool-result":
      if (inTurn) core.emit({ type: "tool-ended", name: tools.get(entry.id) ?? "", failed: entry.failed });
      tools.delete(entry.id);
      return;
    case "error":
      core.emit({ type: "trouble", what: entry.text.slice(0, 200) });
  }
}
