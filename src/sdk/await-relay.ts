/** Waiting for a relay that may not be up yet. */
import { type Clock, sleep } from "../base/clock.ts";
import { deadline } from "../base/signals.ts";
import { limits } from "../limits.ts";
import type { OperationReply } from "../wire/api.ts";
import { RelayUnreachable } from "./answer.ts";
import type { Client } from "./client.ts";

/**
 * Which relay answers. Asks again while nothing listens there and there is time; anything else that answers is
 * told at once.
 * @param waitMs how long to wait in all
 */
export async function awaitRelay(
  client: Client,
  clock: Clock,
  waitMs: number,
): Promise<OperationReply<"getRelay">> {
  const until = clock.monotonic() + waitMs;
  for (;;) {
    const left = until - clock.monotonic();
    using limit = deadline(clock, Math.max(1, left), { action: "Asking which relay this is" });
    try {
      return await client.getRelay({}, { signal: limit.signal });
    } catch (error) {
      const mayCome = error instanceof RelayUnreachable && error.sent === "no";
      if (!mayCome || left <= limits.probeIntervalMs) throw error;
      await sleep(clock, limits.probeIntervalMs);
    }
  }
}
