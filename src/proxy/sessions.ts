/**
 * The sessions an endpoint serves: what each was shown, what was answered to it and not yet seen, and its streams.
 * A legacy session is one client's; all modern requests of an endpoint are one session, which the era has not.
 */
import type { JsonObject } from "../wire/jsonrpc.ts";
import { notificationText } from "../wire/jsonrpc.ts";
import type { Carried, CarriedFacts } from "./carried.ts";
import type { EndpointOptions } from "./options.ts";
import type { SessionFacts } from "./session.ts";
import { type DownStream, EventRing, messageEvent } from "./streams.ts";

export type Session = {
  readonly uid: string;
  readonly facts: SessionFacts | undefined;
  /** Fingerprint of the tools this session was last shown or told of; undefined = it never asked. */
  shown: string | undefined;
  readonly carried: Carried[];
  readonly ring: EventRing;
  /** Open GET streams, the newest last; a message goes to one of them only. */
  readonly streams: Set<DownStream>;
};

/** A modern `subscriptions/listen` stream. */
export type Listener = {
  readonly stream: DownStream;
  readonly wants: ReadonlySet<string>;
  /** Fingerprint of the tools its client was last shown or told of; undefined = none was known, and it never asked. */
  shown: string | undefined;
  /** The notification with the subscription's id in it. */
  text(method: string, params: JsonObject): string;
  /** The response that ends the subscription. */
  readonly endText: string;
};

export const listChanged = {
  tools: "notifications/tools/list_changed",
  prompts: "notifications/prompts/list_changed",
  resources: "notifications/resources/list_changed",
} as const;

export type Sessions = {
  of(uid: string, facts?: SessionFacts): Session;
  /** A request of this session came in: what was answered to it before has been seen. */
  arrived(session: Session): void;
  carry(session: Session, carried: Carried): void;
  /** The agent ended the session; its id is not served again. */
  remove(uid: string): void;
  isRemoved(uid: string): boolean;
  readonly listeners: Set<Listener>;
  /** Tells every open stream whose client was shown other tools than these. */
  shownChanged(fingerprint: string): void;
  /** The session was given a list of tools with this fingerprint. */
  shownTo(session: Session, fingerprint: string): void;
  /** Tells one session on its newest stream; false when it has none. */
  tell(session: Session, text: string): boolean;
  /** Any other list change of the upstream, to everyone who asked for it. */
  announce(method: string): void;
  all(): Iterable<Session>;
  readonly count: number;
  loadRemoved(): Promise<void>;
};

/** Name of the session of all modern requests, and of legacy requests that bring no session id. */
export const modernUid = "modern";
export const statelessUid = "stateless";
const removedKey = "sessions:removed";
/** Answers of one session that wait for its next request; a client that never comes back must not add up. */
const carriedMax = 1_000;

/** @param boot names this run of the endpoint, for event ids */
export function createSessions(options: EndpointOptions, boot: string): Sessions {
  return new SessionBook(options, boot);
}

class SessionBook implements Sessions {
  readonly #options: EndpointOptions;
  readonly #boot: string;
  readonly #sessions = new Map<string, Session>();
  readonly #removed = new Set<string>();
  /** The session used last: most requests are of the same one as the request before. */
  #newest: Session | undefined;
  readonly listeners = new Set<Listener>();

  constructor(options: EndpointOptions, boot: string) {
    this.#options = options;
    this.#boot = boot;
  }

  of(uid: string, facts?: SessionFacts): Session {
    if (this.#newest?.uid === uid) return this.#newest;
    const known = this.#sessions.get(uid);
    if (known !== undefined) {
      this.#newest = known;
      this.#sessions.delete(uid);
      this.#sessions.set(uid, known);
      return known;
    }
    const ring = new EventRing(this.#boot, this.#options.limits.resumeEventsMax);
    const session: Session = { uid, facts, shown: undefined, carried: [], ring, streams: new Set() };
    this.#sessions.set(uid, session);
    this.#newest = session;
    if (this.#sessions.size > this.#options.limits.sessionsMax) this.#dropIdle(session);
    return session;
  }

  /** The longest unused session without a stream goes: its sealed id brings it back when it is used again. */
  #dropIdle(spared: Session): void {
    for (const session of this.#sessions.values()) {
      if (session === spared || session.streams.size > 0) continue;
      this.#sessions.delete(session.uid);
      return;
    }
  }

  arrived(session: Session): void {
    if (session.carried.length > 0) {
      for (const carried of session.carried.splice(0)) {
        if (carried.state === "pending") session.carried.push(carried);
        else if (carried.state === "sent") this.#markSeen(session, carried.facts);
      }
    }
    this.#options.outbox?.seen(session.uid);
  }

  #markSeen(session: Session, { recordId, noticeIds, inboxSeq }: CarriedFacts): void {
    if (recordId !== undefined) this.#options.outbox?.answered(recordId, session.uid);
    if (noticeIds !== undefined && noticeIds.length > 0)
      this.#options.outbox?.noticesAnswered(noticeIds, session.uid);
    if (inboxSeq !== undefined) this.#options.inboxSeen?.(inboxSeq);
  }

  tell(session: Session, text: string): boolean {
    const newest = [...session.streams].at(-1);
    if (newest === undefined) return false;
    return newest.write(messageEvent(text, session.ring.add(text)));
  }

  announce(method: string): void {
    const text = notificationText(method);
    for (const session of this.#sessions.values()) this.tell(session, text);
    for (const listener of this.listeners) {
      if (listener.wants.has(method)) listener.stream.write(messageEvent(listener.text(method, {})));
    }
  }

  carry(session: Session, carried: Carried): void {
    session.carried.push(carried);
    if (session.carried.length > carriedMax) session.carried.shift();
  }

  remove(uid: string): void {
    for (const stream of this.#sessions.get(uid)?.streams ?? []) stream.close();
    this.#sessions.delete(uid);
    if (this.#newest?.uid === uid) this.#newest = undefined;
    this.#removed.add(uid);
    const oldest =
      this.#removed.size > this.#options.limits.sessionsMax ? this.#removed.values().next().value : undefined;
    if (oldest !== undefined) this.#removed.delete(oldest);
    this.#options.memory
      .save(removedKey, [...this.#removed])
      .catch((error: unknown) => this.#options.log.warn("ended sessions could not be remembered", { error }));
  }

  isRemoved(uid: string): boolean {
    return this.#removed.has(uid);
  }

  shownChanged(fingerprint: string): void {
    const text = notificationText(listChanged.tools);
    for (const session of this.#sessions.values()) {
      if (session.shown === undefined || session.shown === fingerprint) continue;
      if (this.tell(session, text)) session.shown = fingerprint;
    }
    for (const listener of this.listeners) {
      listener.shown ??= fingerprint;
      if (listener.shown === fingerprint) continue;
      if (!listener.wants.has(listChanged.tools)) continue;
      if (listener.stream.write(messageEvent(listener.text(listChanged.tools, {}))))
        listener.shown = fingerprint;
    }
  }

  shownTo(session: Session, fingerprint: string): void {
    session.shown = fingerprint;
    // With several modern clients it cannot be known which of them asked: each is told of its own change.
    if (session.uid !== modernUid) return;
    for (const listener of this.listeners)
      if (listener.shown === undefined || this.listeners.size === 1) listener.shown = fingerprint;
  }

  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  get count(): number {
    return this.#sessions.size;
  }

  async loadRemoved(): Promise<void> {
    const value = await this.#options.memory.load(removedKey).catch((error: unknown) => {
      this.#options.log.warn("ended sessions could not be read", { error });
      return undefined;
    });
    if (Array.isArray(value)) for (const uid of value) this.#removed.add(String(uid));
  }
}
