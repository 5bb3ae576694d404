/**
 * The parts of one endpoint, joined: upstream, lists, sessions, and what is visible at this moment.
 */
import { createFailedLogins, type FailedLogins } from "../base/failed-logins.ts";
import type { ToolDefinition } from "../wire/tools.ts";
import { type CallStreams, createCallStreams } from "./call-streams.ts";
import { type Control, createControl } from "./control.ts";
import { createLists, type Lists, shownFingerprint } from "./lists.ts";
import { contextName, visible } from "./narrow.ts";
import { createOpenings, type Openings } from "./openings.ts";
import type { EndpointOptions } from "./options.ts";
import { type Sealer, sealer } from "./session.ts";
import { createSessions, listChanged, modernUid, type Session, type Sessions } from "./sessions.ts";
import { createUpstream, type Upstream } from "./upstream.ts";
import { createWaiting, type Waiting } from "./waiting.ts";

/** The tools that are shown now, as they are shown. */
export type Shown = {
  readonly tools: readonly ToolDefinition[];
  readonly names: ReadonlySet<string>;
  readonly fingerprint: string;
};

export type Core = {
  readonly options: EndpointOptions;
  readonly upstream: Upstream;
  readonly control: Control;
  readonly lists: Lists;
  readonly sessions: Sessions;
  readonly callStreams: CallStreams;
  readonly sealer: Sealer;
  readonly openings: Openings;
  readonly failedLogins: FailedLogins;
  shown(): Shown;
  /** Looks whether what is shown has changed, and tells those who were shown something else. */
  recheck(): void;
  /** A session, with what an earlier run of the endpoint had shown when it is not new. */
  sessionOf(uid: string, facts?: Session["facts"], fresh?: boolean): Session;
  /** The upstream sent a list change on one of its streams. */
  upstreamNotified(method: string): void;
  readonly boot: string;
  /** What waits for the upstream; called when the endpoint closes, so that every call gets a response. */
  readonly waiting: Waiting;
  load(): Promise<void>;
};

const shownKey = "tools:shown";

export function createCore(options: EndpointOptions): Core {
  const boot = Buffer.from(options.random.bytes(6)).toString("hex");
  const upstream = createUpstream(options);
  const control = createControl(options, upstream);
  const lists = createLists(options, control, () => recheck());
  const sessions = createSessions(options, boot);
  let cache: { tools: readonly ToolDefinition[]; context: string; shown: Shown } | undefined;
  let saved: string | undefined;
  let checking = false;

  function shown(): Shown {
    const tools = lists.tools();
    const context = options.staticList ? "static" : contextName(options.context());
    if (cache === undefined || cache.tools !== tools || cache.context !== context) {
      cache = { tools, context, shown: shownOf(options, tools) };
    }
    return cache.shown;
  }

  function recheck(): void {
    if (checking) return;
    checking = true;
    // A moment later: whoever asked for the list that brought the change has its answer by then.
    options.clock.after(0, () => {
      checking = false;
      const { fingerprint } = shown();
      sessions.shownChanged(fingerprint);
      if (fingerprint === saved) return;
      saved = fingerprint;
      options.memory
        .save(shownKey, fingerprint)
        .catch((error: unknown) => options.log.warn("the shown tools could not be remembered", { error }));
    });
  }

  const known = new WeakSet<Session>();
  upstream.onTurn(() => lists.follow());
  let earlier: string | undefined;
  const core: Core = {
    options,
    upstream,
    control,
    lists,
    sessions,
    callStreams: createCallStreams(options, boot),
    sealer: sealer(options.secret),
    openings: createOpenings(options),
    failedLogins: createFailedLogins(options),
    boot,
    waiting: createWaiting(),
    shown,
    recheck,
    sessionOf(uid, facts, fresh = false) {
      const session = sessions.of(uid, facts);
      if (known.has(session)) return session;
      known.add(session);
      if (!fresh) session.shown ??= earlier;
      return session;
    },
    upstreamNotified: (method) => (method === listChanged.tools ? lists.follow() : sessions.announce(method)),
    async load() {
      await Promise.all([lists.load(), core.openings.load(), sessions.loadRemoved()]);
      const value = await options.memory.load(shownKey).catch(() => undefined);
      if (typeof value === "string") earlier = value;
      core.sessionOf(modernUid);
    },
  };
  return core;
}

/** What is shown of these tools in the context of this moment. */
function shownOf(options: EndpointOptions, tools: readonly ToolDefinition[]): Shown {
  const allowed = options.staticList ? tools : visible(tools, options.context(), options.policy);
  const list = allowed.map((tool) => withoutPromise(options, tool));
  return { tools: list, names: new Set(list.map(({ name }) => name)), fingerprint: shownFingerprint(list) };
}

/**
 * A foreign tool that is written ahead can be answered `queued`, which its own output schema would not allow: the
 * schema is not shown then.
 */
function withoutPromise(options: EndpointOptions, tool: ToolDefinition): ToolDefinition {
  if (options.policy.kind === "relay" || options.outbox === undefined) return tool;
  if (options.policy.tools.get(tool.name)?.buffered !== true) return tool;
  const { outputSchema: _, ...rest } = tool;
  return rest as ToolDefinition;
}
