/**
 * From sending to the recipient's feed: messages leave at a fixed rate whatever the answers do, and each is timed
 * from the moment it was due until its event has arrived, by one clock. So waiting for a slow relay counts.
 */
import { openLane, record } from "./batches.ts";
import { followFeed } from "./feeds.ts";
import { type Measured, measured, type Order } from "./order.ts";

const settleMs = 5_000;
const markLength = 20;

/** One sender: what is due waits while a batch is under way and leaves with the next, as in an outbox. */
function sender(deliver: (records: ReturnType<typeof record>[]) => Promise<void>) {
  let due: ReturnType<typeof record>[] = [];
  let running: Promise<void> | undefined;
  const run = async () => {
    while (due.length > 0) {
      const batch = due;
      due = [];
      await deliver(batch);
    }
    running = undefined;
  };
  return {
    send(one: ReturnType<typeof record>) {
      due.push(one);
      running ??= run();
    },
    idle: () => running ?? Promise.resolve(),
  };
}

/** The time of each message that was due in the measured time; throws when one did not arrive. */
export async function latency(order: Order): Promise<Measured> {
  const times: number[] = [];
  const waiting = new Map<string, number>();
  const listener = () => {
    // A chunk may end in the middle of a mark.
    let rest = "";
    return (chunk: string) => {
      const now = performance.now();
      const text = rest + chunk;
      for (const [id] of text.matchAll(/due-\d+;/g)) {
        const due = waiting.get(id);
        if (due !== undefined) times.push(now - due);
        waiting.delete(id);
      }
      rest = text.slice(-markLength);
    };
  };
  const stops = await Promise.all(order.agents.map((agent) => followFeed(order, agent, listener())));
  const senders = await Promise.all(order.agents.map(async (agent) => sender(await openLane(order, agent))));
  const padding = "x".repeat(order.bodyBytes);
  const start = performance.now();
  const begin = start + order.warmupMs;
  const end = begin + order.measureMs;
  const gap = 1_000 / order.perSecond;
  let number = 0;
  for (let due = start; due < end; due += gap) {
    const wait = due - performance.now();
    if (wait > 0) await Bun.sleep(wait);
    const from = number % order.agents.length;
    const to = order.agents[(from + 1 + (number % 7)) % order.agents.length]?.name ?? "";
    const id = `due-${number++};`;
    if (due >= begin) waiting.set(id, due);
    senders[from]?.send(record(to, `${id} ${padding}`));
  }
  await Promise.all(senders.map(({ idle }) => idle()));
  const limit = performance.now() + settleMs;
  while (waiting.size > 0 && performance.now() < limit) await Bun.sleep(10);
  for (const stop of stops) stop();
  if (waiting.size > 0) throw new Error(`Follow the feeds: ${waiting.size} messages never arrived`);
  return measured(times, times.length, order.measureMs);
}
