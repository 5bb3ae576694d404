/**
 * Brings messages into the conversation of an agent: everything that waits when it is idle, what is urgent also into a
 * running turn. Nothing is given before the intent is on disk, nothing is called injected or read before it was.
 * SPEC.md is the contract; item.ts has its table.
 */
import { backoff } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { Message } from "../wire/message.ts";
import { choose, type Held } from "./choose.ts";
import { type ItemEvent, newItem, nextItem } from "./item.ts";
import type { Ledger } from "./ledger.ts";
import type { Receipts } from "./receipts.ts";
import type { Reminders } from "./reminders.ts";
import { type Delivery, injectionId, injectionText } from "./text.ts";

export type DeliveryOutcome =
  | { status: "injected" }
  | { status: "refused"; reason: string; final: boolean }
  | { status: "unknown"; reason: string };

/** The session, as far as it concerns messages. */
export type Sink = {
  readonly canInject: boolean;
  state(): "starting" | "idle" | "busy" | "waiting_approval" | "ended";
  inject(delivery: Delivery, options: { urgent: boolean }): Promise<DeliveryOutcome>;
  lookFor(ids: readonly string[]): Promise<ReadonlyMap<string, "taken" | "done">>;
};

export type InboxOptions = {
  sink: Sink;
  ledger: Ledger;
  receipts: Receipts;
  /** More messages of the inbox after a seq, when not all could be held. */
  refill(afterSeq: number): Promise<{ messages: Message[]; more: boolean }>;
  /** What else the agent is told when no message waits. */
  reminders: Pick<Reminders, "look" | "due" | "refused">;
  clock: Clock;
  random: Random;
  log: Log;
  limits: Limits;
};

export interface Inbox {
  /** A message has come by the feed; the same one again changes nothing. */
  add(message: Message): void;
  /** The agent has seen all up to this seq with a tool. */
  seen(seq: number): void;
  /** The provider has a text of ours in the conversation. */
  taken(id: string): void;
  /** A text that was accepted will not arrive. */
  dropped(id: string): void;
  /** A turn has ended; `parts` are the texts that were in it where the provider says so. */
  turnEnded(completed: boolean, parts: readonly string[] | undefined): void;
  /** The program has ended. */
  exited(): void;
  /** The state of the session may have changed. */
  wake(): void;
  /** There may be something to tell about replies that no turn's end brings up. */
  remind(): void;
  /** What waits, for a provider that asks at the end of a turn; it counts as given. */
  takeWaiting(): Delivery | undefined;
  readonly waiting: number;
  close(): void;
}

/** The inbox of one agent's session. */
export function createInbox(options: InboxOptions): Inbox {
  return new SessionInbox(options);
}

class SessionInbox implements Inbox {
  readonly #options: InboxOptions;
  readonly #held = new Map<string, Held>();
  /** Messages of each text that was given and not heard of, by the text's id. */
  readonly #underWay = new Map<string, readonly string[]>();
  readonly #delays: ReturnType<typeof backoff>;
  #cancel: () => void = () => {};
  #pausedUntil = 0;
  #looking = false;
  /** The relay is to be asked about replies; after a turn also about those that were asked for in it. */
  #ask: "pressing" | "all" | undefined;
  /** It was asked, and what it said was not told yet. */
  #answered = false;
  #overflowAfter: number | undefined;
  #closed = false;

  constructor(options: InboxOptions) {
    const { limits, random } = options;
    this.#options = options;
    this.#delays = backoff({
      baseMs: limits.deliveryBackoffBaseMs,
      capMs: limits.deliveryBackoffCapMs,
      random,
    });
  }

  get waiting(): number {
    return [...this.#held.values()].filter(({ item }) => item.state === "waiting").length;
  }

  add(message: Message): void {
    if (this.#held.has(message.id)) return;
    const item = this.#options.ledger.found.get(message.id) ?? newItem;
    if (item.state === "read") {
      this.#options.receipts.report("read", [message.id]);
      return;
    }
    if (this.#held.size >= this.#options.limits.inboxWaitingMax) {
      this.#overflowAfter ??= message.seq - 1;
      return;
    }
    this.#held.set(message.id, { message, item });
    this.wake();
  }

  seen(seq: number): void {
    this.#apply(
      "seen",
      this.#ids(({ message }) => message.seq <= seq),
    );
  }

  taken(id: string): void {
    const messages = this.#underWay.get(id) ?? [];
    this.#underWay.delete(id);
    this.#delays.reset();
    this.#apply("taken", messages);
    this.wake();
  }

  dropped(id: string): void {
    const messages = this.#underWay.get(id) ?? [];
    this.#underWay.delete(id);
    this.#apply("lost", messages);
    this.wake();
  }

  turnEnded(completed: boolean, parts: readonly string[] | undefined): void {
    for (const id of parts ?? []) if (this.#underWay.has(id)) this.taken(id);
    if (completed) {
      this.#apply(
        "completed",
        this.#ids(({ item }) => item.state === "injected"),
      );
      this.#ask = "all";
    }
    this.#pausedUntil = 0;
    this.wake();
  }

  exited(): void {
    this.#underWay.clear();
    this.#apply("ended", [...this.#held.keys()]);
  }

  wake(): void {
    // Not at once: whoever tells an event may be in the middle of it.
    queueMicrotask(() => this.#run());
  }

  remind(): void {
    this.#ask ??= "pressing";
    this.wake();
  }

  takeWaiting(): Delivery | undefined {
    const chosen = choose(this.#held.values(), false, this.#options.limits);
    return chosen.length === 0 ? undefined : this.#offer(chosen);
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #run(): void {
    if (this.#closed || !this.#options.sink.canInject) return;
    const { sink, clock, limits } = this.#options;
    const state = sink.state();
    if (state === "starting" || state === "ended") return;
    if (this.#ids(({ item }) => item.state === "doubtful").length > 0) {
      this.#look();
      return;
    }
    if (clock.monotonic() < this.#pausedUntil) return;
    const idle = state === "idle";
    // An idle agent begins a turn with what is under way: more would be a second turn.
    if (idle && this.#underWay.size > 0) {
      this.#watchLost();
      return;
    }
    const chosen = choose(this.#held.values(), !idle, limits);
    if (chosen.length > 0) {
      this.#give(chosen, !idle);
      return;
    }
    if (this.#overflowAfter !== undefined) {
      this.#refill();
      return;
    }
    if (!idle) return;
    if (this.#ask !== undefined) this.#askReminders(this.#ask === "all");
    else if (this.#answered) this.#giveReminder();
  }

  /** Asks the conversation what became of texts that were under way when the program ended. */
  #look(): void {
    if (this.#looking) return;
    this.#looking = true;
    const ids = this.#ids(({ item }) => item.state === "doubtful");
    const settle = (found: ReadonlyMap<string, "taken" | "done">) => {
      this.#looking = false;
      const by = (wanted: "taken" | "done" | undefined) => ids.filter((id) => found.get(id) === wanted);
      this.#apply("done", by("done"));
      this.#apply("cut", by("taken"));
      this.#apply("absent", by(undefined));
      this.wake();
    };
    this.#options.sink.lookFor(ids).then(settle, () => settle(new Map()));
  }

  #give(chosen: readonly Held[], urgent: boolean): void {
    const delivery = this.#offer(chosen);
    if (delivery === undefined) return;
    void this.#options.sink
      .inject(delivery, { urgent })
      .then((outcome) => this.#onOutcome(delivery, outcome));
  }

  /** Writes the intent down; undefined when that failed: then nothing is given. */
  #offer(chosen: readonly Held[]): Delivery | undefined {
    const given = chosen.map(({ message, item }) => ({ message, attempt: item.attempt }));
    const ids = given.map(({ message }) => message.id);
    try {
      this.#apply("offer", ids);
    } catch (error) {
      this.#options.log.error("Messages are not given to the agent: the intent cannot be written", { error });
      this.#apply("refused", ids);
      this.#pause();
      return undefined;
    }
    const id = injectionId(given);
    this.#underWay.set(id, ids);
    return { id, text: injectionText(id, given) };
  }

  #onOutcome({ id }: Delivery, outcome: DeliveryOutcome): void {
    if (this.#closed) return;
    if (outcome.status === "injected") {
      this.taken(id);
      return;
    }
    const { log } = this.#options;
    if (outcome.status === "unknown") {
      log.debug("A text was given to the agent, and is not heard of yet", { delivery: id });
      this.wake();
      return;
    }
    const messages = this.#underWay.get(id) ?? [];
    this.#underWay.delete(id);
    this.#apply("refused", messages);
    log[outcome.final ? "warn" : "debug"]("The agent's session did not take a text", {
      reason: outcome.reason,
    });
    if (!outcome.final) this.#pause();
  }

  #pause(): void {
    const { clock } = this.#options;
    const ms = this.#delays.next();
    this.#pausedUntil = clock.monotonic() + ms;
    this.#later(ms, () => this.wake());
  }

  /** The agent is idle and yet nothing is heard of what it was given: after a while it is given anew. */
  #watchLost(): void {
    const ids = [...this.#underWay.keys()];
    this.#later(this.#options.limits.injectionLostMs, () => {
      if (this.#options.sink.state() !== "idle") return;
      for (const id of ids) if (this.#underWay.has(id)) this.dropped(id);
    });
  }

  #refill(): void {
    const after = this.#overflowAfter ?? 0;
    if (this.#looking) return;
    this.#looking = true;
    this.#options
      .refill(after)
      .then(({ messages, more }) => {
        this.#overflowAfter = undefined;
        for (const message of messages) this.add(message);
        if (more) this.#overflowAfter ??= messages.at(-1)?.seq ?? after;
      })
      .catch((error: unknown) => {
        this.#options.log.debug("More of the inbox was not read", { error });
        this.#pause();
      })
      .finally(() => {
        this.#looking = false;
        this.wake();
      });
  }

  #askReminders(fresh: boolean): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#ask = undefined;
    this.#options.reminders
      .look(fresh)
      .then(() => {
        this.#answered = true;
      })
      .catch((error: unknown) => this.#options.log.debug("What to remind of was not read", { error }))
      .finally(() => {
        this.#looking = false;
        this.wake();
      });
  }

  #giveReminder(): void {
    this.#answered = false;
    const { sink, reminders, log } = this.#options;
    const delivery = reminders.due();
    if (delivery === undefined) return;
    void sink.inject(delivery, { urgent: false }).then((outcome) => {
      if (outcome.status !== "refused") return;
      reminders.refused(delivery.id);
      log.debug("The agent was not reminded", { reason: outcome.reason });
      if (outcome.final) return;
      this.#answered = true;
      this.#pause();
    });
  }

  #later(ms: number, callback: () => void): void {
    this.#cancel();
    this.#cancel = this.#options.clock.after(ms, callback);
  }

  #ids(wanted: (held: Held) => boolean): string[] {
    return [...this.#held.values()].filter(wanted).map(({ message }) => message.id);
  }

  /** Moves items, writes down and reports what changed, and forgets what has been read. */
  #apply(event: ItemEvent, ids: readonly string[]): void {
    const moved = ids.flatMap((id) => {
      const held = this.#held.get(id);
      if (held === undefined) return [];
      const item = nextItem(held.item, event);
      if (item === held.item || item.state === held.item.state) return [];
      this.#held.set(id, { message: held.message, item });
      return [{ id, item }];
    });
    for (const [attempt, group] of Map.groupBy(moved, ({ item }) => item.attempt))
      for (const [state, same] of Map.groupBy(group, ({ item }) => item.state))
        this.#note(
          state,
          attempt,
          same.map(({ id }) => id),
        );
  }

  #note(state: Held["item"]["state"], attempt: number, ids: readonly string[]): void {
    const { ledger, receipts, log } = this.#options;
    if (state === "injected" || state === "read") receipts.report(state, ids);
    if (state === "read") for (const id of ids) this.#held.delete(id);
    if (state === "doubtful") return;
    try {
      ledger.note(state, ids, attempt);
    } catch (error) {
      if (state === "offered") throw error;
      // A step that is missing after a crash is looked for in the conversation.
      log.warn("A step of messages is not written down", { error, state });
    }
  }
}
