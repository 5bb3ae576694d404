/**
 * The agent's session, joined with what it is for: the provider's program under its supervisor, messages into the
 * conversation, and what the relay hears of it (receipts, presence, insights). A wiring beside `runner.ts`.
 */
import { join as joinPath } from "node:path";
import { giveText } from "./agent/give.ts";
import type { SessionFacts } from "./agent/launch.ts";
import type { RestartPolicy } from "./agent/life.ts";
import { providers } from "./agent/providers.ts";
import type { Injection, Session } from "./agent/session.ts";
import type { SessionEvent } from "./agent/session-event.ts";
import type { SessionStatus } from "./agent/status.ts";
import { type AgentEnd, type Supervisor, supervise } from "./agent/supervisor.ts";
import { tailFile } from "./agent/tail.ts";
import { watchTurns } from "./agent/watchdog.ts";
import { realClock, sleep } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { ProcessIdentity } from "./base/process.ts";
import { realRandom } from "./base/random.ts";
import { createInbox, type Inbox } from "./inbox/deliver.ts";
import { type Ledger, openLedger } from "./inbox/ledger.ts";
import { createReceipts, type Receipts } from "./inbox/receipts.ts";
import { createReminders, type Reminders } from "./inbox/reminders.ts";
import { limits } from "./limits.ts";
import { analysisOf, type Insights, insightReporter } from "./runner/analysis.ts";
import { hookLogOf } from "./runner/hook.ts";
import {
  conversationToResume,
  readSessionFile,
  type SessionFile,
  writeSessionFile,
} from "./runner/session-file.ts";
import { type PresenceReporter, presenceReporter } from "./runner/status.ts";
import { keepTask, type TaskKeeper } from "./runner/task.ts";
import { modeOf, requestNow } from "./runner-launch.ts";
import type { Parts, SessionPart } from "./runner-parts.ts";
import { uuidV7 } from "./wire/id.ts";
import type { Message } from "./wire/message.ts";

/** The session of a running agent, for the runner around it. */
export type AgentSession = SessionPart & {
  readonly ended: Promise<AgentEnd>;
  /** A message has come by the feed. */
  message(message: Message): void;
  /** The relay answers, for the first time or again. */
  relayBack(): void;
  /** Something has happened to a reply that the agent owes or is owed. */
  repliesChanged(): void;
  /** Tells the agent something that no message says, once it can hear it. */
  tell(text: string): void;
  stop(): void;
  interrupt(): void;
  /** After the end: the last receipts and the analysis; waits shortly for the relay. */
  close(end: AgentEnd): Promise<void>;
};

/** Everything around one session. */
type Joined = {
  parts: Parts;
  session: Session;
  inbox: Inbox;
  ledger: Ledger;
  receipts: Receipts;
  reminders: Reminders;
  presence: PresenceReporter;
  insights: Insights;
  task: TaskKeeper;
  /** As it is on disk. */
  file: SessionFile;
};

/** Starts the agent. */
export function startAgentSession(
  parts: Parts,
  facts: SessionFacts,
  onChild: (child: ProcessIdentity) => void,
): AgentSession {
  const joined = join(parts, facts);
  const { session, inbox } = joined;
  const supervisor = launch(joined, onChild);
  const closeWatch = watch(joined);
  const { headless, task } = parts.options;
  let spoken = headless === true && task === undefined;
  const repliesChanged = () => {
    joined.reminders.changed();
    inbox.remind();
  };
  if (parts.options.headless === true) joined.task.begin();
  return {
    ended: supervisor.ended,
    message(message) {
      if (message.expectsReply) joined.reminders.changed();
      inbox.add(message);
    },
    seen: (seq) => inbox.seen(seq),
    toolsListed: () => session.toolsListed?.(),
    repliesChanged,
    relayBack() {
      // The first word is the person's, or the task's. What came while the relay was away is told at once.
      if (spoken) repliesChanged();
      spoken = true;
      joined.receipts.retry();
      joined.presence.retry();
    },
    tell: (text) => void give(joined, { id: newId(), text }),
    hook: (report) => session.hook(report),
    view: () => joined.file,
    waiting: () => inbox.waiting,
    stop: () => void stop(joined, supervisor),
    interrupt: () =>
      parts.options.headless === true ? void stop(joined, supervisor) : supervisor.interrupt(),
    async close(end) {
      closeWatch();
      await finish(joined, end);
    },
  };
}

/** Opens what belongs to the session; nothing runs yet. */
function join(parts: Parts, facts: SessionFacts): Joined {
  const { options, folder, relay, credential } = parts;
  const log = options.log.with({ part: "session" });
  const earlier = readSessionFile(folder);
  const saved = options.fresh === true ? undefined : conversationToResume(earlier, options);
  const common = { clock: realClock, random: realRandom, log, limits };
  const listener: { joined?: Joined } = {};
  const session = providers[options.provider].openSession({
    ...common,
    mode: modeOf(options),
    request: (conversation) => ({ ...requestNow(parts, facts), conversation }),
    saved,
    ownEndpoint: parts.endpoint !== undefined,
    scratch: parts.scratch?.path ?? folder,
    onEvent: (event, status) => {
      if (listener.joined !== undefined) onEvent(listener.joined, event, status);
    },
    takeWaiting: () => listener.joined?.inbox.takeWaiting(),
  });
  const agent = credential.agentName;
  const receipts = createReceipts({
    ...common,
    send: (stage, messageIds) => relay.reportReceipts({ agent, stage, messageIds }),
  });
  const ledger = openLedger(joinPath(folder, "inbox.ledger"), limits);
  const reminders = remindersFor(parts);
  const joined: Joined = {
    ...{ parts, session, ledger, receipts, reminders },
    inbox: createInbox({
      ...common,
      ...{ ledger, receipts, reminders },
      sink: {
        get canInject() {
          return session.canInject;
        },
        state: () => session.status.state,
        inject: (delivery, how) => session.inject(delivery, how),
        lookFor: (ids) => session.lookFor(ids),
      },
      refill: (afterSeq) => relay.readInbox({ agent, afterSeq, unread: "true", limit: limits.inboxPageMax }),
    }),
    ...reportersOf(relay, log),
    task: keepTask({
      task: options.task,
      saved: saved !== undefined && options.headless === true ? earlier?.task : undefined,
      newId,
      give: (text) => give(joined, text),
      changed(task) {
        joined.file = { ...joined.file, task };
        save(joined);
      },
    }),
    file: {
      provider: options.provider,
      cwd: options.cwd,
      startedAt: new Date(realClock.now()).toISOString(),
      ...(saved === undefined ? {} : { conversation: saved }),
    },
  };
  listener.joined = joined;
  return joined;
}

/** Who tells the relay what the agent does, and what came of its session. */
function reportersOf(relay: Parts["relay"], log: Log): Pick<Joined, "presence" | "insights"> {
  return {
    presence: presenceReporter({
      report: (state) => relay.reportPresence({ state }),
      heartbeatMs: limits.presenceMs,
      ...{ clock: realClock, log },
    }),
    insights: insightReporter({
      send: relay.reportInsight,
      now: realClock.now,
      randomBytes: realRandom.bytes,
      log,
    }),
  };
}

/** What the relay wants the agent told about replies. */
function remindersFor({ relay, credential, outbox }: Parts): Reminders {
  return createReminders({
    ask: async (fresh) => (await relay.takeReminders({ agent: credential.agentName, fresh })).reminders,
    answering: () => outbox.status().depth > 0,
    clock: realClock,
    limits,
  });
}

function launch(joined: Joined, onChild: (child: ProcessIdentity) => void): Supervisor {
  const { session, parts } = joined;
  const { options } = parts;
  const headless = options.headless === true;
  const line = (stream: "stdout" | "stderr") => (text: string) => session.output(text, stream);
  return supervise({
    plan: () => session.prepare(),
    cwd: options.cwd,
    stdio: headless ? { stdin: "pipe", stdout: line("stdout"), stderr: line("stderr") } : "inherit",
    terminal: options.terminal && !headless,
    // A person at a terminal sees a crash and decides; nobody else would.
    policy: headless ? restartPolicy : { when: "never" },
    clock: realClock,
    random: realRandom,
    log: options.log.with({ part: "agent" }),
    limits,
    onChild,
    onSpawned: (child) => session.started(child),
    onExited: () => session.exited(),
  });
}

const restartPolicy: RestartPolicy = {
  when: "onFailure",
  baseMs: limits.agentRestartBaseMs,
  capMs: limits.agentRestartCapMs,
  crashesMax: limits.agentCrashesMax,
  stableMs: limits.agentStableMs,
};

async function stop({ session }: Joined, supervisor: Supervisor): Promise<void> {
  await session.close();
  await supervisor.stop();
}

/** One event of the session: what it means for messages, for the file on disk, and for the relay. */
function onEvent(joined: Joined, event: SessionEvent, status: SessionStatus): void {
  const { inbox, presence, parts, session } = joined;
  const { log } = parts.options;
  switch (event.type) {
    case "taken":
      inbox.taken(event.injection);
      break;
    case "dropped":
      inbox.dropped(event.injection);
      break;
    case "turn-ended":
      parts.options.onTurn?.(event.turn);
      inbox.turnEnded(event.turn.how === "completed", event.turn.injections);
      break;
    case "exited":
      inbox.exited();
      break;
    case "trouble":
      log.warn("The agent's session has trouble", { what: event.what });
      break;
    default:
      inbox.wake();
  }
  if (session.canInject && status.state !== "ended") presence.is(status.state);
  if (event.type === "conversation")
    joined.file = { ...joined.file, conversation: { id: event.id, transcript: event.transcript } };
  joined.file = { ...joined.file, ...viewOf(status) };
  joined.task.onEvent(event);
  if (event.type === "conversation" || event.type === "turn-ended") save(joined);
}

function viewOf({ state, approval, lastTurn, figures }: SessionStatus): Partial<SessionFile> {
  return {
    state,
    approval,
    figures: { ...figures, tools: { ...figures.tools } },
    ...(lastTurn === undefined
      ? {}
      : { lastTurn: { text: lastTurn.text, how: lastTurn.how, reason: lastTurn.reason } }),
  };
}

function save({ parts, file }: Joined): void {
  try {
    writeSessionFile(parts.folder, file);
  } catch (error) {
    parts.options.log.warn("The session is not written down: a crash would begin a new conversation", {
      error,
    });
  }
}

/** Turns that hang, and hooks that fail. */
function watch(joined: Joined): () => void {
  const { session, parts, insights } = joined;
  const log = parts.options.log.with({ part: "session" });
  const unwatchTurns = watchTurns({
    status: () => session.status,
    interrupt: () => session.interrupt(),
    onHang: (silentMs, interrupted) =>
      log.warn("A turn hangs: nothing was heard and no tool runs", { silentMs, interrupted }),
    clock: realClock,
    limits,
  });
  const hooks = tailFile(hookLogOf(parts.folder), "end", limits.hookLogBytesMax);
  hooks.read();
  let cancel = () => {};
  const look = () => {
    const failed = hooks.read() ?? [];
    const last = failed.at(-1);
    if (last === undefined) return;
    log.error("FATAL: hooks of the agent failed; its session goes on without them", {
      count: failed.length,
      last,
    });
    void insights.report("hook_crashed", { count: failed.length, last: last.slice(0, limits.excerptMax) });
  };
  const again = () => {
    cancel = realClock.after(limits.turnWatchMs, () => {
      look();
      again();
    });
  };
  again();
  return () => {
    unwatchTurns();
    cancel();
    look();
    hooks.close();
  };
}

const give = ({ session, parts }: Joined, injection: Injection) =>
  giveText(session, injection, { clock: realClock, limits, signal: parts.closing.signal });

const newId = () => uuidV7(realClock.now(), realRandom.bytes(10));

async function finish(joined: Joined, end: AgentEnd): Promise<void> {
  const { parts, session, inbox, ledger, receipts, presence, insights } = joined;
  await session.close();
  inbox.close();
  presence.close();
  const now = realClock.now();
  joined.file = {
    ...joined.file,
    ...viewOf(session.status),
    state: "ended",
    cause: end.cause,
    endedAt: new Date(now).toISOString(),
  };
  save(joined);
  const reports = [receipts.flush()];
  if (session.canInject) reports.push(insights.report("session_analysis", analysisOf(joined.file, now)));
  if (end.cause === "crash-loop")
    reports.push(insights.report("crash_loop", { provider: parts.options.provider }));
  await Promise.race([Promise.all(reports), sleep(realClock, limits.lastReportMs)]);
  receipts.close();
  ledger.close();
}
