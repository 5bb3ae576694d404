/**
 * What is recorded for the loss of power: the product's outbox through writes while the relay is there and away, a
 * drain, refusals and their notices, and checkpoints. Every answer goes into `acks` beside the folder's `outbox`.
 */
import "./crash-worker.ts";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { waitingClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { realRandom } from "../../../src/base/random.ts";
import { limits } from "../../../src/limits.ts";
import { openOutbox } from "../../../src/outbox/outbox.ts";
import { asId } from "../../../src/wire/id.ts";
import type { LaneOutcome } from "../../../src/wire/lane.ts";
import { ScriptedRelay } from "../../fixtures/outbox/scripted-relay.ts";

const [, , folder = "", count = "0"] = process.argv;
/** A relay that writes down what it has applied before it answers. */
class WrittenRelay extends ScriptedRelay {
  override async deliver(...given: Parameters<ScriptedRelay["deliver"]>): Promise<LaneOutcome[]> {
    const outcomes = await super.deliver(...given);
    const [records] = given;
    for (const { key } of records) appendFileSync(join(folder, "acks"), `${key} applied\n`);
    return outcomes;
  }
}

const deliverer = new WrittenRelay();
const world = { clock: waitingClock, random: realRandom, log: silentLog, deliverer };
const outbox = await openOutbox({
  ...{ ...world, dir: join(folder, "outbox"), relayId: "relay", agentId: asId("agent") },
  limits: { ...limits, deliveryBackoffBaseMs: 5, deliveryBackoffCapMs: 20, probeIntervalMs: 5 },
});
const padding = "x".repeat(3_000);
for (let n = 1; n <= Number(count); n++) {
  deliverer.up = n % 40 < 20;
  const call = {
    tool: "relay_send_message",
    callId: undefined,
    key: asId<never>(`power-${n}`),
    session: "s",
  };
  const answer = await outbox.write({ ...call, arguments: { to: "bob", body: `${n} ${padding}` } }, 50);
  const { delivery } = answer.receipt;
  appendFileSync(join(folder, "acks"), `power-${n} ${delivery}\n`);
  if (answer.recordId !== undefined) outbox.answered(answer.recordId, "s");
  outbox.seen("s");
}
process.stdout.write("{}\n");
// No orderly end: the recording stops in the middle of its life.
process.kill(process.pid, "SIGKILL");
