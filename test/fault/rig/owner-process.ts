/** One of two processes that want the same store: opens and closes it when it is asked to, and says how that went. */
import "./lifeline.ts";
import { waitingClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { realRandom } from "../../../src/base/random.ts";
import { limits } from "../../../src/limits.ts";
import { type OutboxHandle, OutboxOwnedError, openOutbox } from "../../../src/outbox/outbox.ts";
import { asId } from "../../../src/wire/id.ts";
import { ScriptedRelay } from "../../fixtures/outbox/scripted-relay.ts";

export type OwnerAnswer = { owner: boolean; holder?: number; tookMs: number };

const dir = process.argv[2] ?? "";
let open: OutboxHandle | undefined;

async function tryOpen(): Promise<OwnerAnswer> {
  const relay = new ScriptedRelay();
  relay.up = false;
  const startedAt = performance.now();
  const world = { clock: waitingClock, random: realRandom, log: silentLog, limits, deliverer: relay };
  try {
    open = await openOutbox({ ...world, dir, relayId: "relay", agentId: asId("agent") });
    return { owner: true, tookMs: performance.now() - startedAt };
  } catch (error) {
    if (!(error instanceof OutboxOwnedError)) throw error;
    const holder = error.pid === undefined ? {} : { holder: error.pid };
    return { owner: false, ...holder, tookMs: performance.now() - startedAt };
  }
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    if (new URL(request.url).pathname === "/open") return Response.json(await tryOpen());
    await open?.close();
    open = undefined;
    return Response.json({});
  },
});
process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${server.port}` })}\n`);
