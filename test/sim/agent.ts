/**
 * An agent and its MCP client: makes calls, aborts some, loses some with the process that serves it, makes them
 * again with or without a call id, reads its inbox, and remembers what it was told.
 */
import { asId } from "../../src/wire/id.ts";
import type { WriteCall } from "../../src/wire/write.ts";
import { type Chance, chanceOf } from "./chance.ts";
import type { Intent } from "./ledger.ts";
import type { Parts } from "./parts.ts";
import type { Reply, Runner } from "./runner.ts";

/** What agents of a world do, from 0 to 1. */
export type Manners = {
  aborts: number;
  unknownRecipients: number;
  poison: number;
  callIds: number;
  ownKeys: number;
};

type Errand = {
  intent: Intent;
  call: Omit<WriteCall, "session">;
  /** Attempts that are left. */
  left: number;
  /** Given up when the process ends before the first call: what was seen may be forgotten by then. */
  starts?: number;
};

export class Agent {
  readonly runner: Runner;
  readonly #parts: Parts;
  readonly #manners: Manners;
  readonly #others: readonly string[];
  readonly #chance: Chance;
  #session = 0;
  #intents = 0;
  /** The text that is sent again and again, while each answer to it was seen. */
  #repeated: { text: string; seen: boolean } | undefined;
  #ownKey: string | undefined;
  #lastRead: string | undefined;
  /** Calls that are not over. */
  busy = 0;

  constructor(parts: Parts, runner: Runner, facts: { manners: Manners; others: readonly string[] }) {
    this.#parts = parts;
    this.runner = runner;
    this.#manners = facts.manners;
    this.#others = facts.others;
    this.#chance = chanceOf(parts.seed, `agent ${runner.name}`);
  }

  /** Makes one write, and sees it through until it was answered or given up. */
  write(): void {
    const errand = this.#chance.is(0.12) ? this.#again() : this.#errand();
    if (errand === undefined) return;
    this.#parts.ledger.intents.push(errand.intent);
    this.busy += 1;
    void this.#run(errand).finally(() => {
      this.busy -= 1;
    });
  }

  /** A call that writes nothing: brings notices, shows that earlier answers were seen. */
  poll(): boolean {
    const reply = this.runner.poll(this.#sessionName());
    if (reply === undefined) return false;
    this.#take(reply);
    return true;
  }

  /** The client starts again: what it had not seen it never will. */
  restart(): void {
    this.#session += 1;
    this.#repeated = undefined;
  }

  /** Reads a page of the inbox and acknowledges what it has read. */
  async read(limit: number): Promise<boolean> {
    const { client, agent } = this.runner;
    if (client === undefined) return false;
    const { ledger, clock } = this.#parts;
    try {
      const page = await client.readInbox({ agent, unread: "true", limit });
      const readings = ledger.readings.get(agent) ?? [];
      for (const { seq, id } of page.messages) readings.push({ seq, messageId: id });
      ledger.readings.set(agent, readings);
      const last = page.messages.at(-1);
      if (last === undefined) return true;
      this.#lastRead = last.id;
      ledger.trace(clock.monotonic(), `${this.runner.name} read to ${last.seq}`);
      await client.acknowledgeInbox({ agent, seq: last.seq });
      return false;
    } catch {
      return false;
    }
  }

  #errand(): Errand {
    const { name, agent } = this.runner;
    const chance = this.#chance;
    const { poison, unknownRecipients, callIds, ownKeys } = this.#manners;
    const count = ++this.#intents;
    const text = `${name}-${count}${chance.is(poison) ? " poison" : ""}`;
    const to = chance.is(unknownRecipients)
      ? "nobody"
      : (this.#others[chance.below(this.#others.length)] ?? agent);
    const isReply = this.#lastRead !== undefined && chance.is(0.15);
    const tool = isReply ? "relay_reply" : "relay_send_message";
    const given: WriteCall["arguments"] = isReply
      ? { messageId: this.#lastRead, body: text }
      : { to, body: text };
    const callId = chance.is(callIds) ? `claude:${name}:${count}` : undefined;
    const isOwn = chance.is(ownKeys);
    const taken = isOwn && chance.is(0.2) ? this.#ownKey : undefined;
    const key = isOwn ? (taken ?? `own-${name}-${count}`) : undefined;
    this.#ownKey = key ?? this.#ownKey;
    const conflict = taken !== undefined;
    const intent: Intent = { id: `${name}-${count}`, agent, text, conflict, calls: 0, told: [] };
    const call = { tool, arguments: given, key: key === undefined ? undefined : asId<never>(key), callId };
    return { intent, call, left: 6 };
  }

  /** A text that was sent before and whose answer was seen: it is a new write. */
  #again(): Errand | undefined {
    const { name, agent, starts, outbox } = this.runner;
    if (outbox === undefined) return undefined;
    if (this.#repeated !== undefined && !this.#repeated.seen) return undefined;
    const text = `${name}:again:${starts}:${this.#session}`;
    this.#repeated = { text, seen: false };
    const count = ++this.#intents;
    const intent: Intent = { id: `${name}-${count}`, agent, text, conflict: false, calls: 0, told: [] };
    const to = this.#others[0] ?? agent;
    const call = {
      tool: "relay_send_message",
      arguments: { to, body: text },
      key: undefined,
      callId: undefined,
    };
    return { intent, call, left: 6, starts };
  }

  async #run(errand: Errand): Promise<void> {
    const { intent } = errand;
    const chance = this.#chance;
    while (errand.left-- > 0) {
      await this.#pass(chance.between(0.1, 2));
      if (await this.#attempt(errand)) return;
      // An answer that was not seen: most make the call again, soon enough to be taken for the same.
      if (intent.calls > 0 && chance.is(0.15)) return;
      if (chance.is(0.2)) this.#session += 1;
      await this.#pass(chance.wait(800));
    }
  }

  /** One call; true when its answer reached the agent. */
  async #attempt({ intent, call, starts }: Errand): Promise<boolean> {
    const { runner } = this;
    if (intent.calls === 0 && starts !== undefined && starts !== runner.starts) return true;
    if (runner.outbox === undefined) return false;
    const { ledger, clock } = this.#parts;
    const chance = this.#chance;
    const session = this.#sessionName();
    intent.calls += 1;
    ledger.trace(clock.monotonic(), `${runner.name} call ${intent.id} ${intent.calls} in ${session}`);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let over = false;
    const end = (reached: boolean) => {
      over = true;
      forget();
      resolve(reached);
    };
    const forget = runner.onDeath(() => end(false));
    if (chance.is(this.#manners.aborts)) clock.after(chance.wait(200), () => end(false));
    void runner.write({ ...call, session }).then((reply) => {
      clock.after(chance.between(0.1, 2), () => {
        if (over || session !== this.#sessionName()) {
          reply.abort();
          if (!over) end(false);
          return;
        }
        this.#take(reply, intent);
        end(true);
      });
    });
    return promise;
  }

  #take(reply: Reply, intent?: Intent): void {
    const { ledger, clock } = this.#parts;
    const { name, agent } = this.runner;
    reply.arrive();
    for (const notice of reply.notices) {
      ledger.notices.push({ agent, notice });
      ledger.trace(clock.monotonic(), `${name} notice ${notice.reason} of ${notice.messageId}`);
    }
    if (reply.answer === undefined || intent === undefined) return;
    const { receipt } = reply.answer;
    intent.told.push({ at: clock.now(), receipt });
    const words = `${receipt.delivery} ${receipt.messageId} ${receipt.replayed === true ? "replayed" : ""}`;
    ledger.trace(
      clock.monotonic(),
      `${name} told ${intent.id} ${words} ${receipt.reason?.split(":")[0] ?? ""}`,
    );
    const repeated = this.#repeated;
    if (repeated === undefined || repeated.text !== intent.text || intent.told.length !== intent.calls)
      return;
    // The next request of the session shows that this answer was seen.
    repeated.seen = this.poll();
  }

  #sessionName(): string {
    return `${this.runner.name}/${this.runner.starts}/${this.#session}`;
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(ms, resolve);
    });
  }
}
