/**
 * Run under strace, which makes every flush of this process take long: writes to an outbox and prints how long the
 * event loop was ever blocked, as JSON.
 */

import { realClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { realRandom } from "../../src/base/random.ts";
import { limits } from "../../src/limits.ts";
import { openOutbox } from "../../src/outbox/outbox.ts";
import { asId } from "../../src/wire/id.ts";
import { away, call } from "./world.ts";

const world = { clock: realClock, random: realRandom, log: silentLog, limits, deliverer: away };
const outbox = await openOutbox({
  ...world,
  dir: Bun.argv[2] ?? "",
  relayId: "relay",
  agentId: asId("agent"),
});
let blockedMs = 0;
let last = performance.now();
const watch = setInterval(() => {
  const now = performance.now();
  blockedMs = Math.max(blockedMs, now - last - 1);
  last = now;
}, 1);
const took: number[] = [];
for (let count = 0; count < 10; count += 1) {
  const before = performance.now();
  await Promise.all([0, 1, 2, 3].map((writer) => outbox.write(call(`${count} ${writer}`), 0)));
  took.push(performance.now() - before);
}
clearInterval(watch);
console.log(JSON.stringify({ blockedMs, writeMs: Math.min(...took) }));
process.exit(0);
