/** A session, a ledger and a relay that are played by a test: every step of the inbox is seen in one list. */
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { type Limits, limits } from "../limits.ts";
import type { Message } from "../wire/message.ts";
import { createInbox, type DeliveryOutcome, type Inbox } from "./deliver.ts";
import type { Item, ItemState } from "./item.ts";
import type { Delivery } from "./text.ts";

type State = "starting" | "idle" | "busy" | "waiting_approval" | "ended";

export type Played = {
  clock: VirtualClock;
  inbox: Inbox;
  /** Everything in order: `offered m1`, `give m1`, `injected m1`, … */
  log: string[];
  given: { delivery: Delivery; urgent: boolean; answer(outcome: DeliveryOutcome): void }[];
  state: State;
  /** What a look into the conversation finds. */
  conversation: Map<string, "taken" | "done">;
  more: Message[];
  /** What there is to tell about replies; given once. */
  reminder: Delivery | undefined;
  /** How often the relay was asked for it, and for what. */
  asked: ("pressing" | "all")[];
  relayFails: boolean;
  canInject: boolean;
  ledgerFails: boolean;
};

/** @param found what an earlier runner's ledger left */
export function play(found: Record<string, Item> = {}, changed: Partial<Limits> = {}): Played {
  const clock = new VirtualClock(0);
  const log: string[] = [];
  const played: Omit<Played, "inbox"> = {
    ...{ clock, log, given: [], state: "idle", conversation: new Map(), more: [], reminder: undefined },
    ...{ canInject: true, ledgerFails: false, asked: [], relayFails: false },
  };
  const all: Played = Object.assign(played, {
    inbox: createInbox({
      sink: {
        get canInject() {
          return played.canInject;
        },
        state: () => played.state,
        inject: (delivery, { urgent }) =>
          new Promise((answer) => {
            log.push(`give ${delivery.id}`);
            played.given.push({ delivery, urgent, answer });
          }),
        lookFor: async () => played.conversation,
      },
      ledger: {
        found: new Map(Object.entries(found)),
        note(state: ItemState, ids: readonly string[]) {
          if (played.ledgerFails) throw new Error("no space left");
          log.push(`${state} ${ids.join(" ")}`);
        },
        close() {},
      },
      receipts: {
        report: (stage, ids) => void log.push(`report ${stage} ${ids.join(" ")}`),
        retry() {},
        flush: async () => {},
        close() {},
      },
      refill: async () => ({ messages: played.more, more: false }),
      reminders: {
        async look(fresh) {
          played.asked.push(fresh ? "all" : "pressing");
          if (played.relayFails) throw new Error("connection refused");
        },
        due() {
          const due = played.reminder;
          played.reminder = undefined;
          return due;
        },
        refused: (id) => void log.push(`untold ${id}`),
      },
      clock,
      random: seededRandom(1),
      log: silentLog,
      limits: { ...limits, ...changed },
    }),
  });
  return all;
}

/** Lets everything that is under way go on. */
export async function settle(): Promise<void> {
  for (let n = 0; n < 20; n++) await Promise.resolve();
}

/** A message of an inbox. */
export function message(id: string, seq: number, change: Partial<Message> = {}): Message {
  return {
    ...{ id, seq, from: "ada", fromKind: "agent", to: "bob", body: `body of ${id}`, threadId: id },
    ...{ expectsReply: false, createdAt: "2026-01-01T00:00:00.000Z" },
    ...change,
  };
}
