/** Load by batches: each runner delivers records of its own lane, the next batch when the last was answered. */
import { realClock } from "../../src/base/clock.ts";
import { realRandom } from "../../src/base/random.ts";
import { createClient } from "../../src/sdk/client.ts";
import { asId, messageIdOf, mintedKey, uuidV7 } from "../../src/wire/id.ts";
import type { LaneRecord } from "../../src/wire/lane.ts";
import { type Measured, type Order, timed } from "./order.ts";
import type { BenchAgent } from "./world.ts";

const tool = "relay_send_message";

/** A write as an outbox hands it over: about 300 bytes of message. */
export function record(to: string, body: string): LaneRecord {
  const key = mintedKey(tool, uuidV7(realClock.now(), realRandom.bytes(10)));
  return {
    key,
    messageId: messageIdOf(asId(""), key, true),
    tool,
    arguments: { to, body },
    enqueuedAt: new Date(realClock.now()).toISOString(),
  };
}

/** A lane that is open for one agent; the function delivers and throws unless all were committed. */
export async function openLane(
  order: Order,
  agent: BenchAgent,
): Promise<(records: LaneRecord[]) => Promise<void>> {
  const client = createClient({ url: order.url, token: () => agent.runnerToken });
  const storeId = uuidV7(realClock.now(), realRandom.bytes(10));
  const { laneSession } = await client.openLane({ storeId });
  return async (records) => {
    const { outcomes } = await client.deliverRecords({ storeId, laneSession, records });
    const bad = outcomes.find(({ status }) => status !== "committed");
    if (bad !== undefined) throw new Error(`Deliver a batch of ${agent.name}: ${JSON.stringify(bad)}`);
  };
}

/** Messages that were committed in the measured time. */
export async function batches(order: Order): Promise<Measured> {
  const padding = "x".repeat(order.bodyBytes);
  return timed(order, async (agent, index, took) => {
    const deliver = await openLane(order, agent);
    const to = order.agents[(index + 1) % order.agents.length]?.name ?? agent.name;
    let count = 0;
    return async () => {
      const records = Array.from({ length: order.batch }, () => record(to, `${count++} ${padding}`));
      const began = performance.now();
      await deliver(records);
      took(performance.now() - began, order.batch);
    };
  });
}
