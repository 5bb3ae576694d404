/**
 * Agents that write without a pause to a relay that will be killed, each with a ledger of what it sent and what was
 * acknowledged. A batch without an answer is sent again with the same keys when the relay is back, as an outbox does.
 */
import { realClock } from "../../src/base/clock.ts";
import { type Random, realRandom } from "../../src/base/random.ts";
import { createClient } from "../../src/sdk/client.ts";
import { asId, messageIdOf, mintedKey, uuidV7 } from "../../src/wire/id.ts";
import type { LaneOutcome, LaneRecord } from "../../src/wire/lane.ts";

/** One write, by the id of its message. */
export type Sent = {
  id: string;
  from: string;
  to: string;
  /** Position among the writes of its sender, from 0. */
  number: number;
  expectsReply: boolean;
  /** The message that it replies to. */
  replyTo: string | undefined;
  acknowledged: boolean;
};

/** A whole number from 0 to one less than `count`. */
export function below(random: Random, count: number): number {
  return Math.floor(random.fraction() * count);
}

/** A message that an agent owes a reply for. */
export type Owed = { id: string; from: string };

export class Writer {
  readonly name: string;
  readonly token: string;
  readonly sent: Sent[] = [];
  readonly owed: Owed[] = [];
  readonly #storeId = uuidV7(realClock.now(), realRandom.bytes(10));
  readonly #random: Random;
  /** Sent and not answered: the first thing that goes out again. */
  #unanswered: LaneRecord[] = [];
  inFlight = false;

  constructor(name: string, token: string, random: Random) {
    this.name = name;
    this.token = token;
    this.#random = random;
  }

  /**
   * Sends what has no answer again, then new writes until the relay is gone. Throws when the relay says no.
   * @param names who may get messages
   */
  async write(url: string, names: readonly string[], isGone: () => boolean): Promise<void> {
    const client = createClient({ url, token: () => this.token, timeoutMs: 10_000 });
    try {
      const { laneSession } = await client.openLane({ storeId: this.#storeId });
      while (!isGone()) {
        if (this.#unanswered.length === 0) this.#unanswered = this.#nextBatch(names);
        const records = this.#unanswered;
        this.inFlight = true;
        const { outcomes } = await client.deliverRecords({ storeId: this.#storeId, laneSession, records });
        this.inFlight = false;
        this.#acknowledge(outcomes);
        this.#unanswered = [];
      }
    } catch (error) {
      if (!isGone()) throw error;
    }
  }

  #acknowledge(outcomes: readonly LaneOutcome[]): void {
    const refused = outcomes.find(({ status }) => status !== "committed");
    if (refused !== undefined) throw new Error(`Write as ${this.name}: ${JSON.stringify(refused)}`);
    const ids = new Set(this.#unanswered.map(({ messageId }) => messageId));
    for (const one of this.sent.slice(-2 * ids.size)) if (ids.has(one.id)) one.acknowledged = true;
  }

  #nextBatch(names: readonly string[]): LaneRecord[] {
    return Array.from({ length: 1 + below(this.#random, 40) }, () => {
      const debt = below(this.#random, 8) === 0 ? this.owed.shift() : undefined;
      return debt === undefined ? this.#message(names) : this.#reply(debt);
    });
  }

  #message(names: readonly string[]): LaneRecord {
    const others = names.filter((name) => name !== this.name);
    const to = others[below(this.#random, others.length)] ?? "";
    const expectsReply = below(this.#random, 6) === 0;
    const args = { to, body: this.#body(), ...(expectsReply ? { expectsReply } : {}) };
    return this.#record("relay_send_message", args, { to, expectsReply, replyTo: undefined });
  }

  #reply({ id, from }: Owed): LaneRecord {
    const args = { messageId: id, body: this.#body() };
    return this.#record("relay_reply", args, { to: from, expectsReply: false, replyTo: id });
  }

  #body(): string {
    return `${this.name} ${this.sent.length}`;
  }

  #record(
    tool: string,
    args: Record<string, unknown>,
    facts: Pick<Sent, "to" | "expectsReply" | "replyTo">,
  ): LaneRecord {
    const key = mintedKey(tool, uuidV7(realClock.now(), realRandom.bytes(10)));
    const messageId = messageIdOf(asId(""), key, true);
    const number = this.sent.length;
    this.sent.push({ id: messageId, from: this.name, number, acknowledged: false, ...facts });
    return { key, messageId, tool, arguments: args, enqueuedAt: new Date(realClock.now()).toISOString() };
  }
}
